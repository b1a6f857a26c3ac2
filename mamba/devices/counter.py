"""Counters: ion chambers and everything else that counts for a preset time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from ophyd import Component, Kind

from mamba.devices.acquiring import Acquiring
from mamba.devices.signal import TangoSignal
from mamba.devices.waiting import Status, wait_until

_MARGIN_S = 10.0


class Counter(Acquiring):
    """A counter with a preset: `D.i0`. `trigger` counts for `count_time` seconds; the reading is `Value`.

    The count time is recorded with every point, so that a scan may change it from point to point.
    """

    whole = "counts"
    commands: ClassVar[Mapping[str, str]] = {"prepare": "", "start": "Start", "stop": "Stop"}
    """`prepare` is called before `start`, where the server wants that."""
    counts = Component(TangoSignal, "Value", kind=Kind.hinted)
    count_time = Component(TangoSignal, "IntegrationTime", kind=Kind.normal, skip_unchanged=True)
    rate = Component(TangoSignal, "Rate", kind=Kind.omitted)
    elapsed_time = Component(TangoSignal, "ElapsedTime", kind=Kind.omitted)

    @property
    def preset(self) -> TangoSignal:
        """Another name of `count_time`."""
        signal: TangoSignal = self.count_time
        return signal

    def trigger(self) -> Status:
        """Count once; the status ends when the counter is done.

        Raises (through the status):
            DeviceFault, DeviceTimeout, DeviceUnreachable: naming the device.
        """
        return self.begin_taking(self._count)

    def _longest_s(self) -> float:
        return float(self.count_time.remembered()) + _MARGIN_S

    def _begin(self) -> None:
        if self.command_of["prepare"]:
            self.link.call(self.command_of["prepare"])
        self.link.call(self.command_of["start"])

    def _count(self) -> None:
        preset_s = self.count_time.remembered()
        self._begin()
        readings = wait_until(
            self.link,
            lambda readings: readings["State"].value not in ("RUNNING", "MOVING"),
            attributes=("State",),
            timeout_s=self._longest_s(),
            doing=f"count for {preset_s:g} s",
        )
        self._refuse_fault(readings["State"].value, f"count for {preset_s:g} s")
