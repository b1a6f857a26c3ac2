"""Threads that may use Tango."""

from __future__ import annotations

import threading
from collections.abc import Callable

import tango


def run_in_thread(name: str, function: Callable[[], None]) -> threading.Thread:
    """Run `function` in a thread that may use Tango; it ends by itself."""

    def run() -> None:
        with tango.EnsureOmniThread():
            function()

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    return thread
