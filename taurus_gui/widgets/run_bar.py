"""The bar on top: state of the run, pause, resume, abort; who measures; whether the console can be reached."""

from __future__ import annotations

from typing import Any

from taurus.external.qt import QtCore, QtWidgets

from taurus_gui.style import BAD, BUSY, GOOD, MUTED, WARN
from taurus_gui.widgets.field import ErrorLine, make_button, make_label
from taurus_gui.widgets.live import BADGE_HEIGHT

_COLOURS = {"idle": GOOD, "running": BUSY, "paused": WARN, "pausing": WARN, "aborting": BAD, "dead": BAD}


class RunBar(QtWidgets.QFrame):
    """One signal per button: `pause_requested()`, `resume_requested()`, `abort_requested()` and so on."""

    pause_requested = QtCore.Signal()
    resume_requested = QtCore.Signal()
    abort_requested = QtCore.Signal()
    login_requested = QtCore.Signal()
    logout_requested = QtCore.Signal()

    def __init__(self, title: str) -> None:
        super().__init__()
        self.setObjectName("runBar")
        self.title = make_label(title, "value")
        self.state = make_label("", "badge")
        self.activity = make_label("", "muted")
        self.pause = make_button("Pause", tip="Hold the run at its next safe point")
        self.resume = make_button("Resume", tip="Go on with the paused run")
        self.abort = make_button("Abort…", "stop", tip="End the run; asks why")
        self.error = ErrorLine()
        self.person = make_label("")
        self.login = make_button("Log in…")
        self.logout = make_button("Log out", tip="U.logout()")
        self.connection = make_label("", "badge")
        self._lay_out()
        self.pause.clicked.connect(lambda *_: self.pause_requested.emit())
        self.resume.clicked.connect(lambda *_: self.resume_requested.emit())
        self.abort.clicked.connect(lambda *_: self.abort_requested.emit())
        self.login.clicked.connect(lambda *_: self.login_requested.emit())
        self.logout.clicked.connect(lambda *_: self.logout_requested.emit())
        self.show_connection(connected=False)
        self.show_person("")

    def _lay_out(self) -> None:
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(12, 8, 12, 8)
        layout.setSpacing(8)
        for badge in (self.state, self.connection):
            badge.setFixedHeight(BADGE_HEIGHT)
        layout.addWidget(self.title)
        layout.addSpacing(12)
        for widget in (self.state, self.pause, self.resume, self.abort):
            layout.addWidget(widget)
        layout.addWidget(self.activity)
        layout.addWidget(self.error, 1)
        layout.addStretch(0)
        for widget in (self.person, self.login, self.logout):
            layout.addWidget(widget)
        layout.addSpacing(12)
        layout.addWidget(self.connection)

    def show_run(self, run: dict[str, Any]) -> None:
        """Show the run engine's state ("idle", "running", "paused", …) and offer what can be done in it."""
        state = str(run.get("state") or "idle")
        _paint(self.state, state, _COLOURS.get(state, MUTED))
        self.pause.setEnabled(state == "running")
        self.resume.setEnabled(state == "paused")
        self.abort.setEnabled(state in ("running", "paused", "pausing"))
        if state in ("idle", "running"):
            self.error.show_text("")

    def show_activity(self, text: str) -> None:
        """Say in a few words what the console does."""
        self.activity.setText(text)

    def show_error(self, text: str) -> None:
        """Say what became of a button of this bar."""
        self.error.show_text(text)

    def show_person(self, person: str) -> None:
        """Show who measures; "" for nobody."""
        self.person.setText(person or "nobody logged in")

    def show_connection(self, *, connected: bool) -> None:
        """Show whether the session host answers; without it nothing can be asked."""
        _paint(self.connection, "connected" if connected else "no console", GOOD if connected else BAD)
        self.login.setEnabled(connected)
        self.logout.setEnabled(connected)
        if not connected:
            _paint(self.state, "unknown", MUTED)
            for button in (self.pause, self.resume, self.abort):
                button.setEnabled(False)


def _paint(badge: QtWidgets.QLabel, text: str, colour: str) -> None:
    badge.setText(text)
    badge.setStyleSheet(f"background: {colour};")
