"""Fits of peaks against known truths and SciPy."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import curve_fit

from mamba.data_worker.nodes import Axis
from mamba.data_worker.processors.peaks import fit_peaks
from tests.data_worker.processors.steps import flow_of, run

X = np.linspace(8.9, 9.1, 121)


def peak(
    x: Any, centre: float, fwhm: float, height: float, level: float, slope: float = 0, *, shape: str = "gauss"
) -> Any:
    u = (x - centre) / fwhm
    part = np.exp(-4 * np.log(2) * u**2) if shape == "gauss" else 1 / (1 + 4 * u**2)
    return height * part + level + slope * (x - centre)


@given(
    st.floats(8.93, 9.07), st.floats(0.006, 0.06), st.floats(10, 1e6), st.floats(-100, 1e5),
    st.sampled_from(["gauss", "lorentz"]), st.booleans(),
)  # fmt: skip
@settings(max_examples=80)
def test_a_peak_without_noise_is_found_exactly(
    centre: float, fwhm: float, height: float, level: float, shape: Any, sloping: bool
) -> None:
    slope = height * 2 if sloping else 0.0
    row = peak(X, centre, fwhm, height, level, slope, shape=shape)
    found = fit_peaks(X, row[None], shape=shape, sloping=sloping)
    truth = [centre, fwhm, height, level]
    np.testing.assert_allclose(found[0, :4], truth, rtol=1e-5, atol=1e-6 * height)
    assert found[0, 4] < 1e-6 * height


def test_noisy_peaks_are_fitted_as_by_scipy() -> None:
    random = np.random.default_rng(3)
    truths = np.stack([random.uniform(8.95, 9.05, 100), random.uniform(0.01, 0.05, 100)], axis=1)
    rows = np.stack([random.poisson(peak(X, c, w, 1000, 50)) for c, w in truths]).astype(np.uint16)
    axis = Axis("energy", "keV", tuple(X))
    ran = run("peak_fit", {}, rows, flow=flow_of(rows, axis=axis))
    for row, found, truth in zip(rows, ran.stacked, truths, strict=True):
        expected, _ = curve_fit(peak, X, row, [*truth, 1000, 50])
        np.testing.assert_allclose(found[:4], expected[:4], rtol=1e-4)
    assert abs(ran.stacked[:, 0] - truths[:, 0]).max() < 0.002


def test_what_is_no_peak_is_not_a_number() -> None:
    random = np.random.default_rng(4)
    rows = np.stack([np.full(121, 7.0), np.linspace(0, 100, 121), np.full(121, np.nan), peak(X, 9, 0.03, 100, 5)])
    found = fit_peaks(X, rows, shape="gauss", sloping=False)
    assert np.isnan(found[[0, 2]]).all()
    np.testing.assert_allclose(found[3, :2], [9, 0.03], rtol=1e-6)
    outside = peak(X, 9.4, 0.2, 100, 5)[None]
    assert np.isnan(fit_peaks(X, outside, shape="gauss", sloping=True)).all()
    noise = random.poisson(50, (50, 121)).astype(float)
    found = fit_peaks(X, noise, shape="gauss", sloping=False)
    said = found[~np.isnan(found[:, 0])]
    assert (said[:, 0] >= X[0]).all()
    assert (said[:, 0] <= X[-1]).all()


@given(hnp.arrays(np.float64, (4, 12), elements=st.floats(width=64)), st.booleans())
@settings(max_examples=60)
def test_whatever_comes_is_a_result_or_not_a_number(rows: Any, sloping: bool) -> None:
    found = fit_peaks(np.arange(12.0), rows, shape="lorentz", sloping=sloping)
    assert found.shape == (4, 5)
    assert (np.isfinite(found).all(axis=1) | np.isnan(found).all(axis=1)).all()


@pytest.mark.parametrize(("profile", "centre", "fwhm"), [("x", 33.0, 8.0), ("y", 20.0, 5.0)])
def test_profiles_of_images(profile: str, centre: float, fwhm: float) -> None:
    across, down = peak(np.arange(64), 33, 8, 1, 0), peak(np.arange(48), 20, 5, 1, 0)
    frames = (1000 * down[:, None] * across + 10)[None].astype(np.float32)
    found = run("peak_fit", {"profile": profile, "low": 5, "high": 45}, frames).stacked
    np.testing.assert_allclose(found[0, :2], [centre, fwhm], rtol=1e-4)
