"""Detectors of other makers' servers: a spectrum or an image per count, a gated counter, and Lima's cameras."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ophyd import Component, Kind

from mamba.devices.acquiring import Acquiring
from mamba.devices.counter import Counter
from mamba.devices.signal import TangoSignal
from mamba.devices.waiting import Readings, Status, wait_until
from mamba.errors import DeviceFault


class GatedCounter(Counter):
    """A counter that may count while its gate is open instead of for its preset.

    `gate` chooses (an attribute of the server); with `gated` the counter is waited for `gate_timeout_s` instead of its
    preset.
    """

    gate = Component(TangoSignal, "Gate", kind=Kind.config)

    def __init__(self, tango: str, *, name: str, gated: bool = False, gate_timeout_s: float = 60.0, **kw: Any) -> None:
        self.gated = gated
        self.gate_timeout_s = gate_timeout_s
        super().__init__(tango, name=name, **kw)

    def _longest_s(self) -> float:
        return self.gate_timeout_s if self.gated else super()._longest_s()


class ZeroD(Counter):
    """A reading that is averaged or summed while it is started, such as Sardana's 0-D channel."""

    rate = None
    elapsed_time = None


class Detector1D(ZeroD):
    """A spectrum per count: a multi-channel analyser, a strip detector. The spectrum is recorded with every point."""

    counts = Component(TangoSignal, "Value", kind=Kind.normal)


class Detector2D(ZeroD):
    """An image per count, read through Tango and recorded with every point: for slow and small ones.

    Fast cameras send their frames to the data worker (`camera`) or write them themselves (`lima`).
    """

    counts = Component(TangoSignal, "Value", kind=Kind.normal)


class LimaDetector(Acquiring):
    """A camera behind Lima (device class LimaCCDs): Lima takes, processes and saves frames, a point has their number.

    `frames` and `count_time` are set before; `trigger` prepares, starts, and waits until Lima says that the last image
    is there. Names are those of Lima's manual, "LimaCCDs Tango device".

    Args:
        tango: Tango device name.
        name: expression.
        timeout_s: time that is allowed beyond frames × exposure.
    """

    whole = "last_image"
    commands: ClassVar[Mapping[str, str]] = {"prepare": "prepareAcq", "start": "startAcq", "stop": "stopAcq"}
    last_image = Component(TangoSignal, "last_image_ready", kind=Kind.hinted)
    count_time = Component(TangoSignal, "acq_expo_time", kind=Kind.normal, skip_unchanged=True)
    frames = Component(TangoSignal, "acq_nb_frames", kind=Kind.config)
    trigger_mode = Component(TangoSignal, "acq_trigger_mode", kind=Kind.config)
    saving_directory = Component(TangoSignal, "saving_directory", kind=Kind.config)
    saving_prefix = Component(TangoSignal, "saving_prefix", kind=Kind.config)
    saving_mode = Component(TangoSignal, "saving_mode", kind=Kind.config)
    acquisition = Component(TangoSignal, "acq_status", kind=Kind.omitted)
    ready = Component(TangoSignal, "ready_for_next_acq", kind=Kind.omitted)

    def __init__(self, tango: str, *, name: str, timeout_s: float = 10.0, **kwargs: Any) -> None:
        self.timeout_s = timeout_s
        super().__init__(tango, name=name, **kwargs)

    def trigger(self) -> Status:
        """Take `frames` frames; the status ends when Lima has the last one.

        Raises (through the status):
            DeviceFault: Lima failed, or ended early. DeviceTimeout, DeviceUnreachable: naming the device.
        """
        return self.begin_taking(self._take)

    def _take(self) -> None:
        frames, exposure_s = int(self.frames.get()), float(self.count_time.get())
        doing = f"take {frames} frames of {exposure_s:g} s"
        for action in ("prepare", "start"):
            self.link.call(self.command_of[action])
        watched = tuple(signal.attribute for signal in (self.acquisition, self.last_image, self.ready))

        def is_over(readings: Readings) -> bool:
            return readings[watched[0]].value != "Running" and bool(readings[watched[2]].value)

        readings = wait_until(
            self.link,
            is_over,
            attributes=("State", *watched),
            timeout_s=frames * exposure_s + self.timeout_s,
            doing=doing,
            state_decides=False,
        )
        said, last = readings[watched[0]].value, int(readings[watched[1]].value)
        self._refuse_fault(readings["State"].value, doing)
        if said == "Fault" or last != frames - 1:
            raise DeviceFault(
                f"{self.name}: did not {doing}",
                seen=f"acq_status {said}, last image {last}",
                remedy=f"look at acq_status_fault_error of {self.link.device}",
            )
