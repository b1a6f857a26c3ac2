"""Servers of other makers, as their public manuals describe them; nothing of theirs is imported.

Sardana's pool: "Sardana device Tango API" and the class descriptions of Motor, PseudoMotor, CTExpChannel,
OneDExpChannel, TwoDExpChannel and IORegister. Lima: "LimaCCDs Tango device". `Zoo` has every type of attribute.
"""

from __future__ import annotations

import sys
import time
from enum import IntEnum

import numpy as np
from tango import AttrWriteType, DevState, DispLevel
from tango.server import Device, attribute, command, run

HOST_NAMES = {
    "pool/motor/1": "Motor",
    "pool/pseudo/1": "PseudoMotor",
    "pool/ct/1": "CTExpChannel",
    "pool/oned/1": "OneDExpChannel",
    "pool/twod/1": "TwoDExpChannel",
    "pool/ior/1": "IORegister",
    "pool/timer/1": "GatedTimer",
    "lima/ccd/1": "LimaCCDs",
    "test/zoo/1": "Zoo",
}


class Timed(Device):
    """Something that is MOVING for a while."""

    def init_device(self) -> None:
        super().init_device()
        self._end, self._place, self._seconds, self._calls = 0.0, 0.0, 0.05, []
        self.set_state(DevState.ON)

    def dev_state(self) -> DevState:
        return DevState.MOVING if time.monotonic() < self._end else DevState.ON

    def begin(self) -> None:
        self._end = time.monotonic() + self._seconds

    @command
    def Stop(self) -> None:
        self._end = 0.0

    @command
    def Abort(self) -> None:
        self._end = 0.0


class Motor(Timed):
    @attribute(dtype=float, access=AttrWriteType.READ_WRITE, max_alarm=90.0, max_warning=80.0)
    def Position(self) -> float:
        return self._place

    @Position.write
    def Position(self, value: float) -> None:
        self._place = value
        self.begin()


class PseudoMotor(Motor):
    """A gap, of two blades."""

    @command(dtype_in=float, doc_in="pseudo position", dtype_out=(float,), doc_out="physical positions")
    def CalcPhysical(self, gap: float) -> list[float]:
        return [gap / 2, -gap / 2]

    @command(dtype_in=(float,), doc_in="physical positions", dtype_out=float, doc_out="pseudo position")
    def CalcPseudo(self, blades: list[float]) -> float:
        return float(blades[0] - blades[1])


class Channel(Timed):
    @attribute(dtype=float, access=AttrWriteType.READ_WRITE, unit="s")
    def IntegrationTime(self) -> float:
        return self._seconds

    @IntegrationTime.write
    def IntegrationTime(self, value: float) -> None:
        self._seconds = value

    @command
    def Start(self) -> None:
        self.begin()


class CTExpChannel(Channel):
    @attribute(dtype=float)
    def Value(self) -> float:
        return 1000 * self._seconds


class GatedTimer(CTExpChannel):
    """Counts for 0.2 s whatever its preset when its gate is HARDWARE."""

    @attribute(dtype=str, access=AttrWriteType.READ_WRITE)
    def GateSource(self) -> str:
        return getattr(self, "_gate", "SOFTWARE")

    @GateSource.write
    def GateSource(self, value: str) -> None:
        self._gate = value

    @command
    def Prepare(self) -> None:
        self._prepared = True

    @command
    def Go(self) -> None:
        assert self._prepared
        self._end = time.monotonic() + (0.2 if self.GateSource == "HARDWARE" else self._seconds)


class OneDExpChannel(Channel):
    @attribute(dtype=("int32",), max_dim_x=16)
    def Value(self) -> list[int]:
        return list(range(16))


class TwoDExpChannel(Channel):
    @attribute(dtype=(("uint16",),), max_dim_x=4, max_dim_y=3)
    def Value(self) -> np.ndarray:
        return np.arange(12, dtype="u2").reshape(3, 4)


class IORegister(Timed):
    @attribute(dtype=int, access=AttrWriteType.READ_WRITE)
    def Value(self) -> int:
        return int(self._place)

    @Value.write
    def Value(self, value: int) -> None:
        self._place = value


