"""The measured copper foil: incoming flux and absorption over the energy, from an XDI file.

Straight lines between measured points: the measured values come out unchanged, and the largest derivative is that of
the steepest measured step. A grid of 0.25 eV finds it at 8980.75 eV, in the middle of that step; central differences
of the file itself give 8980.5 eV. Outside the measured range the nearest measured value holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

COPPER_FOIL = Path(__file__).parent / "data" / "cu_metal_rt.xdi"
"""Copper foil at room temperature, APS 13-ID; see README.md beside it."""


@dataclass(frozen=True)
class Foil:
    """Columns of one measurement, in order of energy.

    Attributes:
        energy_ev: photon energy (eV).
        flux: incoming flux, 1 at its largest.
        absorption: ln(i0/i1), with the offset that the amplifiers of the measurement had.
    """

    energy_ev: NDArray[np.float64]
    flux: NDArray[np.float64]
    absorption: NDArray[np.float64]

    def flux_at(self, energy_ev: float) -> float:
        """Relative incoming flux at an energy (eV)."""
        return float(np.interp(energy_ev, self.energy_ev, self.flux))

    def absorption_at(self, energy_ev: float) -> float:
        """ln(i0/i1) at an energy (eV)."""
        return float(np.interp(energy_ev, self.energy_ev, self.absorption))


def load_foil(file: Path = COPPER_FOIL) -> Foil:
    """Read columns energy (eV), i0, itrans, mutrans of an XDI file."""
    energy_ev, i0, _, absorption = np.loadtxt(file, comments="#", unpack=True)
    return Foil(energy_ev, i0 / i0.max(), absorption)
