"""Threads that may use Tango.

At the end of the process they are waited for: one that is cut off inside a Tango call aborts the interpreter, because
C++ does not let its thread be ended there.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import tango

_END_S = 3.0
"""Longer than a call to a device that hangs; what still waits then is left to its fate."""
_running: set[threading.Thread] = set()
_ending = threading.Event()


def run_in_thread(name: str, function: Callable[[], None]) -> threading.Thread:
    """Run `function` in a thread that may use Tango; it ends by itself."""

    def run() -> None:
        try:
            with tango.EnsureOmniThread():
                function()
        finally:
            _running.discard(thread)

    thread = threading.Thread(target=run, name=name, daemon=True)
    _running.add(thread)
    thread.start()
    return thread


def pause(seconds: float) -> bool:
    """Sleep; True, at once, when the process is ending, and so should whoever asks."""
    return _ending.wait(seconds)


def end_threads() -> None:
    """At the end of the process: let those that pause end, and wait for those in a call."""
    _ending.set()
    deadline = time.monotonic() + _END_S
    for thread in tuple(_running):
        thread.join(max(0.0, deadline - time.monotonic()))
