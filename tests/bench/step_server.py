"""A Tango motor whose moves take no time, with ten attributes beside it: what a scan of it takes is overhead alone."""

from __future__ import annotations

import sys

from tango import AttrWriteType, DevState
from tango.server import Device, attribute, command, run

SERVER = "QuickMotor/bench"
NAMES = ("bench/quick/1", "bench/quick/2")
"""The motor, and the device whose attributes are read."""
CHANNELS = tuple(f"Channel{number}" for number in range(10))


class QuickMotor(Device):
    """Position is where it was written at once; State is always ON."""

    vars().update({name: attribute(dtype=float, unit="V", fget="read_channel") for name in CHANNELS})

    def init_device(self) -> None:
        super().init_device()
        self._position = 0.0
        self.set_state(DevState.ON)
        self.set_change_event("State", True, False)
        self.set_change_event("Position", True, False)

    @attribute(dtype=float, access=AttrWriteType.READ_WRITE, unit="mm", format="%.4f", min_value=-100, max_value=100)
    def Position(self) -> float:
        return self._position

    @Position.write
    def Position(self, value: float) -> None:
        self._position = value
        self.push_change_event("Position", value)

    def read_channel(self) -> float:
        return 0.5

    @command
    def Stop(self) -> None:
        """It never moves."""


def main() -> None:
    run(
        [QuickMotor],
        args=["QuickMotor", sys.argv[1], "-ORBendPoint", "giop:tcp:127.0.0.1:0"],
        post_init_callback=_ready,
    )


def _ready() -> None:
    print("ready", flush=True)


if __name__ == "__main__":
    main()
