"""Threads that carry out moves and countings: one at a time each, kept a moment for the next.

A scan orders something at every point; a thread of its own for each order cost as much as a read. One that waited in
vain for `_IDLE_S` ends, so that a session at rest has none.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue

from mamba.devices.threads import pause, run_in_thread

Action = Callable[[], None]

_IDLE_S = 2.0
_lock = threading.Lock()
_idle: list[_Worker] = []


def end_idle_workers() -> None:
    """At the end of the process, before its threads are waited for."""
    with _lock:
        for worker in _idle:
            worker.orders.put(None)
        _idle.clear()


def run_in_worker(name: str, action: Action) -> None:
    """Do `action`, which must not raise, in a thread that may use Tango; returns at once."""
    with _lock:
        worker = _idle.pop() if _idle else None
    if worker is None:
        worker = _Worker()
        run_in_thread(f"mamba {name}", worker.serve)
    worker.orders.put((name, action))


class _Worker:
    def __init__(self) -> None:
        self.orders: SimpleQueue[tuple[str, Action] | None] = SimpleQueue()

    def serve(self) -> None:
        """Carry out orders until none came for a while; a worker in `_idle` gets one at any moment."""
        while (order := self._take()) is not None:
            name, action = order
            threading.current_thread().name = f"mamba {name}"
            action()
            del order, action  # what it holds must not live until the next one comes
            threading.current_thread().name = "mamba idle worker"
            if pause(0):
                return
            with _lock:
                _idle.append(self)

    def _take(self) -> tuple[str, Action] | None:
        try:
            return self.orders.get(timeout=_IDLE_S)
        except Empty:
            with _lock:
                if self in _idle:
                    _idle.remove(self)
                    return None
        return self.orders.get()  # somebody took it from the idle ones just now
