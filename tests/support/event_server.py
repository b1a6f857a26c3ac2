"""A Tango server without database that pushes events when told: `python -m tests.support.event_server PORT`."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from tango import AttrQuality
from tango.server import Device, attribute, command, run

DEVICE = "test/emitter/1"


class Emitter(Device):  # type: ignore[misc]
    """`value` and `curve` change when `emit` says so."""

    def init_device(self) -> None:
        super().init_device()
        self._value = 0.0
        for name in ("value", "curve", "label"):
            self.set_change_event(name, True, False)

    @attribute(dtype=float)
    def value(self) -> float:
        return self._value

    @attribute(dtype=(int,), max_dim_x=16)
    def curve(self) -> Any:
        return np.arange(4)

    @attribute(dtype=str)
    def label(self) -> str:
        return "text"

    @attribute(dtype=float)
    def silent(self) -> float:
        """Neither polled nor pushed."""
        return 1.0

    @command(dtype_in=int)
    def emit(self, count: int) -> None:
        """Push that many values, each one more than the last, with time stamps 1000, 1001, …"""
        for _ in range(count):
            self._value += 1.0
            self.push_change_event("value", self._value, 1000.0 + self._value, AttrQuality.ATTR_VALID)

    @command
    def emit_invalid(self) -> None:
        self.push_change_event("value", self._value, 0.0, AttrQuality.ATTR_INVALID)

    @command(dtype_in=int)
    def emit_curve(self, length: int) -> None:
        self.push_change_event("curve", np.arange(length) * 10)


def main() -> None:
    """Serve on this machine only."""
    point = f"giop:tcp:127.0.0.1:{sys.argv[1]}"
    run((Emitter,), args=["Emitter", "test", "-nodb", "-dlist", DEVICE, "-ORBendPoint", point])


if __name__ == "__main__":
    main()
