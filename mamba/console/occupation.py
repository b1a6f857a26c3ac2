"""Whether a running cell has the keyboard: it waits in `input()` or in a debugger for the person to answer."""

from __future__ import annotations

import builtins
import functools
import sys
import threading
from collections.abc import Callable

_DEBUGGER_LOOPS = ("cmdloop", "_cmdloop")


class KeyboardWatch:
    """Knows when code in the main thread reads the keyboard; wraps the built-in `input` until it is closed."""

    def __init__(self) -> None:
        self._asking = 0
        self._input: Callable[..., str] = builtins.input
        main = threading.main_thread()

        @functools.wraps(self._input)
        def watched_input(prompt: object = "", /) -> str:
            mine = 1 if threading.current_thread() is main else 0
            self._asking += mine
            try:
                return self._input(prompt)
            finally:
                self._asking -= mine

        self._watched = watched_input
        builtins.input = watched_input

    def close(self) -> None:
        """Leave `input` as it was, unless somebody else has wrapped it since."""
        if builtins.input is self._watched:
            builtins.input = self._input

    def is_occupied(self) -> bool:
        """Whether `input()` or a debugger of the main thread waits for the person."""
        return self._asking > 0 or _is_debugging()


def _is_debugging() -> bool:
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    while frame is not None:
        code = frame.f_code
        if code.co_name in _DEBUGGER_LOOPS and code.co_filename.endswith(("pdb.py", "debugger.py", "cmd.py")):
            return True
        frame = frame.f_back
    return False
