"""Tango class `StorageRing`."""

from __future__ import annotations

from typing import ClassVar

from tango import AttrQuality, DevState
from tango.server import attribute, device_property

from mamba.errors import BadValue
from tango_servers.face import Face
from tango_servers.launch import run_server
from tango_servers.storage_ring.model import StorageRingModel


class StorageRing(Face):
    """The storage ring as a beamline sees it: current, lifetime and mode, read only."""

    DEVICE_CLASS_DESCRIPTION = __doc__

    faults: ClassVar[tuple[str, ...]] = ("timeout", "nan", "offline")

    FullCurrent = device_property(dtype=float, default_value=200.0, doc="Current after each top-up (mA).")
    BeamLifetime = device_property(dtype=float, default_value=10.0, doc="Beam lifetime (h).")
    TopUpPeriod = device_property(dtype=float, default_value=120.0, doc="Time between two top-ups (s).")

    def init_device(self) -> None:
        """Read the properties."""
        super().init_device()
        if not hasattr(self, "model"):
            self.model = self.make_model()
        try:
            self.check_above_zero(
                FullCurrent=self.FullCurrent, BeamLifetime=self.BeamLifetime, TopUpPeriod=self.TopUpPeriod
            )
        except BadValue as error:
            self.show(DevState.FAULT, str(error))
            return
        self.model.full_ma = self.FullCurrent
        self.model.lifetime_h = self.BeamLifetime
        self.model.topup_s = self.TopUpPeriod
        self.show(DevState.ON, "beam for users, top-up")

    def make_model(self) -> StorageRingModel:
        """The model of this device; a virtual beamline gives the one of its world."""
        return StorageRingModel()

    @attribute(
        dtype=float,
        label="Ring current",
        unit="mA",
        format="%.3f",
        min_value="0",
        max_value="1000",
        min_alarm="10",
        abs_change="0.01",
        polling_period=1000,
        doc="Stored current. Polled once a second; below 10 mA State is ALARM.",
    )
    def Current(self) -> float | tuple[float, float, AttrQuality]:
        """Stored current (mA)."""
        return self.as_read(self.model.current_ma)

    @attribute(dtype=float, label="Lifetime", unit="h", format="%.2f", doc="Beam lifetime.")
    def Lifetime(self) -> float:
        """Beam lifetime (h)."""
        return self.model.lifetime_h

    @attribute(dtype=str, label="Mode", unit="", doc="How the ring is operated.")
    def Mode(self) -> str:
        """Operating mode."""
        return "top-up"


def run() -> None:
    """Run a server of storage rings."""
    run_server("StorageRing", [StorageRing])
