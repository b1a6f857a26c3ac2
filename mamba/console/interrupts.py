"""Ctrl-C at a moment when it would tear something: kept back, and felt a moment later."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class InterruptHold:
    """Keeps Ctrl-C back from `hold` to `release`; to be used in the main thread."""

    def __init__(self) -> None:
        self._previous: Callable[[int, FrameType | None], Any] | int | None = None
        self._is_held = self._pressed = False

    def hold(self) -> None:
        """Keep back every Ctrl-C from now on; and again after a prompt has put its own handler there."""
        previous = signal.signal(signal.SIGINT, self._press)
        if not self._is_held:
            self._pressed, self._is_held = False, True
        if previous != self._press:
            self._previous = previous

    def _press(self, number: int, frame: FrameType | None) -> None:
        self._pressed = True

    def release(self) -> bool:
        """Let Ctrl-C through again; returns whether it was pressed meanwhile."""
        if not self._is_held:
            return False
        signal.signal(signal.SIGINT, self._previous)
        pressed, self._is_held, self._pressed = self._pressed, False, False
        return pressed

    @contextmanager
    def held(self) -> Iterator[None]:
        """Drop every Ctrl-C of the block: what it would have ended is over."""
        self.hold()
        try:
            yield
        finally:
            self.release()
