"""An EPICS IOC with what the paper's Figure 4 names: two motor records and an areaDetector camera, on loopback only.

The motors are caproto's own example of a motor record. The camera serves those records of areaDetector's SimDetector
and NDStdArrays that ophyd's classes ask for, by the names and types of the public documentation of ADCore.

`python -m tests.epics.ioc` prints `ready`; CA's environment says on which port it answers searches.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from typing import Any

import numpy as np
from caproto import ChannelType
from caproto.asyncio.server import start_server
from caproto.ioc_examples.fake_motor_record import FakeMotor
from caproto.server import PVGroup, SubGroup, get_pv_pair_wrapper, pvproperty
from caproto.sync import repeater

SHAPE = (48, 64)  # rows, columns
_YES_NO = ["No", "Yes"]
pair = get_pv_pair_wrapper()


def choice(name: str, *choices: str, value: int = 0) -> Any:
    """A set point and its readback (`NAME`, `NAME_RBV`) with these choices."""
    return pair(name=name, dtype=ChannelType.ENUM, enum_strings=list(choices), value=choices[value])


class Camera(PVGroup):
    """SimDetector's cam1: a frame per image asked for, each brighter than the one before."""

    acquire = choice("Acquire", "Done", "Acquire")
    trigger_mode = choice("TriggerMode", "Internal", "External")
    image_mode = choice("ImageMode", "Single", "Multiple", "Continuous", value=2)
    array_callbacks = choice("ArrayCallbacks", "Disable", "Enable")
    data_type = choice("DataType", "Int8", "UInt8", "Int16", "UInt16", value=3)
    num_images = pair(name="NumImages", value=100)
    num_exposures = pair(name="NumExposures", value=1)
    acquire_time = pair(name="AcquireTime", value=0.01, units="s", precision=3)
    acquire_period = pair(name="AcquirePeriod", value=0.01, units="s", precision=3)
    array_counter = pair(name="ArrayCounter", value=0)
    manufacturer = pvproperty(
        name="Manufacturer_RBV", dtype=ChannelType.STRING, value="Simulated detector", read_only=True
    )
    model = pvproperty(name="Model_RBV", dtype=ChannelType.STRING, value="Basic simulator", read_only=True)
    port_name = pvproperty(name="PortName_RBV", dtype=ChannelType.STRING, value="SIM1", read_only=True)

    @acquire.setpoint.putter
    async def acquire(obj, instance, value):  # caproto's signature: the pair, not the group
        await obj.readback.write(value)
        if value == "Acquire":
            obj.parent.begin()

    def begin(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._expose())

    async def _expose(self) -> None:
        for _ in range(self.num_images.readback.value if self.image_mode.readback.value != "Single" else 1):
            await asyncio.sleep(self.acquire_time.readback.value)
            number = self.array_counter.readback.value + 1
            if self.array_callbacks.readback.value == "Enable":
                await self.parent.image.take(np.full(SHAPE, number, np.uint16))
            await self.array_counter.readback.write(number)
        await self.acquire.setpoint.write("Done")


class Image(PVGroup):
    """NDStdArrays' image1: the last frame, and what ophyd checks of a plugin."""

    enable = choice("EnableCallbacks", "Disable", "Enable")
    blocking = choice("BlockingCallbacks", *_YES_NO)
    source = pair(name="NDArrayPort", dtype=ChannelType.STRING, value="SIM1")
    port_name = pvproperty(name="PortName_RBV", dtype=ChannelType.STRING, value="Image1", read_only=True)
    plugin_type = pvproperty(name="PluginType_RBV", dtype=ChannelType.STRING, value="NDPluginStdArrays", read_only=True)
    dimensions = pvproperty(name="NDimensions_RBV", value=0, read_only=True)
    width = pvproperty(name="ArraySize0_RBV", value=0, read_only=True)
    height = pvproperty(name="ArraySize1_RBV", value=0, read_only=True)
    depth = pvproperty(name="ArraySize2_RBV", value=0, read_only=True)
    data = pvproperty(name="ArrayData", value=[0], max_length=SHAPE[0] * SHAPE[1], dtype=int)

    async def take(self, frame: np.ndarray) -> None:
        if self.enable.readback.value == "Enable":
            await self.dimensions.write(frame.ndim)
            await self.height.write(frame.shape[0])
            await self.width.write(frame.shape[1])
            await self.data.write(frame.astype(np.int32).ravel())
            await self.parent.stats.total.write(float(frame.sum()))


class Stats(PVGroup):
    """NDStats' sum over the frame."""

    total = pvproperty(name="Total_RBV", value=0.0, read_only=True)


class Detector(PVGroup):
    """13SIM1: as areaDetector's example IOC names it."""

    cam = SubGroup(Camera, prefix="cam1:")
    image = SubGroup(Image, prefix="image1:")
    stats = SubGroup(Stats, prefix="Stats1:")


class Motors(PVGroup):
    """IOC:m1 and IOC:m2."""

    m1 = SubGroup(FakeMotor, prefix="m1", velocity=50.0, user_limits=(-10.0, 10.0), tick_rate_hz=100.0)
    m2 = SubGroup(FakeMotor, prefix="m2", velocity=50.0, user_limits=(-20.0, 20.0), tick_rate_hz=100.0)


async def serve() -> None:
    channels = {**Motors(prefix="IOC:").pvdb, **Detector(prefix="13SIM1:").pvdb}
    for name, limit in (("IOC:m1", 10.0), ("IOC:m2", 20.0)):
        # a motor record gives its soft limits as the control limits of VAL; caproto's example has them in fields only
        await channels[name].write_metadata(lower_ctrl_limit=-limit, upper_ctrl_limit=limit, units="mm")
        await channels[name].field_inst.engineering_units.write("mm")

    async def tell_ready(_async_library: Any) -> None:
        print("ready", file=sys.stderr, flush=True)

    await start_server(channels, interfaces=["127.0.0.1"], startup_hook=tell_ready)


if __name__ == "__main__":
    # Channel Access' clients start a repeater of their own, on every address, unless one is there.
    threading.Thread(target=repeater.run, kwargs={"host": "127.0.0.1"}, daemon=True).start()
    asyncio.run(serve())
