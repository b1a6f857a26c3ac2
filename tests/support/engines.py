"""Engines that leave nothing: the event loop of a RunEngine lives in a thread and is never closed by itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from bluesky import RunEngine

Engine = TypeVar("Engine", bound=RunEngine)


@contextmanager
def ending(engine: Engine) -> Iterator[Engine]:
    """The engine; its loop is ended and closed afterwards."""
    try:
        yield engine
    finally:
        engine.loop.call_soon_threadsafe(engine.loop.stop)
        engine._th.join(5)
        engine.loop.close()
