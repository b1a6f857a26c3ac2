"""A motor whose server is busy for `Busy` seconds in every write, and moves `Duration` seconds from then on."""

from __future__ import annotations

import sys
import time

from tango import AttrWriteType, DevState
from tango.server import Device, attribute, command, run

NAME = "test/slow/1"


class Slow(Device):
    """A move goes on until it is over or `Stop` comes; a write holds the device, as real controllers do."""

    def init_device(self) -> None:
        super().init_device()
        self._busy_s, self._duration_s = 0.0, 30.0
        self._target, self._end = 0.0, 0.0
        self.set_state(DevState.ON)

    def dev_state(self) -> DevState:
        return DevState.MOVING if time.monotonic() < self._end else DevState.ON

    @attribute(dtype=float, access=AttrWriteType.READ_WRITE, unit="mm")
    def Position(self) -> float:
        return self._target

    @Position.write
    def Position(self, value: float) -> None:
        time.sleep(self._busy_s)
        self._target, self._end = value, time.monotonic() + self._duration_s

    @attribute(dtype=float, access=AttrWriteType.READ_WRITE, unit="s")
    def Busy(self) -> float:
        return self._busy_s

    @Busy.write
    def Busy(self, value: float) -> None:
        self._busy_s = value

    @attribute(dtype=float, access=AttrWriteType.READ_WRITE, unit="s")
    def Duration(self) -> float:
        return self._duration_s

    @Duration.write
    def Duration(self, value: float) -> None:
        self._duration_s = value

    @command
    def Stop(self) -> None:
        self._end = time.monotonic()


if __name__ == "__main__":
    arguments = ["Slow", sys.argv[1], "-ORBendPoint", "giop:tcp:127.0.0.1:0"]
    run([Slow], args=arguments, post_init_callback=lambda: print("ready", flush=True))