class LimaCCDs(Device):
    """State stays ON, as Lima's does; acq_status says what goes on."""

    def init_device(self) -> None:
        super().init_device()
        self._frames, self._exposure, self._began, self._taken, self._lose = 1, 0.01, 0.0, 0, False
        self._prepared = self._running = False
        self.set_state(DevState.ON)

    def _look(self) -> str:
        if self._running:
            self._taken = min(self._frames, int((time.monotonic() - self._began) / self._exposure))
            if self._lose:
                self._running, self._taken = False, 1
            self._running = self._running and self._taken < self._frames
        return "Running" if self._running else "Ready"

    @attribute(dtype=int, access=AttrWriteType.READ_WRITE)
    def acq_nb_frames(self) -> int:
        return self._frames

    @acq_nb_frames.write
    def acq_nb_frames(self, value: int) -> None:
        self._frames = value

    @attribute(dtype=float, access=AttrWriteType.READ_WRITE, unit="s")
    def acq_expo_time(self) -> float:
        return self._exposure

    @acq_expo_time.write
    def acq_expo_time(self, value: float) -> None:
        self._exposure = value

    @attribute(dtype=str)
    def acq_status(self) -> str:
        return self._look()

    @attribute(dtype=int)
    def last_image_ready(self) -> int:
        self._look()
        return self._taken - 1

    @attribute(dtype=bool)
    def ready_for_next_acq(self) -> bool:
        return self._look() == "Ready"

    @attribute(dtype=str)
    def saving_directory(self) -> str:
        return "/data"

    @attribute(dtype=bool, access=AttrWriteType.READ_WRITE)
    def lose(self) -> bool:
        return self._lose

    @lose.write
    def lose(self, value: bool) -> None:
        self._lose = value

    @command
    def prepareAcq(self) -> None:
        self._prepared, self._taken = True, 0

    @command
    def startAcq(self) -> None:
        assert self._prepared
        self._prepared, self._running, self._began = False, True, time.monotonic()

    @command
    def stopAcq(self) -> None:
        self._running = False


class Filter(IntEnum):
    NONE = 0
    THIN = 1
    THICK = 2


class Zoo(Device):
    """Every kind of attribute, and names that Python or ophyd has already."""

    def init_device(self) -> None:
        super().init_device()
        self._filter, self._gain, self._text, self._trace = Filter.THIN, 3, "beam", [1.0, 2.0]
        self.set_state(DevState.ON)

    @attribute(dtype=float, unit="mA", doc="Current of the ring", access=AttrWriteType.READ_WRITE,
               min_value=0.0, max_value=500.0, format="%6.2f")  # fmt: skip
    def Current(self) -> float:
        return getattr(self, "_current", 100.0)

    @Current.write
    def Current(self, value: float) -> None:
        self._current = value

    @attribute(dtype=Filter, access=AttrWriteType.READ_WRITE)
    def Absorber(self) -> Filter:
        return self._filter

    @Absorber.write
    def Absorber(self, value: int) -> None:
        self._filter = Filter(value)

    @attribute(dtype="DevUChar", access=AttrWriteType.READ_WRITE)
    def Gain(self) -> int:
        return self._gain

    @Gain.write
    def Gain(self, value: int) -> None:
        self._gain = value

    @attribute(dtype=str, access=AttrWriteType.READ_WRITE)
    def Comment(self) -> str:
        return self._text

    @Comment.write
    def Comment(self, value: str) -> None:
        self._text = value

    @attribute(dtype=(float,), max_dim_x=4, access=AttrWriteType.READ_WRITE)
    def Trace(self) -> list[float]:
        return self._trace

    @Trace.write
    def Trace(self, value: list[float]) -> None:
        self._trace = list(value)

    @attribute(dtype=bool)
    def Interlock(self) -> bool:
        return True

    @attribute(dtype="DevEncoded")
    def Picture(self) -> tuple[str, bytes]:
        return "PNG", b"abc"

    @attribute(dtype=(DevState,), max_dim_x=2)
    def Members(self) -> list[DevState]:
        return [DevState.ON, DevState.FAULT]

    @attribute(dtype=(Filter,), max_dim_x=2)
    def Absorbers(self) -> list[Filter]:
        return [Filter.NONE, Filter.THICK]

    @attribute(dtype=int, display_level=DispLevel.EXPERT)
    def Offset(self) -> int:
        return 7

    @attribute(dtype=float, name="read")
    def read_(self) -> float:
        return 1.5

    @command(dtype_in=float, doc_in="a current in mA", dtype_out=str, doc_out="what was done")
    def Ramp(self, current: float) -> str:
        return f"ramped to {current:g}"


def main() -> None:
    classes = [
        Motor, PseudoMotor, CTExpChannel, OneDExpChannel, TwoDExpChannel, IORegister, GatedTimer, LimaCCDs, Zoo
    ]  # fmt: skip
    arguments = ["Foreign", sys.argv[1], "-ORBendPoint", "giop:tcp:127.0.0.1:0"]
    run(classes, args=arguments, post_init_callback=lambda: print("ready", flush=True))


if __name__ == "__main__":
    main()
