"""What the console's terminal shows, made from its output by an emulated terminal. Plain Python, no Qt.

*Piece*: some text of one appearance. *Line*: a row of the screen as pieces. *Scrolled*: a line that has left the screen
at its top and never changes again. The emulation takes about a second for 150,000 characters, and a cell can print
faster than that: of what waits only the last screenfuls are kept, and a line says how much was left out.
"""

from __future__ import annotations

import logging
import re
import time
from collections import deque
from itertools import groupby
from typing import NamedTuple

import pyte

log = logging.getLogger(__name__)

COLUMNS, ROWS = 120, 40
"""The size of a console that nobody has joined."""
KEPT_CHARS = 65_536
"""Output that waits to be emulated; what is older is left out."""
_SCROLLED_KEPT = 20_000
# An escape sequence, or plain text in lengths that take some milliseconds.
_PARTS = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|[^\x1b]{1,512}|\x1b")


class Piece(NamedTuple):
    """Text of one appearance; colours by pyte's names, or as six hexadecimal digits."""

    text: str
    fg: str = "default"
    bg: str = "default"
    bold: bool = False
    italics: bool = False
    underscore: bool = False
    strikethrough: bool = False
    reverse: bool = False
    blink: bool = False


Line = tuple[Piece, ...]


class ConsoleScreen:
    """Emulates the terminal: `write` what it was sent, `work` for a while, then read `take_scrolled` and `lines`."""

    def __init__(self, columns: int = COLUMNS, rows: int = ROWS) -> None:
        self._screen = pyte.HistoryScreen(columns, rows, history=_SCROLLED_KEPT)
        self._stream = pyte.Stream(self._screen)
        self._waiting: deque[str] = deque()
        self._size = self._left_out = 0
        self._drawn: dict[int, Line] = {}

    @property
    def is_busy(self) -> bool:
        """Output waits to be emulated."""
        return bool(self._waiting)

    def write(self, output: str, *, dropped: int = 0) -> None:
        """Take output of the console, with how much before it (bytes) never came."""
        self._left_out += dropped
        if dropped:
            self._forget_waiting()
        self._waiting.append(output)
        self._size += len(output)
        if self._size > KEPT_CHARS:
            self._keep_last()

    def _forget_waiting(self) -> None:
        self._left_out += self._size
        self._waiting.clear()
        self._size = 0

    def _keep_last(self) -> None:
        waiting = "".join(self._waiting)
        kept = waiting[-KEPT_CHARS:].partition("\n")[2] or waiting[-KEPT_CHARS:]
        self._left_out += len(waiting) - len(kept)
        self._waiting = deque([kept])
        self._size = len(kept)

    def work(self, budget_s: float) -> None:
        """Emulate what waits, for about `budget_s`; `is_busy` tells whether some is left."""
        deadline = time.monotonic() + budget_s
        if self._left_out:
            self._emulate(f"\x1b[0m\r\n\x1b[90m… {_say_size(self._left_out)} of output left out …\x1b[0m\r\n")
            self._left_out = 0
        while self._waiting:
            output = self._waiting.popleft()
            self._size -= len(output)
            for part in _PARTS.finditer(output):
                self._emulate(part[0])
                if time.monotonic() > deadline:
                    self._put_back(output[part.end() :])
                    return

    def _put_back(self, output: str) -> None:
        if output:
            self._waiting.appendleft(output)
            self._size += len(output)

    def _emulate(self, output: str) -> None:
        try:
            self._stream.feed(output)
        except Exception as error:  # noqa: BLE001  # pyte's way to refuse a sequence it does not know, of any class
            log.debug("console: %r is not shown: %s", output, error)

    def take_scrolled(self) -> list[Line]:
        """Lines that have left the screen since the last call, oldest first."""
        scrolled = [_read_line(row) for row in self._screen.history.top]
        self._screen.history.top.clear()
        return scrolled

    def lines(self) -> list[Line]:
        """The screen from its top to the cursor, or to the last line that is not empty."""
        screen = self._screen
        for y in screen.dirty:
            self._drawn[y] = _read_line(screen.buffer[y]) if y in screen.buffer else ()
        screen.dirty.clear()
        last = max((y for y, line in self._drawn.items() if line), default=0)
        return [self._drawn.get(y, ()) for y in range(max(last, screen.cursor.y) + 1)]


def _say_size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{max(1, round(count / 1e3))} kB"


def _read_line(row: dict[int, pyte.screens.Char]) -> Line:
    cells = [row[x] for x in range(max(row, default=-1) + 1)]
    pieces = [Piece("".join(c.data for c in same), *look) for look, same in groupby(cells, key=lambda c: c[1:])]
    while pieces and not pieces[-1].text.strip() and pieces[-1].bg == "default" and not pieces[-1].reverse:
        pieces.pop()
    if pieces and pieces[-1].bg == "default" and not pieces[-1].reverse:
        pieces[-1] = pieces[-1]._replace(text=pieces[-1].text.rstrip(" "))
    return tuple(pieces)
