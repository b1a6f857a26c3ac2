"""A double-crystal monochromator: its one axis is the Bragg angle (deg), its set point the photon energy (keV).

Bragg's law: E = hc / (2 d sin θ), hc = 12.39842 keV·Å (CODATA 2018, rounded), d = 3.1356 Å for Si(111).
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

from mamba.errors import BadValue, LimitExceeded
from tango_servers.axis.model import AxisModel, Clock
from tango_servers.motion import Trajectory

HC_KEV_ANGSTROM = 12.39842
"""Planck constant times speed of light (keV·Å)."""

SI_111_ANGSTROM = 3.1356
"""Lattice spacing of Si(111) (Å)."""


def find_bragg_angle(energy_kev: float, spacing: float = SI_111_ANGSTROM) -> float:
    """Bragg angle (deg) for an energy (keV) and a lattice spacing (Å); ValueError when no angle reflects it."""
    return math.degrees(math.asin(HC_KEV_ANGSTROM / (2.0 * spacing * energy_kev)))


def find_energy(bragg_deg: float, spacing: float = SI_111_ANGSTROM) -> float:
    """Energy (keV) reflected at a Bragg angle (deg) by a lattice spacing (Å)."""
    return HC_KEV_ANGSTROM / (2.0 * spacing * math.sin(math.radians(bragg_deg)))


@dataclass
class MonochromatorModel:
    """A monochromator; limits and set points in keV, speed in deg/s of the Bragg axis."""

    name: str = "monochromator"
    clock: Clock = time.monotonic
    spacing: float = SI_111_ANGSTROM
    lower: float | None = None
    upper: float | None = None
    bragg: AxisModel = field(init=False)

    def __post_init__(self) -> None:
        # Calm enough for a step of 5 eV in 9 ms, quick enough for 0.25 eV in 2 ms.
        self.bragg = AxisModel(
            name=self.name, clock=self.clock, max_speed=5.0, acceleration_s=0.0125, encoder_resolution=1e-6
        )
        self.place(8.9)

    @property
    def energy(self) -> float:
        """Energy now (keV)."""
        return find_energy(self.bragg.position, self.spacing)

    @property
    def target(self) -> float:
        """Where the last order ends (keV)."""
        return find_energy(self.bragg.trajectory.target, self.spacing)

    @property
    def wavelength(self) -> float:
        """Wavelength now (Å)."""
        return HC_KEV_ANGSTROM / self.energy

    @property
    def moving(self) -> bool:
        """Whether the Bragg axis moves now."""
        return self.bragg.moving

    @property
    def within_limits(self) -> bool:
        """Whether the energy lies between the limits, give or take a millielectronvolt."""
        energy = self.energy
        return (self.lower is None or energy >= self.lower - 1e-6) and (
            self.upper is None or energy <= self.upper + 1e-6
        )

    def energy_at(self, time_s: float) -> float:
        """Energy (keV) at a past time."""
        return find_energy(self.bragg.position_at(time_s), self.spacing)

    def rename(self, name: str) -> None:
        """Say under which name errors speak of it."""
        self.name = self.bragg.name = name

    def place(self, energy_kev: float) -> None:
        """Declare that it stands at an energy, without moving."""
        self.bragg.place(find_bragg_angle(energy_kev, self.spacing))

    def move(self, energy_kev: float) -> Trajectory:
        """Start a move to an energy (keV) and return at once; errors as `AxisModel.move`."""
        self.check(energy_kev)
        return self.bragg.move(find_bragg_angle(energy_kev, self.spacing))

    def check(self, energy_kev: float) -> None:
        """Refuse an energy that `move` would refuse for its value."""
        if not math.isfinite(energy_kev) or energy_kev <= 0:
            raise BadValue(
                f"{self.name}: cannot move to {energy_kev} keV", seen="not a positive number", remedy="give a number"
            )
        shortest = HC_KEV_ANGSTROM / (2.0 * self.spacing)
        lower = max(shortest, self.lower or 0.0)
        if energy_kev < lower or (self.upper is not None and energy_kev > self.upper):
            upper = "none" if self.upper is None else f"{self.upper:g}"
            raise LimitExceeded(
                f"{self.name}: cannot move to {energy_kev:g} keV",
                seen=f"limits {lower:g} to {upper} keV",
                remedy="choose an energy between the limits, or have them changed (LowerLimit, UpperLimit)",
            )

    def stop(self) -> Trajectory | None:
        """Slow down and stand; None when it stands already."""
        return self.bragg.stop()

    def abort(self) -> Trajectory | None:
        """Stand as soon as the drive can; None when it stands already."""
        return self.bragg.abort()
