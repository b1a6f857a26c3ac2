"""The operator's window: the panels, and the wires between them, the backend link and the commander."""

from __future__ import annotations

from typing import Any

from taurus.external.qt import QtCore, QtGui, QtWidgets

from mamba.config import Profile
from mamba.wire.messages import Reply
from taurus_gui import command_text
from taurus_gui.backend import Backend
from taurus_gui.commander import Commander
from taurus_gui.dialogs.abort_reason import AbortReason
from taurus_gui.dialogs.login import Login
from taurus_gui.receipt import Receipt
from taurus_gui.widgets.devices_panel import DevicesPanel
from taurus_gui.widgets.history import History
from taurus_gui.widgets.live_plot import LivePlot
from taurus_gui.widgets.run_bar import RunBar
from taurus_gui.widgets.scan_builder import ScanBuilder

_SIZE = (1400, 900)
_BAR = "window: run bar"
_LEFT_WIDTH, _HISTORY_HEIGHT, _BUILDER_HEIGHT = 680, 235, 315


class OperatorWindow(QtWidgets.QMainWindow):
    """One beamline's window.

    Args:
        profile: which devices there are.
        tango_host: host:port of the Tango database.
        backend: the link to the session host; the window closes it.
    """

    def __init__(self, profile: Profile, tango_host: str, backend: Backend) -> None:
        super().__init__()
        self.backend = backend
        self.commander = Commander(backend, self)
        self.run_bar = RunBar(profile.title or profile.name)
        self.devices = DevicesPanel(profile, tango_host)
        self.builder = ScanBuilder(profile, self.devices.position)
        self.plot = LivePlot()
        self.history = History()
        self.run: dict[str, Any] = {}
        self.person = ""
        self._prompt = ""
        self.dialog: QtWidgets.QDialog | None = None
        self._closed = False
        self.setWindowTitle(f"{profile.title or profile.name}: Mamba")
        self._lay_out()
        self._connect()
        self._show_connection(backend.is_connected)

    def _lay_out(self) -> None:
        self.setMenuWidget(self.run_bar)
        self.setCentralWidget(self.plot)
        self.setCorner(QtCore.Qt.BottomLeftCorner, QtCore.Qt.BottomDockWidgetArea)
        devices = self._add_dock("Devices", self.devices, QtCore.Qt.LeftDockWidgetArea)
        builder = self._add_dock("Scan", self.builder, QtCore.Qt.LeftDockWidgetArea)
        history = self._add_dock("Commands", self.history, QtCore.Qt.BottomDockWidgetArea)
        self.resize(*_SIZE)
        self.resizeDocks([devices], [_LEFT_WIDTH], QtCore.Qt.Horizontal)
        self.resizeDocks(
            [devices, builder], [_SIZE[1] - _HISTORY_HEIGHT - _BUILDER_HEIGHT, _BUILDER_HEIGHT], QtCore.Qt.Vertical
        )
        self.resizeDocks([history], [_HISTORY_HEIGHT], QtCore.Qt.Vertical)

    def _add_dock(self, title: str, panel: QtWidgets.QWidget, area: Any) -> QtWidgets.QDockWidget:
        dock = QtWidgets.QDockWidget(title, self)
        dock.setObjectName(title)
        dock.setFeatures(QtWidgets.QDockWidget.DockWidgetMovable | QtWidgets.QDockWidget.DockWidgetFloatable)
        dock.setWidget(panel)
        self.addDockWidget(area, dock)
        return dock

    def _connect(self) -> None:
        self.backend.noticed.connect(self._take_notice)
        self.backend.state_loaded.connect(self._take_state)
        self.backend.connection_changed.connect(self._show_connection)
        self.commander.receipt_changed.connect(self.history.show_receipt)
        self.builder.limits_wanted.connect(self._ask_limits)
        for panel, origin in ((self.devices, "devices"), (self.builder, "scan"), (self.history, "command line")):
            panel.run_requested.connect(self._make_sender(f"window: {origin}"))
        bar = self.run_bar
        bar.pause_requested.connect(lambda: self._ask_run("run/pause"))
        bar.resume_requested.connect(lambda: self._ask_run("run/resume"))
        bar.abort_requested.connect(self._open_abort)
        bar.login_requested.connect(self._open_login)
        bar.logout_requested.connect(self.log_out)

    def _make_sender(self, origin: str) -> Any:
        return lambda text, on_outcome: self.commander.send(text, origin=origin, on_outcome=on_outcome)

    def log_out(self) -> None:
        """Inject `U.logout()`; an error is shown in the bar, where the button is."""
        text = command_text.logout_command()
        self.commander.send(text, origin=_BAR, on_outcome=self._show_bar_outcome)

    def _show_bar_outcome(self, receipt: Receipt) -> None:
        self.run_bar.show_error(receipt.outcome if receipt.failed else "")

    def _ask_run(self, verb: str, **fields: Any) -> None:
        self.run_bar.show_error("")
        self.backend.ask(verb, self._show_bar_reply, origin=_BAR, **fields)

    def _show_bar_reply(self, reply: Reply) -> None:
        self.run_bar.show_error("" if reply.ok else f"{reply.desc.splitlines()[0]} ({reply.err})")

    def _open_abort(self) -> None:
        dialog = AbortReason(self)
        dialog.answered.connect(lambda reason: self._ask_run("run/abort", reason=reason))
        self._open(dialog)

    def _open_login(self) -> None:
        dialog = Login(self)
        dialog.answered.connect(lambda person: self._ask_run("auth/login", person=person))
        self._open(dialog)

    def _open(self, dialog: QtWidgets.QDialog) -> None:
        self.dialog = dialog
        dialog.finished.connect(self._forget_dialog)
        dialog.open()

    def _forget_dialog(self, _result: int) -> None:
        self.dialog = None

    def _ask_limits(self, expression: str) -> None:
        def take(reply: Reply) -> None:
            limits = reply.value if reply.ok else {}
            known = limits.get("low") is not None and limits.get("high") is not None
            pair = (float(limits["low"]), float(limits["high"])) if known else None
            self.builder.set_limits(expression, pair)
            row = self.devices.rows.get(expression)
            if row is not None and pair is not None:
                row.set_limits(pair)

        if expression and self.backend.is_connected:
            self.backend.ask("dev/limits", take, path=expression)

    def _take_state(self, state: dict[str, Any]) -> None:
        self._show_run(state.get("run") or {})
        self._show_person(str(state.get("person") or ""))
        self._show_prompt(str(state.get("prompt") or ""))
        self.plot.load(state.get("last_run"))
        self.builder.forget_limits()

    def _take_notice(self, notice: dict[str, Any]) -> None:
        typ = notice["typ"]
        if typ.startswith(("scan/", "mdw/")):
            self.plot.take(notice)
        elif typ == "run/state":
            self._show_run(notice)
        elif typ == "session/person":
            self._show_person(str(notice.get("person") or ""))
        elif typ == "session/died":
            self._show_run({"state": "dead"})
            self.run_bar.show_error(f"the console ended: {notice.get('reason') or 'no reason known'}")
        elif typ == "cmd/running":
            self._show_prompt(f"In [{notice.get('n')}] runs")
        elif typ == "cmd/done":
            self._show_prompt("")
        elif typ == "devices/changed":
            self.builder.forget_limits()
            if self._prompt == "starting":  # its script has made the devices
                self._show_prompt("")

    def _show_run(self, run: dict[str, Any]) -> None:
        self.run = run
        self.run_bar.show_run(run)
        self.plot.show_run_state(str(run.get("state") or ""))

    def _show_person(self, person: str) -> None:
        self.person = person
        self.run_bar.show_person(person)

    def _show_prompt(self, prompt: str) -> None:
        self._prompt = prompt
        said = {"occupied": "the prompt waits for an answer", "starting": "the console starts", "idle": ""}
        self.run_bar.show_activity(said.get(prompt, prompt))

    def _show_connection(self, connected: bool) -> None:  # noqa: FBT001  # the slot of a signal
        self.run_bar.show_connection(connected=connected)
        self.devices.enable_controls(enabled=connected)
        self.builder.setEnabled(connected)
        self.history.run.setEnabled(connected)

    def closeEvent(self, event: QtGui.QCloseEvent) -> None:
        """Qt's hook: leave Tango and the session host before any widget is deleted."""
        if not self._closed:
            self._closed = True
            self.devices.stop_listening()
            self.backend.close()
        super().closeEvent(event)
