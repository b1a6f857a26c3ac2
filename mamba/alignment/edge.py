"""The energy of an absorption edge, found where a measured spectrum rises fastest.

The convention of the field: E0 is the maximum of dµ/dE. The point-to-point derivative of a noisy spectrum jumps, so µ
is fitted piece by piece: around each point a parabola through the neighbours within a *window* of energy, weighted
towards the middle, whose slope in the middle is the derivative (Savitzky and Golay 1964; for uneven steps, with the
weights of Cleveland 1979). The window is as narrow as the noise allows: a good spectrum is hardly smoothed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mamba.errors import BadValue

Floats = NDArray[np.float64]

WINDOWS_EV = (1.2, 1.6, 2.4, 3.6, 5.0)
"""Half widths that are tried, narrowest first: core hole and monochromator smear an edge over 2 eV; beyond 5 eV the
shape of the edge itself is smoothed away and its steepest point wanders."""

_FEWEST_POINTS = 5
_CLEAR_SLOPE = 15.0  # standard errors; below, another point's slope may by chance be the largest
_CLEAR_RISE = 12.0  # standard deviations; pure noise of a thousand points spans seven


@dataclass(frozen=True)
class Edge:
    """An edge that was found.

    Attributes:
        e0_ev: energy of the steepest rise, eV.
        energy_ev: points the derivative stands at, eV, ascending; shape (n,).
        derivative: dµ/dE, 1/eV; shape (n,).
        window_ev: half width of the fit window that the noise asked for, eV.
        rise: how much µ rises across the edge.
        noise: standard deviation of µ, seen from point to point.
        significance: the largest slope in standard errors; below 15 another point may be the true one.
    """

    e0_ev: float
    energy_ev: Floats
    derivative: Floats
    window_ev: float
    rise: float
    noise: float
    significance: float


def find_edge(energy_ev: ArrayLike, mu: ArrayLike) -> Edge:
    """Find the steepest rise of a spectrum.

    Args:
        energy_ev: energies, eV, in any order; points that are not finite are left out, repeated energies averaged.
        mu: absorption −ln(I1/I0), or anything that rises at the edge; same shape.

    Raises:
        BadValue: different shapes, fewer than 5 usable points, or no rise that stands out of the noise.
    """
    energy, absorption = _sort(energy_ev, mu)
    noise = estimate_noise(energy, absorption)
    rise = float(np.max(absorption - np.minimum.accumulate(absorption)))
    if not rise > _CLEAR_RISE * noise:
        raise BadValue(
            "spectrum: no edge is to be seen in it",
            seen=f"a rise of {rise:.3g} where neighbours scatter by {noise:.3g}",
            remedy="scan across the edge, or count longer",
        )
    for window in WINDOWS_EV:
        slope, gain = fit_slopes(energy, absorption, window_ev=window)
        top = int(np.argmax(slope))
        error = noise * gain[top]
        significance = float(slope[top] / error) if error > 0 else np.inf
        if significance > _CLEAR_SLOPE:
            break
    return Edge(_peak(energy, slope, top), energy, slope, window, rise, noise, significance)


def _sort(energy_ev: ArrayLike, mu: ArrayLike) -> tuple[Floats, Floats]:
    energy, absorption = np.asarray(energy_ev, dtype=float).ravel(), np.asarray(mu, dtype=float).ravel()
    if energy.shape != absorption.shape:
        raise BadValue(
            "spectrum: energies and absorption differ in length",
            seen=f"{energy.size} and {absorption.size}",
            remedy="give one absorption per energy",
        )
    usable = np.isfinite(energy) & np.isfinite(absorption)
    unique, where = np.unique(energy[usable], return_inverse=True)
    if unique.size < _FEWEST_POINTS:
        raise BadValue(
            "spectrum: too short to find an edge",
            seen=f"{unique.size} usable points",
            remedy=f"measure at least {_FEWEST_POINTS} points across the edge",
        )
    return unique, np.bincount(where, weights=absorption[usable]) / np.bincount(where)


def estimate_noise(energy_ev: Floats, mu: Floats) -> float:
    """Standard deviation of µ, from how far points lie off the line between their neighbours.

    The median of these distances is taken, so that the few points on the edge itself do not count.
    """
    left, right = np.diff(energy_ev)[:-1], np.diff(energy_ev)[1:]
    share = left / (left + right)
    off = mu[1:-1] - (mu[:-2] * (1 - share) + mu[2:] * share)
    # 1.4826: from median absolute deviation to standard deviation of a normal distribution
    return float(1.4826 * np.median(np.abs(off) / np.sqrt(1 + share**2 + (1 - share) ** 2)))


def fit_slopes(energy_ev: Floats, mu: Floats, *, window_ev: float) -> tuple[Floats, Floats]:
    """Derivative at every point, by a weighted parabola through its neighbours.

    Args:
        energy_ev: energies, eV, strictly ascending; shape (n,).
        mu: absorption; shape (n,).
        window_ev: half width, eV; made wider where fewer than five points lie in it.

    Returns:
        dµ/dE (1/eV), and what it makes of noise: its standard error for a standard deviation of 1 in µ (1/eV).
    """
    slope, gain = np.empty_like(mu), np.empty_like(mu)
    for i, centre in enumerate(energy_ev):
        distance = np.abs(energy_ev - centre)
        reach = max(window_ev, 1.001 * np.partition(distance, _FEWEST_POINTS - 1)[_FEWEST_POINTS - 1])
        near = np.flatnonzero(distance < reach)
        row = _slope_weights(energy_ev[near] - centre, reach)
        slope[i] = row @ mu[near]
        gain[i] = np.sqrt(row @ row)
    return slope, gain


def _slope_weights(offset_ev: Floats, reach_ev: float) -> Floats:
    """Coefficients that turn values at `offset_ev` into the slope at 0 of the weighted parabola through them."""
    root = np.sqrt((1 - (np.abs(offset_ev) / reach_ev) ** 3) ** 3)
    scaled = offset_ev / reach_ev
    design = np.stack([np.ones_like(scaled), scaled, scaled**2], axis=1) * root[:, None]
    weights: Floats = np.linalg.pinv(design)[1] * root / reach_ev
    return weights


def _peak(energy: Floats, slope: Floats, top: int) -> float:
    """Top of the parabola through the highest point and its two neighbours; the point itself at the ends."""
    if not 0 < top < len(energy) - 1:
        return float(energy[top])
    near = slice(top - 1, top + 2)
    offset = energy[near] - energy[top]
    curvature, linear, _ = np.polyfit(offset, slope[near], 2)
    if curvature >= 0:
        return float(energy[top])
    return float(energy[top] + np.clip(-linear / (2 * curvature), offset[0], offset[-1]))
