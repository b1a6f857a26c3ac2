"""The operator's window: the panels, and the wires between them, the backend link and the commander."""

from __future__ import annotations

from typing import Any

from taurus.external.qt import QtCore, QtGui, QtWidgets

from mamba.config import Profile
from mamba.wire.messages import Reply
from taurus_gui import command_text
from taurus_gui.backend import Backend
from taurus_gui.commander import Commander
from taurus_gui.console_screen import KEPT_CHARS
from taurus_gui.dialogs.abort_reason import AbortReason
from taurus_gui.dialogs.ask_text import AskText
from taurus_gui.dialogs.halt_reason import HaltReason
from taurus_gui.dialogs.login import Login
from taurus_gui.dialogs.node_parameters import NodeParameters
from taurus_gui.people import People
from taurus_gui.receipt import Receipt
from taurus_gui.run_model import say_made_safe, say_run_state, say_stopped_all
from taurus_gui.widgets.console_view import ConsoleView
from taurus_gui.widgets.control_strip import ControlStrip
from taurus_gui.widgets.devices_panel import DevicesPanel
from taurus_gui.widgets.graph_panel import GraphPanel
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
        self.people = People(backend, _BAR, self)
        self.run_bar = RunBar(profile.title or profile.name)
        self.devices = DevicesPanel(profile, tango_host)
        self.builder = ScanBuilder(profile, self.devices.position)
        self.plot = LivePlot()
        self.history = History()
        self.console = ConsoleView()
        self.graph = GraphPanel()
        self.parameters = NodeParameters(self)
        self.control_strip = ControlStrip()
        self.run: dict[str, Any] = {}
        self._prompt = self._role = ""
        self.dialog: QtWidgets.QDialog | None = None
        self._closed = False
        self.setWindowTitle(f"{profile.title or profile.name}: Mamba")
        self._lay_out()
        self._connect()
        self._show_connection(backend.is_connected)

    def _lay_out(self) -> None:
        self.setMenuWidget(_stack(self.run_bar, self.control_strip))
        self.setCentralWidget(self.plot)
        self.setCorner(QtCore.Qt.BottomLeftCorner, QtCore.Qt.BottomDockWidgetArea)
        devices = self._add_dock("Devices", self.devices, QtCore.Qt.LeftDockWidgetArea)
        builder = self._add_dock("Scan", self.builder, QtCore.Qt.LeftDockWidgetArea)
        history = self._add_dock("Commands", self.history, QtCore.Qt.BottomDockWidgetArea)
        console = self._add_dock("Console", self.console, QtCore.Qt.BottomDockWidgetArea)
        self.setTabPosition(QtCore.Qt.BottomDockWidgetArea, QtWidgets.QTabWidget.North)
        # behind another tab a dock is not hidden: only this signal tells
        console.visibilityChanged.connect(self.console.note_sight)
        graph = self._add_dock("Graph", self.graph, QtCore.Qt.BottomDockWidgetArea)
        graph.visibilityChanged.connect(self.graph.note_sight)
        self.tabifyDockWidget(history, console)
        self.tabifyDockWidget(console, graph)
        history.raise_()
        for dock in (history, console, graph):
            _name_by_tab(dock)
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
        for asking in (self.builder, self.devices):
            asking.limits_wanted.connect(self._ask_limits)
        senders = ((self.devices, "devices"), (self.builder, "scan"), (self.history, "command line"))
        for panel, origin in (*senders, (self.parameters, "graph")):
            panel.run_requested.connect(self._make_sender(f"window: {origin}"))
        bar = self.run_bar
        bar.pause_requested.connect(self._pause)
        bar.resume_requested.connect(lambda: self._ask_run("run/resume"))
        bar.stop_requested.connect(lambda: self._ask_run("run/stop"))
        bar.abort_requested.connect(lambda: self._open_reason(AbortReason(self), "run/abort"))
        bar.halt_requested.connect(lambda: self._open_reason(HaltReason(self), "run/halt"))
        bar.stop_all_requested.connect(self._stop_all)
        bar.people.login_requested.connect(self._open_login)
        bar.people.logout_requested.connect(self.log_out)
        bar.people.control_requested.connect(self._ask_control)
        self.graph.status_wanted.connect(self._ask_graph)
        self.graph.preview_wanted.connect(self._ask_preview)
        self.graph.parameters_wanted.connect(self.parameters.open_for)
        self.parameters.graph_wanted.connect(self._ask_nodes)
        self.parameters.kind_wanted.connect(self._ask_kind)
        self.control_strip.given.connect(lambda: self._ask_control("give"))
        self.control_strip.kept.connect(lambda: self._ask_control("keep"))
        self.people.changed.connect(self._show_access)
        self.people.told.connect(bar.show_error)

    def _make_sender(self, origin: str) -> Any:
        return lambda text, on_outcome: self.commander.send(text, origin=origin, on_outcome=on_outcome)

    def log_out(self) -> None:
        """End the login of this window; where nobody logs in, inject `U.logout()`. An error is shown in the bar."""
        if self.people.access.required:
            self.people.log_out(self._show_bar_reply)
        else:
            self.commander.send(command_text.logout_command(), origin=_BAR, on_outcome=self._show_bar_outcome)

    def _show_bar_outcome(self, receipt: Receipt) -> None:
        self.run_bar.show_error(receipt.outcome if receipt.failed else "")

    def _ask_run(self, verb: str, **fields: Any) -> None:
        self.run_bar.show_error("")
        self.backend.ask(verb, self._show_bar_reply, origin=_BAR, **fields)

    def _stop_all(self) -> None:
        def show_refusal(reply: Reply) -> None:
            if not reply.ok:  # what was stopped is told by a notice
                self._show_bar_reply(reply)

        self.backend.ask("run/stop_all", show_refusal, origin=_BAR)

    def _pause(self, defer: bool) -> None:  # noqa: FBT001  # the slot of a signal
        self._ask_run("run/pause", defer=defer)
        if defer:
            self.run_bar.show_activity("pauses at the next checkpoint")

    def _ask_control(self, verb: str, fields: dict[str, Any] | None = None) -> None:
        self.run_bar.show_error("")
        self.people.ask_control(verb, self._show_bar_reply, **(fields or {}))

    def _show_bar_reply(self, reply: Reply) -> None:
        self.run_bar.show_error("" if reply.ok else f"{reply.desc.splitlines()[0]} ({reply.err})")

    def _open_reason(self, dialog: AskText, verb: str) -> None:
        dialog.answered.connect(lambda reason: self._ask_run(verb, reason=reason))
        self._open(dialog)

    def _open_login(self) -> None:
        dialog = Login(self, with_password=self.people.access.required)

        def show_reply(reply: Reply) -> None:
            if self.dialog is dialog:  # else it was closed while the host made up its mind
                dialog.show_reply(reply)

        dialog.answered.connect(lambda *answer: self.people.log_in(*answer, on_answer=show_reply))
        self._open(dialog)

    def _open(self, dialog: QtWidgets.QDialog) -> None:
        self.dialog = dialog
        dialog.finished.connect(self._forget_dialog)
        dialog.open()

    def _forget_dialog(self, _result: int) -> None:
        self.dialog = None

    def _ask_graph(self, device: str) -> None:
        if self.backend.is_connected:
            self.backend.ask("graph/status", self.graph.show_status, path=device)

    def _ask_preview(self, node: str, device: str) -> None:
        if self.backend.is_connected:
            self.backend.ask("graph/preview", self.graph.show_preview, node=node, path=device)

    def _ask_nodes(self, device: str) -> None:
        self.backend.ask("graph/describe", self.parameters.show_graph, path=device)

    def _ask_kind(self, kind: str) -> None:
        self.backend.ask("graph/kinds", self.parameters.show_kind, kind=kind)

    def _ask_limits(self, expression: str) -> None:
        role = self._role

        def take(reply: Reply) -> None:
            if role != self._role:
                return  # somebody else is at this window now, and was asked for anew
            limits = reply.value if reply.ok else {}
            known = limits.get("low") is not None and limits.get("high") is not None
            pair = (float(limits["low"]), float(limits["high"])) if known else None
            self.builder.set_limits(expression, pair)
            row = self.devices.rows.get(expression)
            if row is not None and pair is not None:
                row.set_limits(pair)

        if expression and self.backend.is_connected:
            self.backend.ask("dev/limits", take, path=expression)

    def _forget_limits(self) -> None:
        self.builder.forget_limits()
        self.devices.forget_limits()

    def _take_state(self, state: dict[str, Any]) -> None:
        self._show_run(state.get("run") or {})
        self._show_prompt(str(state.get("prompt") or ""))
        self.plot.load(state.get("last_run"))
        self._forget_limits()
        seq = int((state.get("seq") or {}).get("console/output") or 0)
        if seq != self.console.seq or not self.console.is_loaded:
            self.console.await_output(seq)
            self.backend.ask("session/output", self.console.load, limit=KEPT_CHARS)

    def _take_notice(self, notice: dict[str, Any]) -> None:
        typ = notice["typ"]
        if typ.startswith(("scan/", "mdw/")):
            self.plot.take(notice)
            self.graph.take(notice)
        elif typ == "run/state":
            self._show_run(notice)
        elif typ in ("run/suspended", "run/resumed"):
            self._show_run({**self.run, "waits_for": notice["devices"] if typ == "run/suspended" else []})
        elif typ == "console/output":
            self.console.take(notice)
        elif typ == "session/died":
            self._show_run({"state": "dead"})
            self.run_bar.show_error(f"the console ended: {notice.get('reason') or 'no reason known'}")
        elif typ == "session/made-safe":
            self.run_bar.show_error(say_made_safe(notice))
        elif typ == "session/stopped-all":
            self.run_bar.show_error(say_stopped_all(notice))
        elif typ == "run/refused":
            self.run_bar.show_error(f"{str(notice.get('desc')).splitlines()[0]} ({notice.get('err')})")
        elif typ == "cmd/running":
            self._show_prompt(f"In [{notice.get('n')}] runs")
        elif typ == "cmd/done":
            self._show_prompt("")
        elif typ == "devices/changed":
            self._forget_limits()
            if self._prompt == "starting":  # its script has made the devices
                self._show_prompt("")

    def _show_run(self, run: dict[str, Any]) -> None:
        self.run = run
        self.run_bar.show_run(run)
        self.plot.show_run_state(say_run_state(run))

    def _show_prompt(self, prompt: str) -> None:
        self._prompt = prompt
        said = {"occupied": "the prompt waits for an answer", "starting": "the console starts", "idle": ""}
        self.run_bar.show_activity(said.get(prompt, prompt))

    def _show_connection(self, connected: bool) -> None:  # noqa: FBT001  # the slot of a signal
        self.run_bar.show_connection(connected=connected)
        self.builder.setEnabled(connected)
        if not connected:
            self.console.is_loaded = False
        self._show_access()

    def _show_access(self) -> None:
        access = self.people.access
        if access.role != self._role:  # limits are those of a role
            self._role = access.role
            self._forget_limits()
        self.run_bar.show_access(access)
        self.control_strip.show_access(access)
        why_not = access.why_not_act if self.backend.is_connected else "there is no console to send it to"
        for panel in (self.devices, self.builder.preview, self.history, self.parameters):
            panel.allow_commands(why_not)

    def closeEvent(self, event: QtGui.QCloseEvent) -> None:
        """Qt's hook: leave Tango and the session host before any widget is deleted."""
        if not self._closed:
            self._closed = True
            self.parameters.close()
            self.devices.stop_listening()
            self.backend.close()
        super().closeEvent(event)


def _stack(*widgets: QtWidgets.QWidget) -> QtWidgets.QWidget:
    stack = QtWidgets.QWidget()
    layout = QtWidgets.QVBoxLayout(stack)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(0)
    for widget in widgets:
        layout.addWidget(widget)
    return stack


def _name_by_tab(dock: QtWidgets.QDockWidget) -> None:
    """The tab says its name already; a title bar is needed only while the dock floats."""

    def show_title(floating: bool) -> None:  # noqa: FBT001  # the slot of a signal
        dock.setTitleBarWidget(None if floating else QtWidgets.QWidget(dock))

    dock.topLevelChanged.connect(show_title)
    show_title(dock.isFloating())
