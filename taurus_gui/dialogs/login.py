"""Who measures."""

from __future__ import annotations

from taurus.external.qt import QtWidgets

from taurus_gui.dialogs.ask_text import AskText


class Login(AskText):
    """Asks for the name of the person who measures. Signal: `answered(str)`."""

    def __init__(self, parent: QtWidgets.QWidget) -> None:
        super().__init__(parent, title="Log in", question="Your name, as it shall stand in the data", action="Log in")
