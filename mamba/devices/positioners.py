"""Things that are set and are no motors: positions computed by a server, and registers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ophyd import Component, Kind

from mamba.devices.base import TangoDevice
from mamba.devices.motor import Motor
from mamba.devices.signal import TangoSignal
from mamba.devices.waiting import Status
from mamba.errors import BadValue


class PseudoMotor(Motor):
    """A position that the server computes from several motors and sets by moving them, such as Sardana's PseudoMotor.

    It is moved, stopped and judged as a motor is.
    """

    velocity = None
    acceleration = None
    backlash = None

    def physical_of(self, position: float) -> list[float]:
        """Where the motors behind it would go, by the command CalcPhysical; nothing moves."""
        return [float(value) for value in self.link.call("CalcPhysical", position)]

    def pseudo_of(self, physical: Sequence[float]) -> float:
        """The position that belongs to positions of the motors, by the command CalcPseudo; nothing moves."""
        return float(self.link.call("CalcPseudo", list(physical)))


class IORegister(TangoDevice):
    """A register of inputs or outputs: `mv(M.gate, 1)`, or by name with `labels`: `mv(M.gate, "open")`.

    Args:
        tango: Tango device name.
        name: expression.
        labels: name → value.
    """

    whole = "value"
    value = Component(TangoSignal, "Value", kind=Kind.hinted)

    def __init__(self, tango: str, *, name: str, labels: dict[str, int] | None = None, **kwargs: Any) -> None:
        self.labels = dict(labels or {})
        super().__init__(tango, name=name, **kwargs)

    @property
    def position(self) -> Any:
        """The value, by its label where it has one."""
        value = self.value.get()
        return next((label for label, number in self.labels.items() if number == value), value)

    def check_value(self, value: Any) -> None:
        """Refuse what is neither a label nor a value of the attribute's type.

        Raises:
            BadValue, LimitExceeded: nothing was written.
        """
        if isinstance(value, str) and value not in self.labels:
            known = ", ".join(self.labels) or "a number"
            raise BadValue(f"{self.name}: cannot be {value!r}", remedy=f"choose of {known}")
        self.value.check_value(self.labels.get(value, value) if isinstance(value, str) else value)

    def set(self, value: Any, *, timeout: float | None = None) -> Status:
        """Write, and finish when it is read back.

        Raises:
            BadValue, LimitExceeded: at once. DeviceTimeout, DeviceFault, DeviceUnreachable: through the status.
        """
        self.check_value(value)
        status: Status = self.value.set(self.labels[value] if isinstance(value, str) else value, timeout=timeout)
        return status
