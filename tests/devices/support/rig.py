"""A Tango motor that misbehaves on demand: it sends no events, ends in FAULT, stops short, or refuses."""

from __future__ import annotations

import sys
import time

from tango import AttrWriteType, DevState
from tango.server import Device, attribute, command, run

NAME = "test/rig/1"


class Rig(Device):
    """Position moves `Duration` seconds; `Mode` is good, fault, short, late or refuse. It never pushes events."""

    def init_device(self) -> None:
        super().init_device()
        self._mode, self._duration, self._writes = "good", 0.05, 0
        self._from = self._to = 0.0
        self._end = 0.0
        self._level, self._gain = 0.0, 0
        self._trace = [0.0, 1.0]
        self.set_state(DevState.ON)

    def dev_state(self) -> DevState:
        if time.monotonic() < self._end:
            return DevState.MOVING
        return DevState.FAULT if self._mode == "fault" and self._end else DevState.ON

    def dev_status(self) -> str:
        return "the drive\nsays no" if self.dev_state() == DevState.FAULT else "fine"

    @attribute(dtype=float, access=AttrWriteType.READ_WRITE, unit="mm", format="%.3f", min_value=-5.0, max_value=5.0)
    def Position(self) -> float:
        place = self._where()
        if self._mode == "late":  # the move ends while the value is on its way, before State is looked at
            time.sleep(max(0.0, self._end - time.monotonic()))
        return place

    def _where(self) -> float:
        left = self._end - time.monotonic()
        if left > 0:
            return self._to + (self._from - self._to) * left / self._duration
        return self._from + 0.5 * (self._to - self._from) if self._mode == "short" else self._to

    @Position.write
    def Position(self, value: float) -> None:
        if self._mode == "refuse":
            raise RuntimeError("the interlock is open")
        self._from, self._to, self._end = self._where(), value, time.monotonic() + self._duration
        self._writes += 1

    @attribute(dtype=str, access=AttrWriteType.READ_WRITE)
    def Mode(self) -> str:
        return self._mode

    @Mode.write
    def Mode(self, value: str) -> None:
        self._mode = value

    @attribute(dtype=float, access=AttrWriteType.READ_WRITE, unit="s")
    def Duration(self) -> float:
        return self._duration

    @Duration.write
    def Duration(self, value: float) -> None:
        self._duration = value

    @attribute(dtype=float, access=AttrWriteType.READ_WRITE, unit="V", doc="A level that never arrives above one.")
    def Level(self) -> float:
        return min(self._level, 1.0)

    @Level.write
    def Level(self, value: float) -> None:
        self._level = value
        self._writes += 1

    @attribute(dtype="DevEnum", enum_labels=["low", "high"], access=AttrWriteType.READ_WRITE)
    def Gain(self) -> int:
        return self._gain

    @Gain.write
    def Gain(self, value: int) -> None:
        self._gain = value

    @attribute(dtype=(float,), max_dim_x=16, access=AttrWriteType.READ_WRITE)
    def Trace(self) -> list[float]:
        return self._trace

    @Trace.write
    def Trace(self, value: list[float]) -> None:
        self._trace = list(value)

    @attribute(dtype=int)
    def Writes(self) -> int:
        return self._writes

    @attribute(dtype=float)
    def Broken(self) -> float:
        raise RuntimeError("the sensor is not plugged in")

    @command
    def Stop(self) -> None:
        here = self._where()
        self._from = self._to = here
        self._end = time.monotonic()


def main() -> None:
    run([Rig], args=["Rig", sys.argv[1], "-ORBendPoint", "giop:tcp:127.0.0.1:0"], post_init_callback=_say_ready)


def _say_ready() -> None:
    print("ready", flush=True)


if __name__ == "__main__":
    main()
