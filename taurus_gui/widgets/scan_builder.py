"""Plan, motor, detectors and range become a command that can be read, changed, run or copied."""

from __future__ import annotations

from collections.abc import Callable

from taurus.external.qt import QtCore, QtWidgets

from mamba.config import Profile
from mamba.errors import MambaError
from taurus_gui.style import set_property
from taurus_gui.widgets.command_preview import CommandPreview
from taurus_gui.widgets.field import ErrorLine, make_label, say_briefly
from taurus_gui.widgets.plan_forms import AcquireForm, Chosen, CountForm, PlanForm, ScanForm, XafsForm

Position = Callable[[str], float | None]
"""Live value of a device, None while it is not known."""


class ScanBuilder(QtWidgets.QWidget):
    """The form. Signals: `run_requested(str, object)`; `limits_wanted(str)`: an expression whose limits to ask."""

    run_requested = QtCore.Signal(str, object)
    limits_wanted = QtCore.Signal(str)

    def __init__(self, profile: Profile, position: Position) -> None:
        super().__init__()
        self._position = position
        self._limits: dict[str, tuple[float, float] | None] = {}
        self.forms: dict[str, PlanForm] = {
            "scan": ScanForm("scan"),
            "rel_scan": ScanForm("rel_scan"),
            "xafs_scan": XafsForm(),
            "count": CountForm(),
            "acquire": AcquireForm(),
        }
        devices = profile.devices
        self.plan = self._make_combo("Plan", list(self.forms))
        self.motor = self._make_combo("Motor", [f"M.{k}" for k, c in devices.M.items() if c.type == "motor"])
        self.camera = self._make_combo("Camera", [f"D.{k}" for k, c in devices.D.items() if c.type == "camera"])
        counters = {f"D.{k}": c.type == "counter" for k, c in devices.D.items() if c.type in ("counter", "signal")}
        self.detectors = _make_check_list(counters)
        self.detectors_error = ErrorLine()
        self.stack = QtWidgets.QStackedWidget()
        self.preview = CommandPreview(rows=3)
        self._lay_out()
        self.plan.currentTextChanged.connect(self._change_plan)
        self.motor.currentTextChanged.connect(self._change_motor)
        self.camera.currentTextChanged.connect(self.rebuild)
        self.detectors.itemChanged.connect(self.rebuild)
        for form in self.forms.values():
            form.changed.connect(self.rebuild)
        self.preview.run_requested.connect(lambda text: self.run_requested.emit(text, self.preview.show_outcome))
        self._change_plan(self.plan.currentText())

    def _make_combo(self, name: str, items: list[str]) -> QtWidgets.QComboBox:
        combo = QtWidgets.QComboBox()
        combo.addItems(items)
        combo.setAccessibleName(name)
        return combo

    def _lay_out(self) -> None:
        grid = QtWidgets.QGridLayout(self)
        grid.setContentsMargins(12, 6, 12, 10)
        grid.setHorizontalSpacing(10)
        grid.setVerticalSpacing(3)
        self._labels = {name: make_label(title, "head") for name, title in _TITLES.items()}
        for column, (name, widget) in enumerate((("plan", self.plan), ("motor", self.motor), ("camera", self.camera))):
            # motor and camera share a place: no plan uses both
            grid.addWidget(self._labels[name], 0, min(column, 1))
            grid.addWidget(widget, 1, min(column, 1), QtCore.Qt.AlignTop)
        grid.addWidget(self._labels["detectors"], 0, 2)
        grid.addWidget(self.detectors, 1, 2, 3, 1)
        grid.addWidget(self.detectors_error, 4, 2)
        for form in self.forms.values():
            self.stack.addWidget(form)
        self.stack.setSizePolicy(QtWidgets.QSizePolicy.Preferred, QtWidgets.QSizePolicy.Fixed)
        self.stack.setMinimumHeight(66)
        grid.addWidget(self.stack, 2, 0, 2, 2, QtCore.Qt.AlignTop)
        grid.addWidget(make_label("Command", "head"), 5, 0)
        grid.addWidget(self.preview, 6, 0, 1, 3)
        grid.setRowStretch(3, 1)
        for column, stretch in enumerate((3, 3, 2)):
            grid.setColumnStretch(column, stretch)

    @property
    def form(self) -> PlanForm:
        """The fields of the chosen plan."""
        return self.forms[self.plan.currentText()]

    def list_detectors(self) -> list[str]:
        """What is ticked, from top to bottom."""
        items = [self.detectors.item(line) for line in range(self.detectors.count())]
        return [str(item.text()) for item in items if item.checkState() == QtCore.Qt.Checked]

    def set_limits(self, expression: str, limits: tuple[float, float] | None) -> None:
        """Take the console's answer for a motor."""
        self._limits[expression] = limits
        self.rebuild()

    def forget_limits(self) -> None:
        """Ask again for limits: the console is a new one."""
        self._limits.clear()
        self.limits_wanted.emit(self.motor.currentText())

    def _change_plan(self, _plan: str) -> None:
        self.stack.setCurrentWidget(self.form)
        for name, widget in (("motor", self.motor), ("camera", self.camera), ("detectors", self.detectors)):
            needed = name in self.form.needs
            self._labels[name].setVisible(needed)
            widget.setVisible(needed)
        self.rebuild()

    def _change_motor(self, motor: str) -> None:
        if motor not in self._limits:
            self.limits_wanted.emit(motor)
        self.rebuild()

    def rebuild(self, *_changed: object) -> None:
        """Make the command anew from the fields; the preview is empty while a field is wrong."""
        motor = self.motor.currentText()
        chosen = Chosen(
            motor=motor,
            limits=self._limits.get(motor),
            position=self._position(motor),
            detectors=tuple(self.list_detectors()),
            camera=self.camera.currentText(),
        )
        self._show_choice_error("")
        try:
            text = self.form.make_command(chosen)
        except MambaError as error:
            self._show_choice_error(say_briefly(error))
            text = None
        self.preview.show_command(text or "")

    def _show_choice_error(self, text: str) -> None:
        set_property(self.detectors, "invalid", bool(text) and "detectors" in self.form.needs)
        self.detectors_error.show_text(text)


_TITLES = {"plan": "Plan", "motor": "Motor", "camera": "Camera", "detectors": "Detectors"}


def _make_check_list(names: dict[str, bool]) -> QtWidgets.QListWidget:
    """A list to tick; `names` says which are ticked at first."""
    widget = QtWidgets.QListWidget()
    widget.setAccessibleName("Detectors")
    widget.setMinimumHeight(70)
    widget.setSizePolicy(QtWidgets.QSizePolicy.Preferred, QtWidgets.QSizePolicy.Expanding)
    for name, ticked in names.items():
        item = QtWidgets.QListWidgetItem(name, widget)
        item.setFlags(QtCore.Qt.ItemIsEnabled | QtCore.Qt.ItemIsUserCheckable)
        item.setCheckState(QtCore.Qt.Checked if ticked else QtCore.Qt.Unchecked)
    return widget
