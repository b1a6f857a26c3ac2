"""The edge of the measured copper foil, with and without counting noise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mamba.alignment.edge import estimate_noise, find_edge, fit_slopes
from mamba.errors import BadValue
from mamba.experiments.xafs_grid import make_grid
from tests.support.simulated import read_foil

COPPER_EV = 8980.5


def step(energy_ev: np.ndarray, e0_ev: float, width_ev: float = 1.5) -> np.ndarray:
    return np.asarray(np.arctan((energy_ev - e0_ev) / width_ev) / np.pi + 0.5)


def test_measured_foil_has_its_edge_at_8980_5_ev() -> None:
    edge = find_edge(*read_foil())
    assert edge.e0_ev == pytest.approx(COPPER_EV, abs=0.3)
    assert edge.energy_ev.shape == edge.derivative.shape == (408,)
    assert edge.rise == pytest.approx(2.85, abs=0.02)


def test_edge_is_within_one_ev_for_every_noise_of_short_counting() -> None:
    grid = make_grid("Cu", "K", time_scale=0.02)
    assert grid.times_s.min() == pytest.approx(0.01)
    assert grid.times_s.max() == pytest.approx(0.08)
    mu = np.interp(grid.energies_ev, *read_foil())
    for seed in range(50):
        random = np.random.default_rng(seed)
        i0 = random.poisson(1e8 * grid.times_s)
        i1 = random.poisson(1e8 * grid.times_s * np.exp(-mu))
        edge = find_edge(grid.energies_ev, -np.log(i1 / i0))
        assert edge.e0_ev == pytest.approx(COPPER_EV, abs=1.0), f"seed {seed}"
        assert edge.significance > 15


@pytest.mark.parametrize("rate_hz", [1e6, 3e5])
def test_window_grows_with_the_noise_and_the_edge_stays(rate_hz: float) -> None:
    grid = make_grid("Cu", "K", time_scale=0.02)
    mu = np.interp(grid.energies_ev, *read_foil())
    for seed in range(20):
        random = np.random.default_rng(seed)
        i0 = random.poisson(rate_hz * grid.times_s)
        i1 = random.poisson(rate_hz * grid.times_s * np.exp(-mu))
        assert find_edge(grid.energies_ev, -np.log(i1 / i0)).e0_ev == pytest.approx(COPPER_EV, abs=1.0)


@given(e0_ev=st.floats(8970, 8990), factor=st.floats(0.01, 100), offset=st.floats(-5, 5))
def test_shifts_and_scales_move_the_edge_as_they_should(e0_ev: float, factor: float, offset: float) -> None:
    energy = np.arange(8900.0, 9100.0, 0.5)
    edge = find_edge(energy, factor * step(energy, e0_ev) + offset)
    assert edge.e0_ev == pytest.approx(e0_ev, abs=0.1)


def test_order_repeats_and_holes_do_not_matter() -> None:
    energy = np.arange(8900.0, 9100.0, 0.5)
    mu = step(energy, 8985.0)
    there_and_back = np.concatenate([energy, energy[::-1]])
    twice = np.concatenate([mu, mu[::-1]])
    twice[10] = np.nan
    assert find_edge(there_and_back, twice).e0_ev == pytest.approx(8985.0, abs=0.1)


def test_slopes_of_a_parabola_are_exact_on_an_uneven_grid() -> None:
    energy = np.cumsum(np.random.default_rng(1).uniform(0.1, 3.0, 60))
    slope, gain = fit_slopes(energy, 2 + 3 * energy + 0.5 * energy**2, window_ev=2.0)
    np.testing.assert_allclose(slope, 3 + energy, rtol=1e-6)
    assert np.all(gain > 0)


def test_noise_is_estimated_from_neighbours() -> None:
    energy = np.sort(np.random.default_rng(2).uniform(0, 100, 2000))
    noise = np.random.default_rng(3).normal(0, 0.02, 2000)
    assert estimate_noise(energy, np.sin(energy / 30) + noise) == pytest.approx(0.02, rel=0.1)


def test_spectrum_without_an_edge_is_refused() -> None:
    energy = np.arange(8900.0, 9100.0, 0.5)
    noise = np.random.default_rng(4).normal(0, 0.01, energy.size)
    with pytest.raises(BadValue, match="no edge is to be seen"):
        find_edge(energy, 1 + noise)
    with pytest.raises(BadValue, match="no edge is to be seen"):
        find_edge(energy, np.linspace(3, 1, energy.size) + noise)


SHORT = ([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], "too short")
UNEQUAL = ([1.0, 2.0, 3.0], [1.0, 2.0], "differ in length")
NOTHING = ([np.nan] * 9, [1.0] * 9, "too short")


@pytest.mark.parametrize(("energy", "mu", "match"), [SHORT, UNEQUAL, NOTHING])
def test_unusable_input_is_refused(energy: list[float], mu: list[float], match: str) -> None:
    with pytest.raises(BadValue, match=match):
        find_edge(energy, mu)
