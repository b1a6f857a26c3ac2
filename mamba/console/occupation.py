"""Whether a running cell has the keyboard: it waits for the person in `input()`, a debugger, a pager or an editor.

A program that takes single keys (a pager, an editor, a password prompt) changes the mode of the terminal. One that
reads whole lines without changing it (`!cat`) cannot be told from one that only takes its time.
"""

from __future__ import annotations

import builtins
import functools
import sys
import termios
import threading
from collections.abc import Callable

_LINES = termios.ICANON | termios.ECHO
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
        """Whether `input()`, a debugger of the main thread or a full-screen program waits for the person."""
        return self._asking > 0 or _is_debugging() or _are_keys_taken()


def _is_debugging() -> bool:
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    while frame is not None:
        code = frame.f_code
        if code.co_name in _DEBUGGER_LOOPS and code.co_filename.endswith(("pdb.py", "debugger.py", "cmd.py")):
            return True
        frame = frame.f_back
    return False


def _are_keys_taken() -> bool:
    """Whether the terminal passes keys on one by one, or shows none; a cell begins with neither."""
    try:
        mode = termios.tcgetattr(0)[3]
    except termios.error:  # the terminal is gone
        return False
    return bool((mode & _LINES) != _LINES)
