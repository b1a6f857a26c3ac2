"""A robot operator: works the window by its fields and buttons, as a hand would, and waits for receipts.

For demonstrations and tests. It never calls what lies behind a button; it types, ticks and clicks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from PyQt5 import QtTest  # the one module of Qt that taurus.external.qt does not pass on
from taurus.external.qt import QtCore, QtWidgets

from mamba.errors import ReplyTimeout, UnknownDevice, find_nearest
from taurus_gui.dialogs.ask_text import AskText
from taurus_gui.dialogs.login import Login
from taurus_gui.receipt import Receipt
from taurus_gui.widgets.field import Field
from taurus_gui.widgets.menu_button import MenuButton
from taurus_gui.widgets.plan_forms import AcquireForm, ScanForm, XafsForm
from taurus_gui.window import OperatorWindow

OnProgress = Callable[[int, int], None]
"""Called with points or frames done and in all (0 while unknown)."""

_HAND: Any = QtTest.QTest  # its stubs take the static functions for methods
_READY_S, _SHORT_S, _LONG_S = 30.0, 30.0, 900.0
_SLICE_MS = 20


class Operator:
    """Works one window; every wait processes events and has a deadline (s)."""

    def __init__(self, window: OperatorWindow) -> None:
        self.window = window
        self._receipts: list[Receipt] = []
        window.commander.receipt_changed.connect(self._note)

    def _note(self, receipt: Receipt) -> None:
        self._receipts.append(receipt)

    def wait_until(self, look: Callable[[], object], *, what: str, timeout_s: float = _SHORT_S) -> None:
        """Process events until `look` gives something true.

        Raises:
            ReplyTimeout: not in time; says `what` was waited for.
        """
        deadline = time.monotonic() + timeout_s
        while not look():
            if time.monotonic() > deadline:
                raise ReplyTimeout(f"window: waited for {what}", seen=f"not within {timeout_s:g} s")
            _HAND.qWait(_SLICE_MS)

    def wait_ready(self, timeout_s: float = _READY_S) -> None:
        """Until the window is connected and knows the session's state."""
        self.wait_until(
            lambda: self.window.backend.is_connected and self.window.run, what="the console", timeout_s=timeout_s
        )

    def scan_xafs(
        self,
        *,
        element: str = "Cu",
        edge: str = "K",
        detectors: Sequence[str] = ("D.i0", "D.i1"),
        motor: str = "M.energy",
        time_scale: float = 0.02,
        on_progress: OnProgress | None = None,
        timeout_s: float = _LONG_S,
    ) -> Receipt:
        """Measure an absorption spectrum with the scan builder."""
        form = self._choose_plan("xafs_scan", motor, detectors)
        assert isinstance(form, XafsForm)
        self._type(form.element.lineEdit(), element)
        self._choose(form.edge, edge)
        self._type(form.time_scale, f"{time_scale:g}")
        return self._run_builder(on_progress, timeout_s)

    def scan(
        self,
        *,
        start: str,
        stop: str,
        points: int,
        plan: str = "scan",
        detectors: Sequence[str] = ("D.i0", "D.i1"),
        motor: str = "M.energy",
        on_progress: OnProgress | None = None,
        timeout_s: float = _LONG_S,
    ) -> Receipt:
        """Run a step scan with the scan builder; the ends as one types them."""
        self.fill_scan(start=start, stop=stop, points=points, plan=plan, detectors=detectors, motor=motor)
        return self._run_builder(on_progress, timeout_s)

    def fill_scan(self, *, start: str, stop: str, points: int, plan: str, detectors: Sequence[str], motor: str) -> None:
        """Fill the fields of a step scan and press nothing."""
        form = self._choose_plan(plan, motor, detectors)
        assert isinstance(form, ScanForm)
        for field, text in ((form.start, start), (form.stop, stop), (form.points, str(points))):
            self._type(field, text)

    def acquire(
        self,
        *,
        camera: str = "D.camera",
        frames: int = 2000,
        on_progress: OnProgress | None = None,
        timeout_s: float = _LONG_S,
    ) -> Receipt:
        """Acquire frames with the scan builder."""
        builder = self.window.builder
        self.wait_ready()
        self._choose(builder.plan, "acquire")
        self._choose(builder.camera, camera)
        form = builder.form
        assert isinstance(form, AcquireForm)
        self._type(form.frames, str(frames))
        return self._run_builder(on_progress, timeout_s)

    def type_command(self, text: str, *, timeout_s: float = _LONG_S) -> Receipt:
        """Type a command into the command line and press Run."""
        self.wait_ready()
        self._type(self.window.history.entry, text)
        return self._press(self.window.history.run, timeout_s=timeout_s)

    def move(self, motor: str, position: str, *, timeout_s: float = _LONG_S) -> Receipt:
        """Move a motor in the devices panel."""
        self.wait_ready()
        row = self.window.devices.rows[motor]
        self._type(row.target, position)
        return self._press(row.go, timeout_s=timeout_s)

    def jog(self, motor: str, step: str, *, forward: bool = True, timeout_s: float = _LONG_S) -> Receipt:
        """Jog a motor in the devices panel."""
        self.wait_ready()
        row = self.window.devices.rows[motor]
        self._type(row.step, step)
        return self._press(row.plus if forward else row.minus, timeout_s=timeout_s)

    def log_in(self, person: str, password: str = "", proposal: str = "") -> None:
        """Log in by the dialog; returns when the window shows the name."""
        self.wait_ready()
        self.fill_login(person, password, proposal)
        self.wait_until(
            lambda: self.window.people.access.person == person and self.window.dialog is None,
            what=f"{person} to be logged in",
        )

    def fill_login(self, person: str, password: str = "", proposal: str = "") -> Login:
        """Open the login's dialog, fill its fields and press its button; returns the dialog."""
        self._press_when_enabled(self.window.run_bar.people.login)
        dialog = self._find_dialog()
        assert isinstance(dialog, Login)
        for edit, text in ((dialog.edit, person), (dialog.password, password), (dialog.proposal, proposal)):
            self._type(edit, text)
        self._press_when_enabled(dialog.confirm)
        return dialog

    def log_out(self) -> Receipt:
        """Press Log out where nobody has to log in, which is a command."""
        self.wait_ready()
        return self._press(self.window.run_bar.people.logout, timeout_s=_SHORT_S)

    def pause(self) -> None:
        """Press Pause; returns when the run is paused."""
        self._press_when_enabled(self.window.run_bar.pause)
        self.wait_until(lambda: self.window.run.get("state") == "paused", what="the run to be paused")

    def resume(self) -> None:
        """Press Resume; returns when the run goes on."""
        self._press_when_enabled(self.window.run_bar.resume)
        self.wait_until(lambda: self.window.run.get("state") != "paused", what="the run to go on")

    def abort(self, reason: str) -> None:
        """Press Abort and give the reason; returns when the run has ended."""
        button = self.window.run_bar.abort
        self.wait_until(button.isEnabled, what="a run to abort")
        self._answer_dialog(button, reason)
        self.wait_until(lambda: self.window.run.get("state") == "idle", what="the end of the run")

    def choose(self, button: MenuButton, text: str) -> None:
        """Open a button's menu and click the choice `text`."""
        self._press_when_enabled(button)
        menu = button.choices
        self.wait_until(menu.isVisible, what=f"the menu of {button.text()!r}")
        action = next((action for action in menu.actions() if action.text() == text and action.isVisible()), None)
        if action is None:
            raise UnknownDevice(f"{text!r}: not offered by {button.text()!r}")
        _HAND.mouseClick(menu, QtCore.Qt.LeftButton, pos=menu.actionGeometry(action).center())

    def wait_at_rest(self) -> None:
        """Until no device is shown as moving or counting any more: the window shows states a little later."""
        rows = self.window.devices.rows.values()
        self.wait_until(
            lambda: not {row.state.text() for row in rows} & {"MOVING", "RUNNING"}, what="the devices to be at rest"
        )

    def screenshot(self, path: Path) -> None:
        """Save the window as it looks now."""
        self.window.plot.redraw()
        _HAND.qWait(_SLICE_MS)
        self.window.grab().save(str(path))

    def _choose_plan(self, plan: str, motor: str, detectors: Sequence[str]) -> QtWidgets.QWidget:
        self.wait_ready()
        builder = self.window.builder
        self._choose(builder.plan, plan)
        self._choose(builder.motor, motor)
        self._tick(builder.detectors, detectors)
        return builder.form

    def _tick(self, boxes: QtWidgets.QListWidget, wanted: Sequence[str]) -> None:
        items = {boxes.item(line).text(): boxes.item(line) for line in range(boxes.count())}
        for name in wanted:
            if name not in items:
                raise UnknownDevice(f"{name!r}: not offered as a detector", remedy=find_nearest(name, list(items)))
        for name, item in items.items():
            if (item.checkState() == QtCore.Qt.Checked) != (name in wanted):
                boxes.setCurrentItem(item)
                _HAND.keyClick(boxes, QtCore.Qt.Key_Space)

    def _choose(self, combo: QtWidgets.QComboBox, text: str) -> None:
        items = [combo.itemText(index) for index in range(combo.count())]
        if text not in items:
            raise UnknownDevice(f"{text!r}: not offered by {combo.accessibleName()}", remedy=find_nearest(text, items))
        steps = items.index(text) - combo.currentIndex()
        for _ in range(abs(steps)):
            _HAND.keyClick(combo, QtCore.Qt.Key_Down if steps > 0 else QtCore.Qt.Key_Up)

    def _type(self, field: Field | QtWidgets.QLineEdit, text: str) -> None:
        edit = field.edit if isinstance(field, Field) else field
        edit.setFocus()
        edit.selectAll()
        _HAND.keyClick(edit, QtCore.Qt.Key_Delete)
        _HAND.keyClicks(edit, text)

    def _run_builder(self, on_progress: OnProgress | None, timeout_s: float) -> Receipt:
        preview, plot = self.window.builder.preview, self.window.plot
        self.wait_until(preview.run.isEnabled, what="the scan builder to make a command", timeout_s=_SHORT_S)
        if on_progress is not None:
            plot.progressed.connect(on_progress)
        try:
            return self._press(preview.run, timeout_s=timeout_s)
        finally:
            if on_progress is not None:
                plot.progressed.disconnect(on_progress)

    def _press(self, button: QtWidgets.QPushButton, *, timeout_s: float) -> Receipt:
        """Click a button that sends a command and wait for that command's receipt."""
        mark = len(self._receipts)
        self._press_when_enabled(button)
        self.wait_until(lambda: self._find_own(mark), what="the command's receipt", timeout_s=timeout_s)
        receipt = self._find_own(mark)
        assert receipt is not None
        return receipt

    def _find_own(self, mark: int) -> Receipt | None:
        later = self._receipts[mark:]
        own = next((r.id for r in later if r.origin.startswith("window")), None)
        return next((r for r in later if r.id == own and r.done), None)

    def _press_when_enabled(self, button: QtWidgets.QPushButton) -> None:
        self.wait_until(button.isEnabled, what=f"the button {button.text()!r}")
        _HAND.mouseClick(button, QtCore.Qt.LeftButton)

    def _answer_dialog(self, button: QtWidgets.QPushButton, text: str) -> None:
        self._press_when_enabled(button)
        self.answer_dialog(text)

    def answer_dialog(self, text: str) -> None:
        """Type into the one field of the open dialog and confirm."""
        dialog = self._find_dialog()
        assert isinstance(dialog, AskText)
        self._type(dialog.edit, text)
        _HAND.mouseClick(dialog.confirm, QtCore.Qt.LeftButton)

    def _find_dialog(self) -> QtWidgets.QDialog:
        self.wait_until(lambda: self.window.dialog is not None, what="the dialog")
        assert self.window.dialog is not None
        return self.window.dialog
