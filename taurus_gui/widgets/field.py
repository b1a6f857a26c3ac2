"""A labelled field that shows its own error: red border and one line beneath."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from taurus.external.qt import QtCore, QtWidgets

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
