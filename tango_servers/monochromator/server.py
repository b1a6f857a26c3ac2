"""Tango class `Monochromator`."""

from __future__ import annotations

from tango import AttrQuality, AttrWriteType
from tango.server import attribute, device_property

from tango_servers.axis.model import AxisModel
from tango_servers.axis.motion_face import MotionFace, Movable
from tango_servers.face import memory
from tango_servers.launch import run_server
from tango_servers.monochromator.model import SI_111_ANGSTROM, MonochromatorModel


class Monochromator(MotionFace):
    """A double-crystal monochromator: its set point is the photon energy, what moves is the Bragg angle.

    Writing Energy starts a move and returns at once; State is MOVING until the crystals stand. Velocity, Acceleration
    and Backlash belong to the Bragg axis (deg).
    """

    DEVICE_CLASS_DESCRIPTION = __doc__

    LatticeSpacing = device_property(
        dtype=float, default_value=SI_111_ANGSTROM, doc="Lattice spacing d of the crystals (Å); Si(111): 3.1356."
    )
    LowerLimit = device_property(dtype=float, default_value=4.0, doc="Lowest energy that may be asked for (keV).")
    UpperLimit = device_property(dtype=float, default_value=20.0, doc="Highest energy that may be asked for (keV).")
    DefaultVelocity = device_property(
        dtype=float, default_value=5.0, doc="Cruising speed of the Bragg axis (deg/s) until Velocity is written."
    )
    DefaultAcceleration = device_property(
        dtype=float, default_value=0.0125, doc="Acceleration time (s) until Acceleration is written."
    )
    EncoderResolution = device_property(
        dtype=float, default_value=1e-6, doc="Size of one encoder step of the Bragg axis (deg)."
    )
    InitialEnergy = device_property(
        dtype=float, default_value=8.9, doc="Where the monochromator stands at its very first start (keV)."
    )

    moved = "Energy"
    followed = ("Energy", "BraggAngle", "Wavelength")

    @property
    def mechanism(self) -> Movable:
        """The model that moves."""
        return self.model

    @property
    def drive(self) -> AxisModel:
        """The Bragg axis."""
        return self.model.bragg

    def where(self) -> float:
        """Energy now (keV)."""
        return self.model.energy

    def heading(self) -> float:
        """Energy at the end of the last order (keV)."""
        return self.model.target

    def followed_values(self) -> dict[str, float]:
        """Values that change in a move."""
        return {
            "Energy": self.model.energy,
            "BraggAngle": self.model.bragg.position,
            "Wavelength": self.model.wavelength,
        }

    def make_model(self) -> MonochromatorModel:
        """The model of this device; a virtual beamline gives the one of its world."""
        return MonochromatorModel()

    def _set_up_model(self) -> None:
        self.model = self.make_model()
        self.model.rename(self.get_name())
        self.model.bragg.max_speed = self.DefaultVelocity
        self.model.bragg.acceleration_s = self.DefaultAcceleration
        self.model.spacing = self.LatticeSpacing
        self.model.place(memory.recall_number(self.get_name(), "Energy", self.InitialEnergy))

    def _apply_properties(self) -> None:
        self.check_properties(
            LatticeSpacing=self.LatticeSpacing,
            DefaultVelocity=self.DefaultVelocity,
            DefaultAcceleration=self.DefaultAcceleration,
            EncoderResolution=self.EncoderResolution,
            LowerLimit=self.LowerLimit,
        )
        self.model.lower, self.model.upper = self.LowerLimit, self.UpperLimit
        self.model.spacing = self.LatticeSpacing
        self.model.bragg.encoder_resolution = self.EncoderResolution
        self.configure("Energy", min_value=float(self.LowerLimit), max_value=float(self.UpperLimit))
        self.configure("Velocity", unit="deg/s")
        self.configure("Backlash", unit="deg")

    @attribute(
        dtype=float,
        access=AttrWriteType.READ_WRITE,
        label="Energy",
        unit="keV",
        format="%.6f",
        doc="Photon energy; writing it starts a move and returns at once. After a restart the monochromator stands "
        "where its last move ended.",
    )
    def Energy(self) -> float | tuple[float, float, AttrQuality]:
        """Photon energy (keV)."""
        return self.as_read(self.where())

    @Energy.write  # type: ignore[no-redef]  # PyTango's way to write the setter
    def Energy(self, target: float) -> None:
        """Start a move."""
        self.order_move(target)

    @attribute(dtype=float, label="Bragg angle", unit="deg", format="%.6f", doc="Bragg angle: sin θ = hc / (2 d E).")
    def BraggAngle(self) -> float:
        """Bragg angle (deg)."""
        return self.model.bragg.position

    @attribute(dtype=float, label="Wavelength", unit="angstrom", format="%.6f", doc="Wavelength: λ = hc / E.")
    def Wavelength(self) -> float:
        """Wavelength (Å)."""
        return self.model.wavelength

    @attribute(
        dtype=float,
        label="Encoder",
        unit="deg",
        format="%.6f",
        doc="Bragg angle as the encoder shows it, in whole steps.",
    )
    def Encoder(self) -> float:
        """Encoder of the Bragg axis (deg)."""
        return self.model.bragg.encoder


def run() -> None:
    """Run a server of monochromators."""
    run_server("Monochromator", [Monochromator])
