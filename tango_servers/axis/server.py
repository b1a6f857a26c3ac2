"""Tango class `Axis`."""

from __future__ import annotations

from tango import AttrQuality, AttrWriteType
from tango.server import attribute, device_property

from tango_servers.axis.model import AxisModel
from tango_servers.axis.motion_face import MotionFace, Movable
from tango_servers.face import memory
from tango_servers.launch import run_server


class Axis(MotionFace):
    """A motorised axis with speed, acceleration, backlash, limits and an encoder.

    Writing Position starts a move and returns at once; State is MOVING until the axis stands.
    """

    DEVICE_CLASS_DESCRIPTION = __doc__

    Unit = device_property(dtype=str, default_value="mm", doc="Unit of all positions of this axis.")
    Format = device_property(dtype=str, default_value="%.4f", doc="How positions are displayed.")
    DefaultVelocity = device_property(
        dtype=float, default_value=5.0, doc="Cruising speed (unit/s) until Velocity is written."
    )
    DefaultAcceleration = device_property(
        dtype=float, default_value=0.1, doc="Acceleration time (s) until Acceleration is written."
    )
    EncoderResolution = device_property(dtype=float, default_value=0.0001, doc="Size of one encoder step (unit).")
    InitialPosition = device_property(
        dtype=float, default_value=0.0, doc="Where the axis stands at its very first start (unit)."
    )

    @property
    def mechanism(self) -> Movable:
        """The model that moves."""
        return self.model

    @property
    def drive(self) -> AxisModel:
        """The model whose speed is set."""
        return self.model

    def where(self) -> float:
        """Position now (unit)."""
        return self.model.position

    def heading(self) -> float:
        """Position at the end of the last order (unit)."""
        return self.model.trajectory.target

    def _set_up_model(self) -> None:
        self.model = AxisModel(name=self.get_name(), max_speed=self.DefaultVelocity)
        self.model.acceleration_s = self.DefaultAcceleration
        self.model.place(memory.recall_number(self.get_name(), "Position", self.InitialPosition))

    def _apply_properties(self) -> None:
        self.check_properties(
            DefaultVelocity=self.DefaultVelocity,
            DefaultAcceleration=self.DefaultAcceleration,
            EncoderResolution=self.EncoderResolution,
        )
        self.model.lower, self.model.upper = self.LowerLimit, self.UpperLimit
        self.model.encoder_resolution = self.EncoderResolution
        shown = {"unit": self.Unit, "format": self.Format}
        self.configure("Position", **shown, **self.find_limits())
        self.configure("Encoder", **shown)
        self.configure("Backlash", **shown)
        self.configure("Velocity", unit=f"{self.Unit}/s")

    def find_limits(self) -> dict[str, float]:
        """The limits as attribute configuration, without those that are not set."""
        return {
            key: float(limit)
            for key, limit in (("min_value", self.LowerLimit), ("max_value", self.UpperLimit))
            if limit is not None
        }

    @attribute(
        dtype=float,
        access=AttrWriteType.READ_WRITE,
        label="Position",
        unit="mm",
        format="%.4f",
        doc="Position of the axis; writing it starts a move and returns at once. After a restart the axis stands where "
        "its last move ended.",
    )
    def Position(self) -> float | tuple[float, float, AttrQuality]:
        """Position (unit of the axis)."""
        return self.as_read(self.where())

    @Position.write  # type: ignore[no-redef]  # PyTango's way to write the setter
    def Position(self, target: float) -> None:
        """Start a move."""
        self.order_move(target)

    @attribute(
        dtype=float, label="Encoder", unit="mm", format="%.4f", doc="Position as the encoder shows it, in whole steps."
    )
    def Encoder(self) -> float:
        """Encoder position (unit of the axis)."""
        return self.model.encoder


def run() -> None:
    """Run a server of axes."""
    run_server("Axis", [Axis])
