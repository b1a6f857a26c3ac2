"""A labelled field that shows its own error: red border and one line beneath."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from taurus.external.qt import QtCore, QtGui, QtWidgets

from mamba.errors import MambaError
from taurus_gui.style import set_property

_T = TypeVar("_T")


def make_label(text: str, role: str = "", parent: QtWidgets.QWidget | None = None) -> QtWidgets.QLabel:
    """A label in one of the style sheet's roles: muted, head, error, value, badge."""
    label = QtWidgets.QLabel(text, parent)
    label.setTextFormat(QtCore.Qt.PlainText)
    if role:
        label.setProperty("role", role)
    return label


def make_button(text: str, role: str = "", *, tip: str = "") -> QtWidgets.QPushButton:
    """A push button in one of the style sheet's roles: run, stop, small."""
    button = QtWidgets.QPushButton(text)
    if role:
        button.setProperty("role", role)
    if tip:
        button.setToolTip(tip)
    return button


def allow(button: QtWidgets.QAbstractButton | QtWidgets.QAction, why_not: str, *, possible: bool = True) -> None:
    """Enable what acts, or have its tool tip say why it cannot; False for `possible` needs no words."""
    if button.property("tip") is None:
        button.setProperty("tip", button.toolTip())
    button.setToolTip(why_not or button.property("tip"))
    button.setEnabled(possible and not why_not)


def say_briefly(error: MambaError) -> str:
    """An error as one line beneath a field."""
    return f"{error.what} ({error.seen})" if error.seen else error.what


def say_limits(limits: tuple[float, float]) -> str:
    """`−25 … 25`."""
    return f"{limits[0]:g} … {limits[1]:g}".replace("-", "−")


class ErrorLine(QtWidgets.QLabel):
    """One line of error text that takes no room while there is none; the whole text is its tool tip."""

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "error")
        self.setTextFormat(QtCore.Qt.PlainText)
        self.setTextInteractionFlags(QtCore.Qt.TextSelectableByMouse)
        self.setSizePolicy(QtWidgets.QSizePolicy.Ignored, QtWidgets.QSizePolicy.Preferred)
        self.setVisible(False)

    def show_text(self, text: str) -> None:
        """Show the first line of `text`; "" hides the line."""
        self.setText(text.splitlines()[0] if text.strip() else "")
        self.setToolTip(text)
        self.setVisible(bool(text.strip()))


class ElidedLabel(QtWidgets.QLabel):
    """A label that gives way when there is little room: it ends in an ellipsis, and its tool tip says it all."""

    def __init__(self, role: str = "", *, least_width: int = 40) -> None:
        super().__init__()
        self._least_width = least_width
        self.setTextFormat(QtCore.Qt.PlainText)
        if role:
            self.setProperty("role", role)

    def minimumSizeHint(self) -> QtCore.QSize:
        """Qt's hook."""
        hint = super().sizeHint()
        return QtCore.QSize(min(self._least_width, hint.width()), hint.height())

    def paintEvent(self, _event: QtGui.QPaintEvent) -> None:
        """Qt's hook."""
        painter = QtWidgets.QStylePainter(self)
        inside = self.contentsRect()
        text = self.fontMetrics().elidedText(self.text(), QtCore.Qt.ElideRight, inside.width())
        self.setToolTip(self.text() if text != self.text() else "")
        painter.drawItemText(
            inside, int(self.alignment()), self.palette(), self.isEnabled(), text, QtGui.QPalette.WindowText
        )


class Field(QtWidgets.QWidget):
    """A line edit with its error line. Signal: `changed()` when the operator typed."""

    changed = QtCore.Signal()

    def __init__(self, text: str = "", *, hint: str = "", name: str = "") -> None:
        super().__init__()
        self.edit = QtWidgets.QLineEdit(text)
        self.edit.setPlaceholderText(hint)
        self.edit.setAccessibleName(name)
        self.error = ErrorLine()
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(1)
        layout.addWidget(self.edit)
        layout.addWidget(self.error)
        self._was_used = bool(text)
        self.edit.textChanged.connect(self._note_change)

    def _note_change(self, _text: str) -> None:
        self._was_used = True
        self.changed.emit()

    def text(self) -> str:
        """What was typed."""
        return str(self.edit.text())

    def show_error(self, text: str) -> None:
        """Mark the field as wrong, with why; "" takes the mark away."""
        set_property(self.edit, "invalid", bool(text))
        self.error.show_text(text)

    def read(self, parse: Callable[[str], _T]) -> _T | None:
        """The parsed text; None after the field has shown what is wrong with it (nothing, while it is untouched)."""
        try:
            value = parse(self.text())
        except MambaError as error:
            self.show_error(say_briefly(error) if self._was_used else "")
            return None
        self.show_error("")
        return value
