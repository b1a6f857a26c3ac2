"""Trajectories, limits, backlash, encoder and stops of the axis model, under a clock that only the test moves."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mamba.errors import BadValue, DeviceError, LimitExceeded
from tango_servers.axis.model import AxisModel
from tango_servers.motion import plan_move, plan_stop


@dataclass
class FakeClock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def make_axis(**settings: float) -> tuple[AxisModel, FakeClock]:
    clock = FakeClock()
    axis = AxisModel(clock=clock, max_speed=2.0, acceleration_s=0.5)
    for name, value in settings.items():
        setattr(axis, name, value)
    return axis, clock


places = st.floats(-1e3, 1e3).filter(lambda x: x == 0 or abs(x) > 1e-6)


@given(origin=places, target=places, speed=st.floats(0.01, 100), acceleration=st.floats(0.01, 1e4))
def test_a_move_is_continuous_and_keeps_its_bounds(
    origin: float, target: float, speed: float, acceleration: float
) -> None:
    move = plan_move(0.0, origin, [target], max_speed=speed, acceleration=acceleration)
    scale = max(1.0, abs(origin), abs(target))
    assert move.position(-1.0) == origin
    assert move.position(move.end_s) == target
    times = [k * move.end_s / 200 for k in range(201)]
    for before, after in itertools.pairwise(times):
        step = after - before
        assert abs(move.speed(after)) <= speed * (1 + 1e-9)
        assert abs(move.position(after) - move.position(before)) <= speed * step * (1 + 1e-6) + 1e-9 * scale
        assert min(origin, target) - 1e-9 * scale <= move.position(after) <= max(origin, target) + 1e-9 * scale


def test_a_long_move_is_a_trapezoid_and_a_short_one_a_triangle() -> None:
    long = plan_move(0.0, 0.0, [10.0], max_speed=2.0, acceleration=4.0)
    assert long.end_s == pytest.approx(10.0 / 2.0 + 2.0 / 4.0)
    assert long.speed(2.0) == 2.0
    short = plan_move(0.0, 0.0, [0.01], max_speed=2.0, acceleration=4.0)
    assert short.end_s == pytest.approx(2 * math.sqrt(0.01 / 4.0))


@given(time_s=st.floats(0.0, 6.0), deceleration=st.floats(0.1, 100))
def test_a_stop_begins_where_the_move_is_and_ends_at_rest(time_s: float, deceleration: float) -> None:
    move = plan_move(0.0, 0.0, [10.0], max_speed=2.0, acceleration=4.0)
    stop = plan_stop(move, time_s, deceleration=deceleration)
    assert stop.position(time_s) == pytest.approx(move.position(time_s))
    assert stop.speed(time_s + 1e-12) == pytest.approx(move.speed(time_s), abs=1e-6)
    assert stop.speed(stop.end_s) == 0.0
    way = move.speed(time_s) ** 2 / (2 * deceleration)
    assert stop.target - stop.origin == pytest.approx(way, abs=1e-9)


def test_it_moves_and_then_stands_exactly_at_the_target() -> None:
    axis, clock = make_axis()
    move = axis.move(3.0)
    assert axis.moving
    clock.now = move.end_s - 1e-6
    assert axis.moving
    assert axis.position < 3.0
    clock.now = move.end_s
    assert not axis.moving
    assert axis.position == 3.0


@pytest.mark.parametrize("target", [10.001, -5.001])
def test_beyond_a_limit_nothing_moves(target: float) -> None:
    axis, _ = make_axis(lower=-5.0, upper=10.0)
    with pytest.raises(LimitExceeded, match="limits -5 to 10"):
        axis.move(target)
    assert not axis.moving
    axis.move(10.0)


@pytest.mark.parametrize("target", [math.nan, math.inf, -math.inf])
def test_what_is_not_a_number_is_refused(target: float) -> None:
    axis, _ = make_axis()
    with pytest.raises(BadValue, match="not a finite number"):
        axis.move(target)


def test_a_second_move_is_refused_until_the_first_is_done() -> None:
    axis, clock = make_axis()
    move = axis.move(3.0)
    with pytest.raises(DeviceError, match="is moving to 3"):
        axis.move(1.0)
    clock.now = move.end_s
    axis.move(1.0)


@pytest.mark.parametrize(("backlash", "target", "turning"), [(0.5, -2.0, -2.5), (0.5, 2.0, 2.0), (-0.5, 2.0, 2.5)])
def test_every_move_ends_in_the_direction_of_the_backlash(backlash: float, target: float, turning: float) -> None:
    axis, clock = make_axis(backlash=backlash)
    move = axis.move(target)
    path = [move.position(clock.now + k * (move.end_s - clock.now) / 1000) for k in range(1001)]
    extreme = min(path) if turning < 0 else max(path)
    assert extreme == pytest.approx(turning, abs=1e-3)
    assert path[-1] == target
    assert (path[-1] - path[-2]) * backlash > 0 or backlash * target > 0


def test_backlash_does_not_overrun_a_limit() -> None:
    axis, clock = make_axis(backlash=1.0, lower=-2.2)
    move = axis.move(-2.0)
    path = [move.position(clock.now + k * (move.end_s - clock.now) / 1000) for k in range(1001)]
    assert min(path) == pytest.approx(-2.2)


def test_abort_stands_sooner_than_stop() -> None:
    ways = {}
    for kind in ("stop", "abort"):
        axis, clock = make_axis()
        axis.move(100.0)
        clock.now += 5.0
        before = axis.position
        stopped = getattr(axis, kind)()
        clock.now = stopped.end_s
        assert not axis.moving
        ways[kind] = axis.position - before
    assert ways["stop"] == pytest.approx(2.0**2 / (2 * 4.0))
    assert ways["abort"] == pytest.approx(ways["stop"] / 5)
    assert axis.stop() is None


def test_after_a_stop_the_next_move_begins_where_it_stands() -> None:
    axis, clock = make_axis()
    axis.move(100.0)
    clock.now += 1.0
    stopped = axis.stop()
    assert stopped is not None
    clock.now = stopped.end_s
    place = axis.position
    move = axis.move(0.0)
    assert move.origin == place
    clock.now = move.end_s
    assert axis.position == 0.0


def test_the_encoder_shows_whole_steps() -> None:
    axis, _ = make_axis(encoder_resolution=0.1)
    axis.place(1.2345)
    assert axis.encoder == pytest.approx(1.2)
    assert axis.position == 1.2345


def test_the_past_is_known() -> None:
    axis, clock = make_axis()
    first = axis.move(1.0)
    clock.now = first.end_s + 1.0
    second = axis.move(-1.0)
    middle = 0.5 * (second.start_s + second.end_s)
    clock.now = second.end_s + 1.0
    assert axis.position_at(99.0) == 0.0
    assert axis.position_at(first.end_s + 0.5) == 1.0
    assert axis.position_at(middle) == pytest.approx(0.0)
    assert axis.was_standing(first.end_s, second.start_s)
    assert not axis.was_standing(first.end_s, middle)
    assert not axis.was_standing(first.start_s - 1.0, first.end_s)
    assert axis.was_standing(second.end_s, clock.now)


def test_limits_narrowed_around_it_are_noticed() -> None:
    axis, _ = make_axis()
    axis.place(3.0)
    assert axis.within_limits
    axis.upper = 2.0
    assert not axis.within_limits


@pytest.mark.parametrize(
    ("fault", "after_s", "place", "moving"),
    [("", 3.0, 2.0, False), ("slow", 3.0, None, True), ("stuck", 1e4, 0.0, True), ("following-error", 3.0, 1.8, False)],
)
def test_faults_on_purpose(fault: str, after_s: float, place: float | None, moving: bool) -> None:
    now = [100.0]
    axis = AxisModel(clock=lambda: now[0], fault=fault)
    axis.move(2.0)
    now[0] += after_s
    assert axis.moving is moving
    assert 0.0 < axis.position < 0.5 if place is None else axis.position == pytest.approx(place)
    axis.stop()
    now[0] += 10.0
    assert not axis.moving
