"""A button that opens a menu, and the pair of a button for what is usual and one for its variants."""

from __future__ import annotations

from collections.abc import Callable

from taurus.external.qt import QtCore, QtWidgets

from taurus_gui.widgets.field import make_button

_ARROW = "▾"


class MenuButton(QtWidgets.QPushButton):
    """A button that opens `choices` beneath it, and returns at once, so that nothing waits for the menu."""

    def __init__(self, text: str = "", *, tip: str = "") -> None:
        super().__init__()
        self.choices = QtWidgets.QMenu(self)
        self.choices.setToolTipsVisible(True)
        # the click that closes the menu must not open it again
        self.choices.setAttribute(QtCore.Qt.WA_NoMouseReplay)
        self.setToolTip(tip)
        self.show_text(text)
        self.clicked.connect(lambda *_: self.choices.popup(self.mapToGlobal(self.rect().bottomLeft())))

    def show_text(self, text: str) -> None:
        """Say `text` on the button, before the arrow that tells of a menu."""
        self.setText(f"{text} {_ARROW}".strip())

    def add(self, text: str, act: Callable[[], object], *, tip: str = "") -> QtWidgets.QAction:
        """Add a choice."""
        action = QtWidgets.QAction(text, self.choices)
        action.setToolTip(tip or text)
        action.triggered.connect(lambda *_: act())
        self.choices.addAction(action)
        return action


class SplitButton(QtWidgets.QWidget):
    """`main` does what is usual at one click; `more` opens the menu of its variants."""

    def __init__(self, text: str, role: str = "", *, tip: str, more_tip: str) -> None:
        super().__init__()
        self.main = make_button(text, role, tip=tip)
        self.more = MenuButton(tip=more_tip)
        self.more.setAccessibleName(more_tip)
        self.more.setProperty("role", "more")
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(1)
        layout.addWidget(self.main)
        layout.addWidget(self.more)
