"""The console's terminal, to be read, searched by eye and copied from; nothing can be typed into it.

It is painted at most twenty times a second, and only while it can be seen. It follows the end, unless somebody has
scrolled up to read.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from taurus.external.qt import QtCore, QtGui, QtWidgets

from mamba.wire.messages import Reply
from taurus_gui.console_screen import COLUMNS, ROWS, ConsoleScreen, Line, Piece
from taurus_gui.style import CONSOLE_COLOURS, INK, PAPER, make_fixed_font
from taurus_gui.widgets.field import ErrorLine

_PAINT_MS, _WORK_S = 50, 0.02
_MAX_LINES = 5000
_LEAST_CONTRAST, _MIDDLE, _DARK = 100, 128, 110
_LOADED_NOTICES = 200


class ConsoleView(QtWidgets.QWidget):
    """Shows `console/output` notices after the answer to `session/output`.

    Attributes:
        seq: number of the last notice that is shown; 0 for none.
        is_loaded: what is shown belongs to the console of the moment.
    """

    def __init__(self) -> None:
        super().__init__()
        self.edit = QtWidgets.QPlainTextEdit()
        self.edit.setReadOnly(True)
        self.edit.setUndoRedoEnabled(False)
        self.edit.setLineWrapMode(QtWidgets.QPlainTextEdit.NoWrap)
        self.edit.setFont(make_fixed_font())
        self.edit.setAccessibleName("console output")
        self.edit.document().setMaximumBlockCount(_MAX_LINES)
        self.error = ErrorLine()
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(10, 6, 10, 10)
        layout.setSpacing(4)
        layout.addWidget(self.edit, 1)
        layout.addWidget(self.error)
        self.seq, self.is_loaded = 0, False
        self._has_gap = self._in_sight = False
        self._screen = ConsoleScreen()
        self._shown: list[Line] = []
        self._early: list[dict[str, Any]] | None = None
        self._timer = QtCore.QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._work)

    def await_output(self, seq: int) -> None:
        """The console's output is asked for, after notice `seq`: later ones wait until the answer is here."""
        self.seq, self._early, self._has_gap = seq, [], False

    def load(self, reply: Reply) -> None:
        """Begin anew with the answer to `session/output`; where it says its `seq`, notices up to it are in it."""
        early, self._early = self._early or [], None
        self.error.show_text("" if reply.ok else f"{reply.desc} ({reply.err})")
        self.is_loaded = reply.ok and not self._has_gap
        if reply.ok:
            said = reply.value
            self._screen = ConsoleScreen(int(said.get("columns") or COLUMNS), int(said.get("rows") or ROWS))
            self._shown = []
            self.edit.clear()
            self._write(str(said.get("data") or ""), dropped=0)
            early = [notice for notice in early if notice.get("seq", 0) > said.get("seq", self.seq)]
        for notice in early:
            self.take(notice)

    def take(self, notice: dict[str, Any]) -> None:
        """Take a `console/output` notice."""
        last, self.seq = self.seq, int(notice.get("seq") or 0)
        if self.seq != last + 1:
            self.is_loaded, self._has_gap = False, True
        if self._early is None:
            self._write(str(notice.get("data") or ""), dropped=int(notice.get("dropped") or 0))
            return
        self._early.append(notice)
        del self._early[:-_LOADED_NOTICES]

    def _write(self, output: str, *, dropped: int) -> None:
        self._screen.write(output, dropped=dropped)
        self._work_soon()

    def _work_soon(self) -> None:
        if self._in_sight and not self._timer.isActive():
            self._timer.start(_PAINT_MS)

    def note_sight(self, in_sight: bool) -> None:  # noqa: FBT001  # the slot of a signal
        """It can be seen or not; what came meanwhile is shown once it can."""
        self._in_sight = in_sight
        self._work_soon()

    def _work(self) -> None:
        self._screen.work(_WORK_S)
        self._paint(self._screen.take_scrolled(), self._screen.lines())
        if self._screen.is_busy:
            self._work_soon()

    def _paint(self, scrolled: list[Line], lines: list[Line]) -> None:
        new = [*scrolled, *lines]
        same = 0
        while same < min(len(new), len(self._shown)) and new[same] == self._shown[same]:
            same += 1
        bar = self.edit.verticalScrollBar()
        at_end, value = bar.value() >= bar.maximum() - 1, bar.value()
        if same < max(len(new), len(self._shown)):
            value -= self._replace_end(len(self._shown) - same, new[same:])
        self._shown = lines
        bar.setValue(bar.maximum() if at_end else max(0, value))

    def _replace_end(self, count: int, lines: list[Line]) -> int:
        """Put `lines` in the place of the last `count` lines; returns how many fell off at the top."""
        document = self.edit.document()
        before = document.blockCount()
        is_empty = document.isEmpty() and not self._shown
        cursor = QtGui.QTextCursor(document)
        cursor.beginEditBlock()
        cursor.movePosition(QtGui.QTextCursor.End)
        if count:
            cursor.setPosition(document.findBlockByNumber(before - count).position(), QtGui.QTextCursor.KeepAnchor)
            cursor.removeSelectedText()
            if not lines:
                cursor.deletePreviousChar()
        for number, line in enumerate(lines):
            if number or not (count or is_empty):
                cursor.insertBlock()
            for piece in line:
                cursor.insertText(piece.text, _make_format(piece._replace(text="")))
        cursor.endEditBlock()
        return int(before - count + len(lines) - is_empty - document.blockCount())


@lru_cache(maxsize=512)
def _make_format(look: Piece) -> QtGui.QTextCharFormat:
    made = QtGui.QTextCharFormat()
    front, back = _find_colour(look.fg, INK), _find_colour(look.bg, PAPER)
    if look.reverse:
        front, back = back, front
    front = _part(front, back)
    made.setForeground(front)
    if look.bg != "default" or look.reverse:
        made.setBackground(back)
    if look.bold:
        made.setFontWeight(QtGui.QFont.DemiBold)
    made.setFontItalic(look.italics)
    made.setFontUnderline(look.underscore)
    made.setFontStrikeOut(look.strikethrough)
    return made


def _find_colour(name: str, default: str) -> QtGui.QColor:
    if name == "default":
        return QtGui.QColor(default)
    return QtGui.QColor(CONSOLE_COLOURS.get(name) or f"#{name}")


def _part(front: QtGui.QColor, back: QtGui.QColor) -> QtGui.QColor:
    """The text's colour, lighter or darker where it was chosen for a black terminal and cannot be read here."""
    if abs(read_grey(front) - read_grey(back)) >= _LEAST_CONTRAST:
        return front
    if read_grey(back) < _MIDDLE:
        return QtGui.QColor(PAPER)
    while read_grey(front) > _DARK:
        front = front.darker(115)
    return front


def read_grey(colour: QtGui.QColor) -> int:
    """How light a colour is for the eye, 0 to 255: a yellow is lighter than a blue."""
    return int(QtGui.qGray(colour.rgb()))
