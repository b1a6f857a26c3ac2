"""X-ray absorption fine structure: grid, counting times and Bragg angles, as pure formulas.

*Edge energy* E0 comes from `xraydb`; *k* is the wave number of the photoelectron, in Å⁻¹. Energies are eV in formulas,
as in the literature, and keV on the device, in documents and in files.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mamba.errors import BadValue, RunError

HC_EV_ANGSTROM = 12398.42
"""Planck's constant times the speed of light, eV·Å (CODATA 2018: 12398.4198)."""

SI111_SPACING_ANGSTROM = 3.1356
"""Lattice spacing of silicon (111), Å, as the monochromator's property has it."""

EV_PER_SQUARE_WAVE_NUMBER = 1 / 0.26247
"""ħ²/2m: E − E0 = k²/0.26247, eV·Å² (Koningsberger and Prins, X-ray Absorption, 1988)."""

PRE_EDGE_EV = (-150.0, -20.0, 5.0)
"""From, to, step of the region before the edge, eV relative to it."""

EDGE_REGION_EV = (-20.0, 30.0, 0.25)
"""From, to, step across the edge: finer than the 2.1 eV that core hole and monochromator smear out at Cu K."""

_LARGEST_K_MAX = 50.0

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Grid:
    """Where to measure, and how long.

    Attributes:
        element, edge: "Cu", "K".
        e0_ev: edge energy, eV.
        energies_ev: points, eV, ascending; shape (n,).
        times_s: counting time of each point, s; shape (n,).
    """

    element: str
    edge: str
    e0_ev: float
    energies_ev: Floats
    times_s: Floats

    @property
    def energies_kev(self) -> Floats:
        """Points in keV, the unit of the device."""
        return self.energies_ev / 1000.0

    def __len__(self) -> int:
        return len(self.energies_ev)


def find_edge_energy(element: str, edge: str) -> float:
    """Tabulated edge energy, eV (Elam, Ravel and Sieber 2002, by `xraydb`): 8979.0 for Cu K.

    Raises:
        RunError: `xraydb`, which belongs to the extra `science`, is not installed.
        BadValue: there is no such element or edge.
    """
    try:
        import xraydb
    except ImportError:
        raise RunError(
            f"{element} {edge}: the table of edge energies is not installed",
            seen="no xraydb",
            remedy="pip install 'mamba-beamline[science]'",
        ) from None
    try:
        found = xraydb.xray_edge(element, edge)
    except ValueError:
        found = None
    if found is None:
        raise BadValue(
            f"{element} {edge}: no such edge", remedy="write an element and a level: 'Cu', 'K' or 'Pt', 'L3'"
        )
    return float(found.energy)


def make_grid(element: str, edge: str, *, k_max: float = 14.0, time_scale: float = 1.0) -> Grid:
    """The grid of an EXAFS step scan at one edge, with its counting times.

    Args:
        element: chemical symbol, "Cu".
        edge: level, "K" or "L3".
        k_max: where the scan ends, Å⁻¹.
        time_scale: factor for all counting times; 1 means 0.5 s before and across the edge, growing to 4 s.

    Raises:
        BadValue: no such edge, a `k_max` before the k region, or a `time_scale` that is not positive.
        RunError: the table of edges is not installed.
    """
    if not (math.isfinite(time_scale) and time_scale > 0):
        raise BadValue(
            f"time_scale {time_scale}: counting times would not be positive", remedy="take 1, or 0.1 for a tenth"
        )
    e0_ev = find_edge_energy(element, edge)
    energies_ev = make_energies_ev(e0_ev, k_max=k_max)
    k_start = float(wave_number_of_energy(e0_ev + EDGE_REGION_EV[1], e0_ev=e0_ev))
    times_s = counting_times_s(energies_ev, e0_ev=e0_ev, k_start=k_start) * time_scale
    return Grid(element, edge, e0_ev, energies_ev, times_s)


def energy_of_wave_number(k_per_angstrom: Any, *, e0_ev: float) -> Any:
    """Energy E = E0 + k²/0.26247, eV, for k in Å⁻¹."""
    return e0_ev + np.square(k_per_angstrom) * EV_PER_SQUARE_WAVE_NUMBER


