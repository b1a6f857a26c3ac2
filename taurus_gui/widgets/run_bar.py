"""The bar on top: stop all, state of the run, pause, resume, abort; who is here; whether the console can be reached."""

from __future__ import annotations

from typing import Any

from taurus.external.qt import QtCore, QtWidgets

from taurus_gui.access import Access
from taurus_gui.run_model import say_run_state
from taurus_gui.style import BAD, BUSY, GOOD, MUTED, WARN
from taurus_gui.widgets.field import ElidedLabel, ErrorLine, allow, make_button, make_label
from taurus_gui.widgets.live import BADGE_HEIGHT
from taurus_gui.widgets.menu_button import SplitButton
from taurus_gui.widgets.person_box import PersonBox

_COLOURS = {
    "idle": GOOD,
    "running": BUSY,
    **dict.fromkeys(("pausing", "paused", "suspending", "suspended", "stopping"), WARN),
    **dict.fromkeys(("aborting", "halting", "panicked", "dead"), BAD),
}
STOP_ALL_KEYS = "Ctrl+Shift+S"
"""What Stop all is pressed with, wherever the cursor is in the window."""
_ENDABLE = ("running", "paused", "pausing", "suspending")
# the title gives way first: the window says it too
_LEAST_TITLE_WIDTH, _LEAST_ACTIVITY_WIDTH = 40, 80


class RunBar(QtWidgets.QFrame):
    """One signal per button: `pause_requested(bool)` (true: at the next checkpoint), `abort_requested()` and so on."""

    pause_requested = QtCore.Signal(bool)
    resume_requested = QtCore.Signal()
    stop_requested = QtCore.Signal()
    abort_requested = QtCore.Signal()
    halt_requested = QtCore.Signal()
    stop_all_requested = QtCore.Signal()

    def __init__(self, title: str) -> None:
        super().__init__()
        self.setObjectName("runBar")
        self.title = ElidedLabel("value", least_width=_LEAST_TITLE_WIDTH)
        self.title.setText(title)
        self.state = make_label("", "badge")
        self.activity = ElidedLabel("muted", least_width=_LEAST_ACTIVITY_WIDTH)
        self.resume = make_button("Resume", tip="Go on with the paused run")
        self.stop_all = make_button(
            "Stop all", "danger", tip=f"Stop all that moves, also what other programs moved ({STOP_ALL_KEYS})"
        )
        self.stop_all.setShortcut(STOP_ALL_KEYS)
        self.error = ErrorLine()
        self.people = PersonBox()
        self.connection = make_label("", "badge")
        self._make_pause()
        self._make_abort()
        self._lay_out()
        self.stop_all.clicked.connect(lambda *_: self.stop_all_requested.emit())
        self.resume.clicked.connect(lambda *_: self.resume_requested.emit())
        self._run_state, self._access, self._is_connected = "", Access(), False
        self._is_suspended = False
        self.show_connection(connected=False)

    def _make_pause(self) -> None:
        self.pause_choice = SplitButton("Pause", tip="Pause the run now", more_tip="Ways to pause")
        self.pause = self.pause_choice.main
        self.pause.clicked.connect(lambda *_: self.pause_requested.emit(False))
        more = self.pause_choice.more
        more.add("Pause now", lambda: self.pause_requested.emit(False), tip="The point under way is measured again")
        more.add("Pause at the next checkpoint", lambda: self.pause_requested.emit(True), tip="After the point")

    def _make_abort(self) -> None:
        self.abort_choice = SplitButton("Abort…", "stop", tip="End the run; asks why", more_tip="Ways to end the run")
        self.abort = self.abort_choice.main
        self.abort.clicked.connect(lambda *_: self.abort_requested.emit())
        more = self.abort_choice.more
        more.add("Stop", self.stop_requested.emit, tip="End the run after its clean-up, as a success")
        more.add("Abort…", self.abort_requested.emit, tip="End the run after its clean-up, as aborted; asks why")
        more.add("Halt…", self.halt_requested.emit, tip="End the run at once, without its clean-up; asks why")

    def _lay_out(self) -> None:
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(12, 8, 12, 8)
        layout.setSpacing(7)
        for badge in (self.state, self.connection):
            badge.setFixedHeight(BADGE_HEIGHT)
        layout.addWidget(self.title)
        layout.addSpacing(12)
        for widget in (self.stop_all, self.state, self.pause_choice, self.resume, self.abort_choice):
            layout.addWidget(widget)
        layout.addWidget(self.activity)
        layout.addWidget(self.error, 1)
        layout.addStretch(0)
        layout.addWidget(self.people)
        layout.addSpacing(12)
        layout.addWidget(self.connection)

    def show_run(self, run: dict[str, Any]) -> None:
        """Show the run engine's state ("idle", "running", "paused", …) and offer what can be done in it.

        A suspended run says which devices it waits for.
        """
        state, word = str(run.get("state") or "idle"), say_run_state(run)
        self._run_state = state
        _paint(self.state, word, _COLOURS.get(word, MUTED))
        self._offer()
        was_suspended, self._is_suspended = self._is_suspended, word == "suspended"
        if self._is_suspended:
            self.error.show_text(f"the run goes on when {' and '.join(run['waits_for'])} can be reached again")
        elif state == "running" or was_suspended:
            self.error.show_text("")

    def show_access(self, access: Access) -> None:
        """Show who is here, and offer what that person may do."""
        self._access = access
        self.people.show_access(access)
        self._offer()

    def _offer(self) -> None:
        state, hold = self._run_state, self._access.why_not_hold
        allow(self.stop_all, self._access.why_not_stop_all, possible=self._is_connected)
        for button in (self.pause_choice.main, self.pause_choice.more):
            allow(button, hold, possible=state == "running")
        allow(self.resume, self._access.why_not_act, possible=state == "paused")
        for button in (self.abort_choice.main, self.abort_choice.more):
            allow(button, hold, possible=state in _ENDABLE)

    def show_activity(self, text: str) -> None:
        """Say in a few words what the console does."""
        self.activity.setText(text)
        self.activity.setVisible(bool(text))

    def show_error(self, text: str) -> None:
        """Say what became of a button of this bar."""
        self.error.show_text(text)

    def show_connection(self, *, connected: bool) -> None:
        """Show whether the session host answers; without it nothing can be asked."""
        _paint(self.connection, "connected" if connected else "no console", GOOD if connected else BAD)
        self.people.show_connection(connected=connected)
        self._is_connected = connected
        if not connected:
            self._run_state = ""
            _paint(self.state, "unknown", MUTED)
        self._offer()


def _paint(badge: QtWidgets.QLabel, text: str, colour: str) -> None:
    badge.setText(text)
    badge.setStyleSheet(f"background: {colour};")
