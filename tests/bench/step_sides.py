"""One side of the comparison of step scans, in a process of its own: `python -m tests.bench.step_sides SIDE N FOLDER`.

A line with a number of points on standard input is one scan; the answer is `took` and the seconds. The stock sides
import nothing of Mamba, so that none of what Mamba does to the libraries is in them.
"""

import os
import sys
import time
from collections.abc import Callable
from typing import Any

MOTOR, CHANNELS_OF = "bench/quick/1", "bench/quick/2"
Scan = Callable[[int], Any]


def make_soft(channels: int, *, grouped: bool) -> Scan:
    """Soft ophyd signals under bluesky's RunEngine; those that are read are one device, or signals by themselves."""
    from bluesky import RunEngine
    from bluesky.plans import scan
    from ophyd import Component, Device, Kind, Signal

    components = {f"c{number}": Component(Signal, value=0.5, kind=Kind.hinted) for number in range(channels)}
    if grouped:
        detectors = [type("SoftDetector", (Device,), components)("", name="detector")]
    else:
        detectors = [Signal(name=name, value=0.5) for name in components]
    motor, engine = Signal(name="motor", value=0.0), RunEngine({})
    return lambda points: engine(scan(detectors, motor, 0, 1, points))


def make_ophyd_async(motion: str) -> Scan:
    """ophyd-async's Tango backend, its classes written as its own demo writes them; `bare` sets the signal alone."""
    from dataclasses import dataclass
    from functools import cached_property
    from typing import Annotated

    from bluesky import RunEngine
    from bluesky.plans import scan
    from ophyd_async.core import (
        MovableLogic,
        SignalR,
        SignalRW,
        StandardMovable,
        StandardReadable,
        init_devices,
        wait_for_value,
    )
    from ophyd_async.core import StandardReadableFormat as Format
    from ophyd_async.tango.core import DevStateEnum, TangoDevice, TangoPolling

    @dataclass
    class Logic(MovableLogic[float]):
        state: SignalR[DevStateEnum]

        async def move(self, new_position: float, timeout: Callable[[], float]) -> None:
            await self.setpoint.set(new_position, timeout=timeout())
            await wait_for_value(self.state, DevStateEnum.ON, timeout=timeout())

    class QuickMotor(TangoDevice, StandardReadable, StandardMovable[float]):
        Position: Annotated[SignalRW[float], TangoPolling(0.1, 0.001, 0.001), Format.HINTED_SIGNAL]
        State: Annotated[SignalR[DevStateEnum], TangoPolling(0.1)]

        @cached_property
        def movable_logic(self) -> MovableLogic:
            return Logic(readback=self.Position, setpoint=self.Position, state=self.State)

    class QuickDetector(TangoDevice, StandardReadable):
        Channel0: Annotated[SignalR[float], TangoPolling(0.1, 0.1, 0.1), Format.HINTED_UNCACHED_SIGNAL]

    engine = RunEngine({})
    with init_devices():
        detector = QuickDetector(_address(CHANNELS_OF), name="detector", auto_fill_signals=False)
        motor = QuickMotor(_address(MOTOR), name="motor", auto_fill_signals=False)
    moved = motor.Position if motion == "bare" else motor
    return lambda points: engine(scan([detector], moved, 0, 1, points))


def make_mamba(channels: int, folder: str, *, grouped: bool, bare: bool = False) -> Scan:
    """The run engine of a beamline with its NeXus file, verdict and notices; `bare`: without any consumer."""
    from pathlib import Path

    from ophyd import Component, Kind

    from mamba.config import BUILT_IN_PROFILE, load_profile
    from mamba.devices import Motor, TangoSignal
    from mamba.devices.base import TangoDevice
    from mamba.scans import DocumentNotices, make_run_engine
    from mamba.scans.plans import scan

    profile = load_profile(BUILT_IN_PROFILE)
    data = profile.data.model_copy(update={"directory": Path(folder)})
    engine = make_run_engine(profile.model_copy(update={"data": data}))
    if bare:
        for token in list(engine.guards):
            engine.unsubscribe(token)
    else:
        engine.subscribe_quick(DocumentNotices(files_of=engine.files_of, problems_of=engine.problems_of))
    motor = Motor(MOTOR, name="M.quick")
    names = [f"Channel{number}" for number in range(channels)]
    detectors: list[Any] = [TangoSignal(name, tango=CHANNELS_OF, name=f"D.{name}") for name in names]
    if grouped:
        components = {name.lower(): Component(TangoSignal, name, kind=Kind.hinted) for name in names}
        detectors = [type("Channels", (TangoDevice,), components)(CHANNELS_OF, name="D.channels")]
    return lambda points: engine(scan(detectors, motor, 0, 1, points))


def main(side: str, channels: str, folder: str) -> None:
    """Make the side, say so, and scan as often as asked."""
    kind, _, how = side.partition("-")
    if kind == "soft":
        scan = make_soft(int(channels), grouped=how == "grouped")
    elif kind == "async":
        scan = make_ophyd_async(how)
    else:
        scan = make_mamba(int(channels), folder, grouped=how == "grouped", bare=how == "bare")
    print("ready", flush=True)
    for line in sys.stdin:
        began = time.perf_counter()
        scan(int(line))
        print(f"took {time.perf_counter() - began}", flush=True)


def _address(device: str) -> str:
    return f"tango://{os.environ['TANGO_HOST']}/{device}"


if __name__ == "__main__":
    main(*sys.argv[1:])
