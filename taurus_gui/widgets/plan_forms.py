"""The fields of each plan in the scan builder; each form reads its fields into one command."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from taurus.external.qt import QtCore, QtWidgets

from mamba.errors import BadValue
from taurus_gui import command_text
from taurus_gui.widgets.field import Field, make_label, say_limits

ELEMENTS = ("Ti", "V", "Cr", "Mn", "Fe", "Co", "Ni", "Cu", "Zn", "Ga", "Ge", "As", "Se", "Br", "Mo", "Ag", "Pt", "Au")
"""Absorbers offered in the list; any other symbol can be typed."""
EDGES = ("K", "L1", "L2", "L3")


@dataclass(frozen=True)
class Chosen:
    """What stands beside the fields: motor, its limits and position (None: unknown), detectors, camera."""

    motor: str = ""
    limits: tuple[float, float] | None = None
    position: float | None = None
    detectors: tuple[str, ...] = field(default=())
    camera: str = ""


class PlanForm(QtWidgets.QWidget):
    """The fields of one plan. Signal: `changed()`. `needs` names what of motor, detectors, camera it uses."""

    changed = QtCore.Signal()
    needs: frozenset[str] = frozenset()

    def __init__(self) -> None:
        super().__init__()
        self._layout = QtWidgets.QGridLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setHorizontalSpacing(10)
        self._layout.setVerticalSpacing(2)
        self._layout.setRowStretch(2, 1)
        self._columns = 0

    def add(self, label: str, widget: QtWidgets.QWidget) -> None:
        """Put a labelled widget to the right of the others."""
        self._layout.addWidget(make_label(label, "head"), 0, self._columns)
        self._layout.addWidget(widget, 1, self._columns, QtCore.Qt.AlignTop)
        self._layout.setColumnStretch(self._columns, 1)
        self._columns += 1

    def add_field(self, label: str, text: str = "", *, hint: str = "") -> Field:
        """Put a labelled field to the right of the others."""
        made = Field(text, hint=hint, name=label)
        made.changed.connect(self.changed)
        self.add(label, made)
        return made

    def make_command(self, chosen: Chosen) -> str | None:
        """The command, or None after each wrong field has said why.

        Raises:
            BadValue: what stands beside the fields does not fit (no detector, no camera).
        """
        raise NotImplementedError


class ScanForm(PlanForm):
    """From, to and number of points; absolute, or relative to where the motor stands."""

    needs = frozenset({"motor", "detectors"})

    def __init__(self, plan: command_text.StepPlan) -> None:
        super().__init__()
        self.plan = plan
        self.start = self.add_field("From", hint="first")
        self.stop = self.add_field("To", hint="last")
        self.points = self.add_field("Points", "21")

    def make_command(self, chosen: Chosen) -> str | None:
        """See `PlanForm`."""
        ends = [
            (self.start, self.start.read(partial(self._read_end, chosen, "from"))),
            (self.stop, self.stop.read(partial(self._read_end, chosen, "to"))),
        ]
        points = self.points.read(lambda text: command_text.count_text(text, least=2))
        if points is None or any(value is None for _, value in ends):
            return None
        return command_text.scan_command(
            self.plan,
            chosen.detectors,
            chosen.motor,
            start=self.start.text(),
            stop=self.stop.text(),
            points=points,
        )

    def _read_end(self, chosen: Chosen, what: str, text: str) -> str:
        literal = command_text.number_text(text, what=what)
        base = 0.0 if self.plan == "scan" else chosen.position
        if chosen.limits is not None and base is not None:
            low, high = chosen.limits
            if not low <= base + float(literal) <= high:
                raise BadValue(f"outside {say_limits(chosen.limits)}")
        return literal


class XafsForm(PlanForm):
    """Absorption spectrum: element, edge and a factor for the counting times."""

    needs = frozenset({"motor", "detectors"})

    def __init__(self) -> None:
        super().__init__()
        self.element = _make_combo(ELEMENTS, "Cu", editable=True, name="Element")
        self.edge = _make_combo(EDGES, "K", editable=False, name="Edge")
        for label, combo in (("Element", self.element), ("Edge", self.edge)):
            self.add(label, combo)
            combo.currentTextChanged.connect(lambda _text: self.changed.emit())
        self.time_scale = self.add_field("Time scale", "1", hint="1 = 0.5 to 4 s a point")

    def make_command(self, chosen: Chosen) -> str | None:
        """See `PlanForm`."""
        scale = self.time_scale.read(lambda text: command_text.positive_text(text, what="time scale"))
        if scale is None:
            return None
        element = self.element.currentText().strip()
        if not element:
            raise BadValue("element: none chosen", remedy="write a symbol, as in Cu")
        return command_text.xafs_command(
            chosen.detectors, chosen.motor, element=element, edge=self.edge.currentText(), time_scale=scale
        )


class CountForm(PlanForm):
    """Readings without a motor."""

    needs = frozenset({"detectors"})

    def __init__(self) -> None:
        super().__init__()
        self.readings = self.add_field("Readings", "5")
        self.delay = self.add_field("Delay (s)", hint="none")

    def make_command(self, chosen: Chosen) -> str | None:
        """See `PlanForm`."""
        readings = self.readings.read(lambda text: command_text.count_text(text, what="readings"))
        delay = self.delay.read(_optional("delay"))
        if readings is None or delay is None:
            return None
        return command_text.count_command(chosen.detectors, readings=readings, delay_s=delay)


class AcquireForm(PlanForm):
    """Frames of a camera, through the data worker."""

    needs = frozenset({"camera"})

    def __init__(self) -> None:
        super().__init__()
        self.frames = self.add_field("Frames", "100")
        self.exposure = self.add_field("Exposure (s)", hint="as set")
        self.period = self.add_field("Period (s)", hint="as fast as it can")

    def make_command(self, chosen: Chosen) -> str | None:
        """See `PlanForm`."""
        frames = self.frames.read(lambda text: command_text.count_text(text, what="frames"))
        exposure, period = self.exposure.read(_optional("exposure")), self.period.read(_optional("period"))
        if frames is None or exposure is None or period is None:
            return None
        if not chosen.camera:
            raise BadValue("camera: the profile has none")
        return command_text.acquire_command(chosen.camera, frames=frames, exposure_s=exposure, period_s=period)


def _optional(what: str) -> Callable[[str], str]:
    return lambda text: command_text.positive_text(text, what=what) if text.strip() else ""


def _make_combo(items: Sequence[str], current: str, *, editable: bool, name: str) -> QtWidgets.QComboBox:
    combo = QtWidgets.QComboBox()
    combo.addItems(list(items))
    combo.setEditable(editable)
    combo.setCurrentText(current)
    combo.setAccessibleName(name)
    return combo
