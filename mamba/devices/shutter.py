"""Shutters: open or closed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, ClassVar

from mamba.devices.base import Documents, TangoDevice
from mamba.devices.names import key_of
from mamba.devices.waiting import Status, run_for_status, wait_until
from mamba.errors import BadValue, DeviceFault

_WORDS = {"OPEN": "open", "CLOSE": "closed"}


class Shutter(TangoDevice):
    """A shutter: `mv(M.shutter, "open")`, `mv(M.shutter, "closed")`. Its reading is "open", "closed" or "moving".

    Args:
        tango: Tango device name.
        name: expression.
        timeout_s: longest time to open or close.
    """

    commands: ClassVar[Mapping[str, str]] = {"open": "Open", "closed": "Close"}

    def __init__(self, tango: str, *, name: str, timeout_s: float = 10.0, **kwargs: Any) -> None:
        self.timeout_s = timeout_s
        self.key = key_of(name)
        super().__init__(tango, name=name, **kwargs)

    @property
    def position(self) -> str:
        """One of "open" and "closed", or the Tango state in small letters for anything between."""
        return _say(self.state)

    def locate(self) -> dict[str, str]:
        """Where it is; a shutter keeps no set point of its own."""
        position = self.position
        return {"setpoint": position, "readback": position}

    def check_value(self, value: str) -> None:
        """Refuse everything but "open" and "closed".

        Raises:
            BadValue: nothing moved.
        """
        if value not in self.commands:
            raise BadValue(f"{self.name}: cannot be {value!r}", remedy='set it to "open" or "closed"')

    def set(self, value: str, *, timeout: float | None = None) -> Status:
        """Open or close; the status ends when the shutter says so.

        Raises:
            BadValue: at once; nothing moved.
            DeviceFault, DeviceTimeout, DeviceUnreachable: through the status.
        """
        self.check_value(value)
        wait_s = self.timeout_s if timeout is None else timeout
        return run_for_status(Status(self), lambda: self._go(value, wait_s), name=self.name)

    def open(self) -> None:
        """Open, and wait until it is."""
        self.set("open").wait()

    def close(self) -> None:
        """Close, and wait until it is."""
        self.set("closed").wait()

    def stop(self, *, success: bool = False) -> None:
        """Do nothing: a shutter ends what it began, and the plan that opened it closes it."""

    def read(self) -> Documents:
        """The position under the device's key."""
        return {self.key: {"value": self.position, "timestamp": time.time()}}

    def describe(self) -> Documents:
        """One string."""
        return {self.key: {"source": self.link.source("State"), "dtype": "string", "shape": []}}

    @property
    def hints(self) -> dict[str, list[str]]:
        """Nothing to plot."""
        return {"fields": []}

    def _go(self, value: str, wait_s: float) -> None:
        self.link.call(self.command_of[value])
        readings = wait_until(
            self.link,
            lambda readings: readings["State"].value not in ("MOVING", "RUNNING"),
            attributes=("State",),
            timeout_s=wait_s,
            doing=f"become {value}",
            holds=lambda readings: _say(readings["State"].value) == value,
        )
        state = readings["State"].value
        if _say(state) != value:
            raise DeviceFault(
                f"{self.name}: did not become {value}",
                seen=f"state {state}: {self.link.status_text()}",
                remedy="look at interlocks, then try again",
            )


def _say(state: str) -> str:
    return _WORDS.get(state, state.lower())
