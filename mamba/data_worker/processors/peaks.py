"""Many peaks fitted at once: the least squares of Levenberg and Marquardt, all spectra in the same NumPy calls.

A peak is `height · shape((x − centre)/fwhm) + level + slope · (x − middle)`. Shapes of full width 1 at half height:
Gauss exp(−4 ln 2 u²), Lorentz 1/(1 + 4 u²). Method: K. Madsen, H. B. Nielsen, O. Tingleff, "Methods for non-linear
least squares problems", 2nd edition (2004), section 3.2, with Marquardt's scaling of the diagonal.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Shape = Literal["gauss", "lorentz"]
Floats = NDArray[np.float64]

_ROUNDS = 60
_SETTLED = 1e-8
"""Relative step below which a fit has converged."""


def fit_peaks(x: Floats, rows: Floats, *, shape: Shape, sloping: bool) -> Floats:
    """Fit one peak to each row.

    Args:
        x: places, shape (points,), rising or falling.
        rows: values, shape (count, points).
        shape: of the peak.
        sloping: the background is a line, not a level.

    Returns:
        Centre, full width at half maximum, height, level (background below the peak's centre) and the root mean square
        of what is left over, shape (count, 5). NaN where a fit did not converge, or found a peak that is not there: its
        centre or width beyond the range of x.
    """
    middle, scale = float(np.mean(x)), float(np.ptp(x))
    u = (x - middle) / scale
    found = np.full((len(rows), 5), np.nan)
    good = np.flatnonzero(np.isfinite(rows).all(axis=1))
    with np.errstate(all="ignore"):  # what overflows does not converge
        y = rows[good]
        size = np.maximum(np.ptp(y, axis=1), np.finfo(float).tiny)[:, None]
        base = y.min(axis=1, initial=np.inf)[:, None]
        p, left, settled = _minimise(u, (y - base) / size, shape=shape, sloping=sloping)
        inside = (p[:, 0] >= u.min()) & (p[:, 0] <= u.max()) & (abs(p[:, 1]) <= 2) & (abs(p[:, 2]) > 0)
        level = p[:, 3] + (p[:, 4] * p[:, 0] if sloping else 0)
        along, up = [p[:, 0] * scale + middle, abs(p[:, 1]) * scale], np.stack([p[:, 2], level, left], axis=1) * size
        up[:, 1] += base[:, 0]
        fitted = np.concatenate([np.stack(along, axis=1), up], axis=1)
        found[good] = np.where((settled & inside & np.isfinite(fitted).all(axis=1))[:, None], fitted, np.nan)
    return found


def _guess(u: Floats, y: Floats, *, sloping: bool) -> Floats:
    """Where to begin: the highest point, above the median of the outer tenths."""
    edge = max(len(u) // 10, 1)
    level = np.median(np.concatenate([y[:, :edge], y[:, -edge:]], axis=1), axis=1)
    top = y.argmax(axis=1)
    height = np.take_along_axis(y, top[:, None], axis=1)[:, 0] - level
    above = (y > (level + height / 2)[:, None]).mean(axis=1)
    parameters = [u[top], np.maximum(above, 2 / len(u)), height, level, np.zeros(len(y))]
    return np.stack(parameters[: 5 if sloping else 4], axis=1)


def _model(u: Floats, p: Floats, *, shape: Shape) -> tuple[Floats, Floats]:
    """Values (count, points) and their derivatives (count, points, parameters)."""
    centre, width, height, level = (p[:, at, None] for at in range(4))
    d = (u - centre) / width
    if shape == "gauss":
        part = np.exp(-4 * np.log(2) * d**2)
        along = -8 * np.log(2) * d * part
    else:
        part = 1 / (1 + 4 * d**2)
        along = -8 * d * part**2
    slopes = [-height * along / width, -height * along * d / width, part, np.ones_like(part)]
    values = height * part + level
    if p.shape[1] == 5:
        values = values + p[:, 4, None] * u
        slopes.append(np.broadcast_to(u, part.shape))
    return values, np.stack(slopes, axis=-1)


def _minimise(u: Floats, y: Floats, *, shape: Shape, sloping: bool) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Parameters (count, 4 or 5), root mean square of what is left, and whether they settled."""
    p = _guess(u, y, sloping=sloping)
    settled = np.zeros(len(y), dtype=bool)
    damping, growth = np.full(len(y), 1e-3), np.full(len(y), 2.0)
    values, slopes = _model(u, p, shape=shape)
    cost = ((y - values) ** 2).sum(axis=1)
    narrowest = 0.1 * abs(u[1] - u[0])
    for _ in range(_ROUNDS):
        at = np.flatnonzero(~settled)
        if not at.size:
            break
        step = _find_step(slopes[at], y[at] - values[at], damping[at])
        tried = p[at] + step
        tried[:, 1] = np.maximum(abs(tried[:, 1]), narrowest)
        new_values, new_slopes = _model(u, tried, shape=shape)
        new_cost = ((y[at] - new_values) ** 2).sum(axis=1)
        small = (abs(step) <= _SETTLED * (abs(p[at]) + 1e-3)).all(axis=1)
        small &= damping[at] < 1  # else it is only held back
        better = new_cost <= cost[at]
        kept = at[better]
        p[kept], values[kept], slopes[kept], cost[kept] = (
            tried[better], new_values[better], new_slopes[better], new_cost[better],
        )  # fmt: skip
        damping[kept], growth[kept] = np.maximum(damping[kept] / 5, 1e-12), 2.0
        worse = at[~better]
        damping[worse], growth[worse] = damping[worse] * growth[worse], growth[worse] * 2
        settled[at] |= small
    return p, np.sqrt(cost / len(u)), settled


def _find_step(slopes: Floats, left: Floats, damping: Floats) -> Floats:
    normal = np.swapaxes(slopes, 1, 2) @ slopes
    diagonal = np.einsum("nii->ni", normal)
    diagonal += damping[:, None] * np.maximum(diagonal, 1e-12)
    gradient = np.swapaxes(slopes, 1, 2) @ left[..., None]
    return np.asarray(np.linalg.solve(normal, gradient)[..., 0])
