"""Counting: times, ends, refusals, and noise that does not depend on who looks."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mamba.errors import BadValue, DeviceError
from tango_servers.ion_chamber.model import IonChamberModel
from tests.unit.test_axis_model import FakeClock


def make_chamber(rate: float = 1e6, seed: int = 1) -> tuple[IonChamberModel, FakeClock]:
    clock = FakeClock()
    chamber = IonChamberModel(clock=clock, expect=lambda start, end: rate * (end - start), seed=seed)
    chamber.set_integration(0.5)
    return chamber, clock


def count(chamber: IonChamberModel, clock: FakeClock, looks: int = 0) -> int:
    due, began = chamber.start(), clock.now
    for look in range(looks):
        clock.now = began + (due - began) * (look + 1) / (looks + 1)
        assert chamber.counts >= 0
    clock.now = due
    assert chamber.finish()
    return chamber.counts


def test_a_count_ends_when_it_is_due() -> None:
    chamber, clock = make_chamber()
    due = chamber.start()
    assert due == clock.now + 0.5
    clock.now = due - 0.1
    assert not chamber.finish()
    assert chamber.elapsed_s == pytest.approx(0.4)
    clock.now = due + 3.0  # looked at late: no count more
    assert chamber.finish()
    assert not chamber.finish()
    assert chamber.elapsed_s == pytest.approx(0.5)
    assert chamber.counts == pytest.approx(5e5, abs=5 * math.sqrt(5e5))
    assert chamber.rate == pytest.approx(chamber.counts / 0.5)


@pytest.mark.parametrize("looks", [0, 7])
def test_noise_is_poisson_however_often_one_looks(looks: int) -> None:
    chamber, clock = make_chamber(rate=2000.0, seed=7)
    counts = np.array([count(chamber, clock, looks) for _ in range(4000)])
    assert counts.mean() == pytest.approx(1000.0, abs=4 * math.sqrt(1000 / 4000))
    assert counts.var() == pytest.approx(1000.0, rel=0.1)


def test_stop_keeps_and_abort_throws_away() -> None:
    chamber, clock = make_chamber()
    kept = count(chamber, clock)
    chamber.start()
    clock.now += 0.2
    assert chamber.abort()
    assert (chamber.counts, chamber.elapsed_s) == (kept, pytest.approx(0.5))
    chamber.start()
    clock.now += 0.2
    assert chamber.stop()
    assert chamber.elapsed_s == pytest.approx(0.2)
    assert chamber.counts == pytest.approx(2e5, abs=5 * math.sqrt(2e5))
    assert not chamber.stop()
    assert not chamber.abort()


def test_one_count_at_a_time() -> None:
    chamber, _ = make_chamber()
    chamber.start()
    with pytest.raises(DeviceError, match=r"it is counting, 0\.5 s to go"):
        chamber.start()
    with pytest.raises(DeviceError, match="cannot change the integration time"):
        chamber.set_integration(1.0)


@pytest.mark.parametrize("seconds", [0.0, -1.0, math.nan, math.inf, 3601.0])
def test_impossible_times_are_refused(seconds: float) -> None:
    chamber, _ = make_chamber()
    with pytest.raises(BadValue):
        chamber.set_integration(seconds)
    assert chamber.integration_s == 0.5
