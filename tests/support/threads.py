"""Something that goes on beside a test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager


@contextmanager
def run_beside(work: Callable[[], object], timeout_s: float = 30.0) -> Iterator[None]:
    """`work` runs in a thread; the block ends when both have, and raises what `work` raised."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(work)
        yield
        future.result(timeout_s)
