"""The terminal's keys while a cell runs: kept for the prompt, or given to code that asks the person.

The cell of a *command* comes while a person may be typing. As a terminal is between two prompts, it would show the keys
in the middle of the cell's output, and act on some of them itself: a Backspace would be lost, Ctrl-S would stop the
console. So while a command's cell runs, keys are *kept*: neither shown nor acted upon, but for Ctrl-C, until the next
prompt reads them. `input()` and the question for a password get the terminal as they expect it; a program that is
started with `!` sets it as it needs it, or (`!cat`) reads lines that are not shown. A cell that a person typed runs in
a terminal as everywhere.

*Occupied*: code waits for the person, in `input()`, a debugger, a pager or an editor. A program that takes single keys
changes the mode of the terminal; one that reads whole lines without changing it (`!cat`) cannot be told from one that
only takes its time.
"""

from __future__ import annotations

import builtins
import functools
import getpass
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_TERMINAL = 0
_LFLAG, _IFLAG, _CC = 3, 0, 6
_LINES = termios.ICANON | termios.ECHO
# ECHONL shows nothing where lines are not gathered: who takes single keys switches it off, and is known by that
_KEPT = termios.ECHONL
_OCCUPIED_BY = termios.ICANON | termios.ECHO | termios.ECHONL
_DEBUGGER_LOOPS = ("cmdloop", "_cmdloop")


class Keyboard:
    """The keys of one console; wraps `input` and `getpass.getpass` until it is closed."""

    def __init__(self) -> None:
        self._asking = 0
        self._usual: list[Any] | None = None
        self._wrapped: list[tuple[Any, str, Callable[..., str]]] = [
            (builtins, "input", builtins.input),
            (getpass, "getpass", getpass.getpass),
        ]
        self._wrappers = [self._watch(function) for _, _, function in self._wrapped]
        for (module, name, _), wrapper in zip(self._wrapped, self._wrappers, strict=True):
            setattr(module, name, wrapper)

    def close(self) -> None:
        """Leave the functions as they were, unless somebody else has wrapped them since."""
        for (module, name, function), wrapper in zip(self._wrapped, self._wrappers, strict=True):
            if getattr(module, name) is wrapper:
                setattr(module, name, function)

    def _watch(self, ask: Callable[..., str]) -> Callable[..., str]:
        @functools.wraps(ask)
        def ask_the_person(*args: Any, **kwargs: Any) -> str:
            if threading.current_thread() is not threading.main_thread():
                return ask(*args, **kwargs)
            self._asking += 1
            try:
                with self.given():
                    return ask(*args, **kwargs)
            finally:
                self._asking -= 1

        return ask_the_person

    def keep(self) -> None:
        """A command's cell begins: keep what is typed for the next prompt."""
        if self._usual is None:
            mode = _read_mode()
            if mode is not None and mode[_LFLAG] & _LINES == _LINES:
                self._usual = mode
                _set_mode(_make_keeping(mode))

    def give_back(self) -> None:
        """The cell has ended."""
        usual, self._usual = self._usual, None
        if usual is not None:
            _set_mode(usual)

    @contextmanager
    def given(self) -> Iterator[None]:
        """The terminal as a program expects it, for a part of a command's cell."""
        usual = self._usual
        if usual is None:
            yield
            return
        self.give_back()
        try:
            yield
        finally:
            self.keep()

    def is_occupied(self) -> bool:
        """Whether `input()`, a debugger of the main thread or a full-screen program waits for the person."""
        return self._asking > 0 or _is_debugging() or _are_keys_taken()


def _read_mode() -> list[Any] | None:
    try:
        return termios.tcgetattr(_TERMINAL)
    except termios.error:  # the terminal is gone
        return None


def _set_mode(mode: list[Any]) -> None:
    try:
        termios.tcsetattr(_TERMINAL, termios.TCSANOW, mode)
    except termios.error:  # gone: there is nothing left to type at
        return


def _make_keeping(usual: list[Any]) -> list[Any]:
    mode = [*usual[:_CC], list(usual[_CC])]
    mode[_LFLAG] = (mode[_LFLAG] & ~(_LINES | termios.IEXTEN)) | _KEPT
    mode[_IFLAG] &= ~(termios.IXON | termios.IXOFF)
    mode[_CC][termios.VMIN], mode[_CC][termios.VTIME] = 1, 0
    for key in (termios.VQUIT, termios.VSUSP):  # they would throw away what was typed before them
        mode[_CC][key] = b"\0"
    return mode


def _are_keys_taken() -> bool:
    """Whether the terminal passes keys on one by one, or shows none, and it is not we who keep them."""
    mode = _read_mode()
    return mode is not None and mode[_LFLAG] & _OCCUPIED_BY not in (_LINES, _LINES | termios.ECHONL, _KEPT)


def _is_debugging() -> bool:
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    while frame is not None:
        code = frame.f_code
        if code.co_name in _DEBUGGER_LOOPS and code.co_filename.endswith(("pdb.py", "debugger.py", "cmd.py")):
            return True
        frame = frame.f_back
    return False
