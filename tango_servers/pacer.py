"""A thread that wakes when something is due, and sleeps otherwise; it lets a Tango device act without being called.

*Tick*: one look at the device; it returns when the next look is due (seconds of the monotonic clock), or None to sleep
until somebody calls `wake`. Nothing ticks while nothing moves, so that an idle server costs no processor time.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable

import tango

_running: weakref.WeakSet[Pacer] = weakref.WeakSet()


class Pacer:
    """Calls `tick` in a thread of its own; `fail` is told when it raised."""

    def __init__(self, name: str, tick: Callable[[], float | None], fail: Callable[[Exception], None]) -> None:
        self._tick, self._fail = tick, fail
        self._condition = threading.Condition()
        self._woken = self._closed = False
        # A daemon, and joined at the end of the server: a device's own thread must not wait for it (see `close`).
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        _running.add(self)
        self._thread.start()

    def wake(self) -> None:
        """Make it tick now."""
        with self._condition:
            self._woken = True
            self._condition.notify()

    def close(self) -> None:
        """End the thread, without waiting: it may be waiting for the very lock its device's command holds."""
        with self._condition:
            self._closed = True
            self._condition.notify()

    def _run(self) -> None:
        # Events may be pushed from a foreign thread only as an omniORB thread.
        with tango.EnsureOmniThread():
            due: float | None = None
            while self._wait(due):
                try:
                    due = self._tick()
                except Exception as error:  # noqa: BLE001  # a thread's edge: handed to the device, which shows it
                    due = None
                    self._fail(error)

    def _wait(self, due: float | None) -> bool:
        with self._condition:
            while not (self._woken or self._closed):
                left = None if due is None else due - time.monotonic()
                if left is not None and left <= 0:
                    break
                self._condition.wait(left)
            self._woken = False
            return not self._closed


def join_pacers(timeout_s: float = 2.0) -> None:
    """At the end of a server: wait until all closed pacers are gone."""
    for pacer in list(_running):
        pacer.close()
        pacer._thread.join(timeout_s)
