"""One device in the devices panel: live value and state, limits, and the fields that build its commands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from taurus.external.qt import QtCore, QtWidgets

from mamba.config import DeviceConfig
from mamba.errors import BadValue, MambaError
from taurus_gui import command_text
from taurus_gui.receipt import Receipt
from taurus_gui.style import set_property
from taurus_gui.widgets.field import ErrorLine, allow, make_button, make_label, say_briefly, say_limits
from taurus_gui.widgets.live import LiveLabel, StateBadge

_DEFAULT_ATTRIBUTE = {"motor": "Position", "counter": "Value", "camera": "FrameRate", "signal": "Value"}
_FIELD_WIDTH = 78

MakeCommand = Callable[[], str]


class DeviceRow(QtCore.QObject):
    """The widgets of one device; the panel puts them into its grid.

    Signals: `previewed(str)`: the command that a button would send; `run_requested(str, object)`: send it now and
    call the second argument with the receipt; `limits_wanted(str)`: ask the console for the limits of a motor whose
    limits depend on the person's role.
    """

    previewed = QtCore.Signal(str)
    run_requested = QtCore.Signal(str, object)
    limits_wanted = QtCore.Signal(str)

    def __init__(self, expression: str, config: DeviceConfig, tango_host: str, parent: QtCore.QObject) -> None:
        super().__init__(parent)
        self.expression, self.config = expression, config
        self.limits: tuple[float, float] | None = None
        self._server_limits: tuple[float, float] | None = None
        model = f"tango://{tango_host}/{config.tango}"
        self.name = make_label(expression)
        self.name.setToolTip(f"{config.type}, {config.tango}")
        self.state = StateBadge(model)
        attribute = config.attribute or _DEFAULT_ATTRIBUTE.get(config.type)
        self.value = LiveLabel(f"{model}/{attribute}") if attribute else None
        self.limits_label = make_label("", "muted")
        self.error = ErrorLine()
        self.controls = QtWidgets.QWidget()
        self._why_not = ""
        self._buttons: list[QtWidgets.QPushButton] = []
        self._controls_layout = QtWidgets.QHBoxLayout(self.controls)
        self._controls_layout.setContentsMargins(0, 0, 0, 0)
        self._controls_layout.setSpacing(4)
        if self.value is not None:
            self.value.setProperty("role", "value")
            self.value.setAlignment(QtCore.Qt.AlignRight | QtCore.Qt.AlignVCenter)
            self.value.value_changed.connect(self._note_limits)
        if config.type == "motor":
            self._add_motor_fields()
        elif config.type == "shutter":
            self._add_button("Open", lambda: command_text.shutter_command(expression, "open"))
            self._add_button("Close", lambda: command_text.shutter_command(expression, "closed"))
        self._controls_layout.addStretch(1)

    def _add_motor_fields(self) -> None:
        self.step = self._add_field("step", "Relative step, in the unit shown")
        self.minus = self._add_button("−", lambda: self._jog(-1), role="small")
        self.plus = self._add_button("+", lambda: self._jog(1), role="small")
        self.target = self._add_field("move to", "Absolute position, in the unit shown")
        self.go = self._add_button("Go", self._move)
        self.target.textEdited.connect(lambda *_: self._preview(self._move))
        self.target.returnPressed.connect(lambda: self._send(self._move, self.target))
        self.step.textEdited.connect(lambda *_: self._preview(lambda: self._jog(1)))

    def _add_field(self, hint: str, tip: str) -> QtWidgets.QLineEdit:
        edit = QtWidgets.QLineEdit()
        edit.setPlaceholderText(hint)
        edit.setToolTip(tip)
        edit.setAccessibleName(f"{self.expression} {hint}")
        edit.setFixedWidth(_FIELD_WIDTH)
        self._controls_layout.addWidget(edit)
        return edit

    def _add_button(self, text: str, make: MakeCommand, *, role: str = "") -> QtWidgets.QPushButton:
        button = make_button(text, role)
        button.setAccessibleName(f"{self.expression} {text}")
        # pressed comes before clicked: the command is on the screen before the finger leaves the button
        button.pressed.connect(lambda: self._preview(make))
        button.clicked.connect(lambda *_: self._send(make, button))
        self._buttons.append(button)
        self._controls_layout.addWidget(button)
        return button

    def _move(self) -> str:
        text = command_text.move_command(self.expression, self.target.text())
        self._check(float(command_text.number_text(self.target.text())), "position")
        return text

    def _jog(self, direction: Any) -> str:
        text = command_text.jog_command(self.expression, self.step.text(), direction=direction)
        if self.value is not None and isinstance(self.value.value, (int, float)):
            self._check(self.value.value + direction * float(command_text.number_text(self.step.text())), "target")
        return text

    def _check(self, target: float, what: str) -> None:
        if self.limits and not self.limits[0] <= target <= self.limits[1]:
            raise BadValue(f"{what} {target:g} is outside {say_limits(self.limits)}")

    def _preview(self, make: MakeCommand) -> None:
        try:
            self.previewed.emit(make())
        except MambaError:
            self.previewed.emit("")  # said beneath the field when the button is used

    def _send(self, make: MakeCommand, source: QtWidgets.QWidget) -> None:
        if self._why_not:  # Enter in a field comes here too
            self._show_error(self._why_not, "")
            return
        try:
            text = make()
        except MambaError as error:
            self._show_error(say_briefly(error), "step" if source.text() in ("−", "+") else "target")
            return
        self._show_error("", "")
        self.run_requested.emit(text, self.show_outcome)

    def _show_error(self, text: str, field: str) -> None:
        self.error.show_text(text)
        if self.config.type == "motor":
            set_property(self.step, "invalid", bool(text) and field == "step")
            set_property(self.target, "invalid", bool(text) and field == "target")

    def show_outcome(self, receipt: Receipt) -> None:
        """Say beneath the device how its command ended, when it failed."""
        self._show_error(receipt.outcome if receipt.failed else "", "")

    def set_limits(self, limits: tuple[float, float] | None) -> None:
        """Show the limits and check targets against them."""
        self.limits = limits
        self.limits_label.setText(say_limits(limits) if limits else "")

    def _note_limits(self, _value: object) -> None:
        """Take the server's limits; where the profile has limits by role the console says which hold."""
        limits = self.value.limits if self.value is not None else None
        if self.config.type != "motor" or limits is None:
            return
        if not self.config.limits:
            self.set_limits(limits)
        elif limits != self._server_limits:
            self._server_limits = limits
            self.limits_wanted.emit(self.expression)

    def forget_limits(self) -> None:
        """Ask again for the limits by role: the console, or the person at this window, is another one."""
        if self.config.limits:
            self.set_limits(None)
            self.limits_wanted.emit(self.expression)

    def allow_commands(self, why_not: str) -> None:
        """Let commands be sent, or say why not."""
        self._why_not = why_not
        for button in self._buttons:
            allow(button, why_not)

    @property
    def labels(self) -> list[LiveLabel]:
        """What listens to Tango."""
        return [self.state] if self.value is None else [self.state, self.value]
