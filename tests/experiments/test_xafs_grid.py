"""The XAFS grid against the figures of the worked example."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mamba.errors import BadValue, RunError
from mamba.experiments.xafs_grid import (
    bragg_angle_deg,
    energy_of_wave_number,
    energy_per_angle_ev_per_mdeg,
    find_edge_energy,
    make_energies_ev,
    make_grid,
    wave_number_of_energy,
)


def test_copper_has_451_points_to_9726_ev() -> None:
    grid = make_grid("Cu", "K")
    assert grid.e0_ev == 8979.0
    assert len(grid) == 451
    assert grid.energies_ev[0] == 8829.0
    assert grid.energies_ev[-1] == pytest.approx(9726.4, abs=0.05)
    relative = grid.energies_ev - grid.e0_ev
    assert np.count_nonzero(relative < -20) == 26
    assert np.count_nonzero((relative >= -20) & (relative < 30)) == 200
    assert np.count_nonzero(relative >= 30 - 1e-9) == 225
    k = wave_number_of_energy(grid.energies_ev[226:], e0_ev=grid.e0_ev)
    np.testing.assert_allclose(np.diff(k), 0.05, rtol=1e-9)
    np.testing.assert_allclose(grid.energies_kev * 1000, grid.energies_ev)


def test_counting_takes_620_s_from_half_a_second_to_four() -> None:
    times = make_grid("Cu", "K").times_s
    assert times.sum() == pytest.approx(620, abs=1)
    assert (times[0], times[226], times[-1]) == (0.5, 0.5, 4.0)
    assert np.all(np.diff(times) >= 0)
    np.testing.assert_allclose(make_grid("Cu", "K", time_scale=0.02).times_s, 0.02 * times)


def test_bragg_angles_of_silicon_111() -> None:
    grid = make_grid("Cu", "K")
    assert bragg_angle_deg(8979.0) == pytest.approx(12.720, abs=5e-4)
    np.testing.assert_allclose(bragg_angle_deg(grid.energies_ev[[0, -1]]), [12.940, 11.728], atol=5e-4)
    assert energy_per_angle_ev_per_mdeg(8979.0) == pytest.approx(0.694, abs=5e-4)
    assert 20 / energy_per_angle_ev_per_mdeg(8979.0) == pytest.approx(28.8, abs=0.05)


def test_step_across_the_edge_is_a_fraction_of_its_width() -> None:
    assert np.diff(make_grid("Cu", "K").energies_ev[30:220]).max() < 2.1 / 4


@given(k=st.floats(0, 30), e0_ev=st.floats(1000, 50000))
def test_wave_number_and_energy_are_inverse(k: float, e0_ev: float) -> None:
    assert wave_number_of_energy(energy_of_wave_number(k, e0_ev=e0_ev), e0_ev=e0_ev) == pytest.approx(k, abs=1e-3)


@given(e0_ev=st.floats(2000, 40000), k_max=st.floats(3, 20))
def test_any_grid_ascends_and_reaches_k_max(e0_ev: float, k_max: float) -> None:
    energies = make_energies_ev(e0_ev, k_max=k_max)
    assert np.all(np.diff(energies) > 0)
    last = wave_number_of_energy(energies[-1], e0_ev=e0_ev)
    assert k_max - 1e-6 <= last < k_max + 0.05


def test_unknown_edges_are_refused() -> None:
    for element, edge in (("Xx", "K"), ("Cu", "Q9"), ("H", "M5")):
        with pytest.raises(BadValue, match="no such edge"):
            find_edge_energy(element, edge)


@pytest.mark.parametrize(
    "arguments",
    [{"k_max": 2.0}, {"k_max": float("nan")}, {"k_max": 1e9}, {"time_scale": 0.0}, {"time_scale": float("nan")}],
)
def test_senseless_ranges_are_refused(arguments: dict[str, float]) -> None:
    with pytest.raises(BadValue):
        make_grid("Cu", "K", **arguments)


def test_without_the_table_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xraydb", None)
    with pytest.raises(RunError, match=r"mamba-beamline\[science\]"):
        make_grid("Cu", "K")