def wave_number_of_energy(energy_ev: Floats | float, *, e0_ev: float) -> Any:
    """Wave number k = √(0.26247·(E − E0)), Å⁻¹; 0 below the edge."""
    return np.sqrt(np.clip(np.subtract(energy_ev, e0_ev), 0.0, None) / EV_PER_SQUARE_WAVE_NUMBER)


def bragg_angle_deg(energy_ev: Floats | float, *, spacing_angstrom: float = SI111_SPACING_ANGSTROM) -> Any:
    """Bragg angle θ = asin(hc / 2dE), degrees."""
    return np.degrees(np.arcsin(HC_EV_ANGSTROM / (2.0 * spacing_angstrom * np.asarray(energy_ev))))


def energy_per_angle_ev_per_mdeg(energy_ev: float, *, spacing_angstrom: float = SI111_SPACING_ANGSTROM) -> float:
    """Dispersion |dE/dθ| = E / tan θ, eV per millidegree."""
    angle = math.radians(float(bragg_angle_deg(energy_ev, spacing_angstrom=spacing_angstrom)))
    return energy_ev / math.tan(angle) * math.radians(1e-3)


def make_energies_ev(
    e0_ev: float,
    *,
    pre_edge: tuple[float, float, float] = PRE_EDGE_EV,
    edge_region: tuple[float, float, float] = EDGE_REGION_EV,
    k_step: float = 0.05,
    k_max: float = 14.0,
) -> Floats:
    """The three regions of an EXAFS scan: coarse before the edge, fine across it, even steps in k after it.

    Each region starts at its first energy, and its last one belongs to the next region; the k region starts where the
    edge region ends, with whole steps until `k_max` is reached. With the defaults: 26 + 200 + 225 = 451 points, the
    last one at k = 14.006 Å⁻¹, 9726.4 eV for copper.

    Args:
        e0_ev: edge energy, eV.
        pre_edge: from, to, step, eV relative to the edge.
        edge_region: from, to, step, eV relative to the edge.
        k_step: Å⁻¹.
        k_max: Å⁻¹.

    Raises:
        BadValue: the k region would be empty.
    """
    k_first = float(wave_number_of_energy(e0_ev + edge_region[1], e0_ev=e0_ev))
    if not k_max <= _LARGEST_K_MAX:  # which nan is not either
        raise BadValue(
            f"k_max {k_max:g} Å⁻¹: no spectrum goes that far", remedy=f"take up to {_LARGEST_K_MAX:g}, mostly 12 to 16"
        )
    if k_max <= k_first:
        raise BadValue(
            f"k_max {k_max:g} Å⁻¹: nothing lies after the edge region",
            seen=f"the edge region ends at k = {k_first:.2f} Å⁻¹",
            remedy="take a larger k_max",
        )
    # rounding must not add a step when k_max is a whole number of them away
    steps = math.ceil((k_max - k_first) / k_step - 1e-9)
    after = energy_of_wave_number(k_first + k_step * np.arange(steps + 1), e0_ev=e0_ev)
    energies: Floats = np.concatenate([e0_ev + _region(*pre_edge), e0_ev + _region(*edge_region), after])
    return energies


def _region(first: float, last: float, step: float) -> Floats:
    points: Floats = first + step * np.arange(round((last - first) / step), dtype=np.float64)
    return points


def counting_times_s(
    energies_ev: Floats,
    *,
    e0_ev: float,
    k_start: float,
    shortest_s: float = 0.5,
    longest_s: float = 4.0,
    exponent: float = 1.0,
) -> Floats:
    """Counting times, s, that grow with k, since EXAFS dies away with k while noise does not.

    t = t0 + (tmax − t0)·((k − k0)/(kmax − k0))ⁿ, and t0 up to k0.

    Args:
        energies_ev: points, eV, ascending; shape (n,).
        e0_ev: edge energy, eV.
        k_start: k0, Å⁻¹, where the times begin to grow.
        shortest_s: t0.
        longest_s: tmax, at the last point.
        exponent: n.
    """
    k = wave_number_of_energy(energies_ev, e0_ev=e0_ev)
    share = np.clip((k - k_start) / (k[-1] - k_start), 0.0, 1.0)
    times: Floats = shortest_s + (longest_s - shortest_s) * share**exponent
    return times
