"""Ctrl-C while something is written that must not be left half done.

*Held*: a Ctrl-C is noted and has no effect for now. *Let through*: it raises KeyboardInterrupt at once, as always.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class HeldInterrupts:
    """Holds Ctrl-C, but where it is let through; made by `hold_interrupts`."""

    def __init__(self) -> None:
        self._came = self._passes = False

    def take(self, _number: int, _frame: FrameType | None) -> None:
        """The handler of the signal."""
        self._came = True
        if self._passes:
            self._passes = False
            raise KeyboardInterrupt

    @contextmanager
    def let_through(self) -> Iterator[None]:
        """Within, the first Ctrl-C raises KeyboardInterrupt; one that came before does so at the beginning."""
        self._passes = True
        try:
            if self._came:
                raise KeyboardInterrupt
            yield
        finally:
            self._passes = False


@contextmanager
def hold_interrupts() -> Iterator[HeldInterrupts]:
    """Hold Ctrl-C within; in a thread other than the main one, which it never reaches, nothing changes."""
    held = HeldInterrupts()
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        yield held
        return
    before = signal.signal(signal.SIGINT, held.take)
    try:
        yield held
    finally:
        signal.signal(signal.SIGINT, before)
