"""Bragg's law, limits and the speed of small steps."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mamba.errors import BadValue, LimitExceeded
from tango_servers.monochromator.model import MonochromatorModel, find_bragg_angle, find_energy
from tests.unit.test_axis_model import FakeClock


def make_monochromator(energy_kev: float = 8.9) -> tuple[MonochromatorModel, FakeClock]:
    clock = FakeClock()
    mono = MonochromatorModel(clock=clock, lower=4.0, upper=20.0)
    mono.place(energy_kev)
    return mono, clock


def test_angles_of_the_worked_example() -> None:
    assert find_bragg_angle(8.979) == pytest.approx(12.720, abs=5e-4)
    assert find_bragg_angle(8.829) == pytest.approx(12.940, abs=5e-4)
    assert find_bragg_angle(9.7264) == pytest.approx(11.728, abs=5e-4)


@given(st.floats(2.0, 60.0))
def test_energy_and_angle_are_inverse(energy_kev: float) -> None:
    assert find_energy(find_bragg_angle(energy_kev)) == pytest.approx(energy_kev, rel=1e-12)


def test_dispersion() -> None:
    slope = (find_energy(12.7205) - find_energy(12.7195)) / 0.001
    assert slope == pytest.approx(-8.979 / math.tan(math.radians(12.72)) * math.pi / 180, rel=1e-4)
    assert slope * 1000 / 1000 == pytest.approx(-0.694, abs=1e-3)  # eV per mdeg


@pytest.mark.parametrize(
    ("origin_kev", "step_kev", "longest_s"), [(8.98, 0.00025, 0.003), (8.83, 0.005, 0.0095), (9.72, 0.0053, 0.0095)]
)
def test_small_steps_are_fast(origin_kev: float, step_kev: float, longest_s: float) -> None:
    mono, clock = make_monochromator(origin_kev)
    move = mono.move(origin_kev + step_kev)
    assert move.end_s - clock.now < longest_s
    clock.now = move.end_s
    assert mono.energy == pytest.approx(origin_kev + step_kev, rel=1e-13)
    assert mono.wavelength == pytest.approx(12.39842 / mono.energy)


@pytest.mark.parametrize("energy_kev", [3.99, 20.01, 1.9])
def test_beyond_a_limit_nothing_moves(energy_kev: float) -> None:
    mono, _ = make_monochromator()
    with pytest.raises(LimitExceeded, match="limits 4 to 20 keV"):
        mono.move(energy_kev)
    assert not mono.moving
    assert mono.energy == pytest.approx(8.9)


def test_without_limits_the_crystal_is_the_limit() -> None:
    mono, _ = make_monochromator()
    mono.lower = mono.upper = None
    with pytest.raises(LimitExceeded, match=r"limits 1\.977"):
        mono.move(1.9)


@pytest.mark.parametrize("energy_kev", [math.nan, math.inf, 0.0, -8.9])
def test_what_is_no_energy_is_refused(energy_kev: float) -> None:
    mono, _ = make_monochromator()
    with pytest.raises(BadValue):
        mono.move(energy_kev)


def test_a_stop_leaves_it_between() -> None:
    mono, clock = make_monochromator()
    move = mono.move(12.0)
    clock.now += 0.5 * (move.end_s - clock.now)
    stopped = mono.stop()
    assert stopped is not None
    clock.now = stopped.end_s
    assert 8.9 < mono.energy < 12.0
    assert mono.target == mono.energy
