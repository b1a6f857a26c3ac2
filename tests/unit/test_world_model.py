"""The light of the virtual beamline: ring, shutter, foil, and an edge that is found where it was measured."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mamba.errors import DeviceError
from tango_servers.shutter.model import ShutterModel
from tango_servers.storage_ring.model import StorageRingModel
from tango_servers.virtual_beamline.foil import load_foil
from tango_servers.virtual_beamline.model import DARK_RATE, INCOMING_RATE, World
from tests.unit.test_axis_model import FakeClock

E0_EV = 8979.0


def make_world() -> tuple[World, FakeClock]:
    clock = FakeClock()
    return World(clock=clock), clock


def stand_at(world: World, clock: FakeClock, energy_kev: float) -> None:
    world.monochromator.place(energy_kev)
    clock.now += 1.0


def xafs_grid() -> np.ndarray:
    """Worked example of a copper scan: steps of 5 and 0.25 eV, then 0.05 in k; 451 points."""
    k = math.sqrt(30 * 0.26247) + 0.05 * np.arange(225)
    return np.concatenate([E0_EV + np.arange(-150, -20, 5), E0_EV - 20 + 0.25 * np.arange(200), E0_EV + k**2 / 0.26247])


def test_the_foil_is_the_measured_one() -> None:
    foil = load_foil()
    assert len(foil.energy_ev) == 408
    assert (foil.energy_ev[0], foil.absorption[0]) == (8779.0, -1.3070486)
    assert foil.absorption_at(8000.0) == -1.3070486  # constant outside
    assert foil.absorption_at(20000.0) == foil.absorption[-1]
    assert foil.absorption_at(8959.25) == pytest.approx(0.5 * (-1.3394162 - 1.33909))
    slope = np.gradient(foil.absorption, foil.energy_ev)
    assert foil.energy_ev[slope.argmax()] == 8980.5


def test_the_logarithm_of_the_counts_is_the_measured_absorption() -> None:
    world, clock = make_world()
    for energy_ev in (8850.0, 8980.5, 9000.0, 9500.0):
        stand_at(world, clock, energy_ev / 1000)
        window = (clock.now - 0.5, clock.now - 0.4)
        ratio = math.log(world.expect_incoming(*window) / world.expect_transmitted(*window))
        assert ratio == pytest.approx(world.foil.absorption_at(energy_ev), abs=1e-4)


def test_the_edge_is_found_within_1_ev_whatever_the_noise() -> None:
    world, clock = make_world()
    grid_ev = xafs_grid()
    expected = []
    for energy_ev in grid_ev:
        stand_at(world, clock, energy_ev / 1000)
        window = (clock.now - 0.5, clock.now - 0.49)
        expected.append((world.expect_incoming(*window), world.expect_transmitted(*window)))
    assert len(expected) == 451
    i0, i1 = np.array(expected).T
    assert i0[0] == pytest.approx(0.01 * INCOMING_RATE, rel=0.3)  # realistic rates: some 1e8 per second
    found = []
    for seed in range(200):
        random = np.random.default_rng(seed)
        slope = np.gradient(-np.log(random.poisson(i1) / random.poisson(i0)), grid_ev)
        found.append(grid_ev[slope.argmax()])
    assert max(abs(np.array(found) - 8980.5)) <= 0.5


def test_a_closed_shutter_leaves_the_dark_counts() -> None:
    world, clock = make_world()
    clock.now += 1.0
    assert world.expect_incoming(clock.now - 0.1, clock.now) > 1e6
    world.shutter.close()
    clock.now += 1.0
    assert world.expect_incoming(clock.now - 0.1, clock.now) == pytest.approx(0.1 * DARK_RATE)
    assert world.expect_transmitted(clock.now - 0.1, clock.now) == pytest.approx(0.1 * DARK_RATE)


def test_light_follows_a_shutter_that_opens_within_the_count() -> None:
    world, clock = make_world()
    world.shutter.place(opens=False)
    clock.now += 1.0
    begin = clock.now
    world.shutter.open()
    clock.now += 0.1
    full = world.incoming_rate(clock.now) * 0.1
    opened = world.expect_incoming(begin, clock.now)
    assert opened == pytest.approx(full * 0.5, rel=0.05)  # 50 ms on the way, 50 ms open


def test_light_follows_a_move_within_the_count() -> None:
    world, clock = make_world()
    stand_at(world, clock, 8.85)
    begin = clock.now
    move = world.monochromator.move(9.15)
    clock.now = move.end_s
    seen = world.expect_transmitted(begin, clock.now) / (clock.now - begin)
    below, above = world.transmitted_rate(begin - 0.5), world.transmitted_rate(clock.now)
    assert above < seen < below


def test_ring_current_decays_and_is_filled_up() -> None:
    clock = FakeClock()
    ring = StorageRingModel(clock=clock)
    assert ring.current_ma == 200.0
    clock.now += 119.0
    assert 199.0 < ring.current_ma < 200.0
    clock.now += 1.0
    assert ring.current_ma == 200.0


def test_shutter_takes_its_time_and_can_always_close() -> None:
    clock = FakeClock()
    shutter = ShutterModel(clock=clock)
    shutter.place(opens=False)
    clock.now += 1.0
    assert shutter.open()
    assert not shutter.open()
    assert (shutter.moving, shutter.is_open) == (True, False)
    clock.now += 0.01
    assert shutter.close()
    with pytest.raises(DeviceError, match="it is closing"):
        shutter.open()
    clock.now += 0.06
    assert (shutter.moving, shutter.is_open) == (False, False)
    assert shutter.open()
    clock.now += 0.06
    assert shutter.is_open
