"""A plain RunEngine of bluesky that leaves nothing: its event loop lives in a thread and is never closed by itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bluesky import RunEngine


@contextmanager
def plain_engine(**options: Any) -> Iterator[RunEngine]:
    """An engine whose loop is closed afterwards."""
    engine = RunEngine({}, **options)
    try:
        yield engine
    finally:
        engine.loop.call_soon_threadsafe(engine.loop.stop)
        engine._th.join(5)
        engine.loop.close()
