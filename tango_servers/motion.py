"""How a motorised mechanism moves: trajectories made of phases of constant acceleration.

A *move* goes from rest to rest: speed up, cruise, slow down (a trapezoid, or a triangle when it is short). A *stop*
slows down from whatever speed there is. Times are seconds of one monotonic clock; positions are in the mechanism's
unit (mm, deg). Formulas: uniformly accelerated motion, x = x0 + v t + a t²/2.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Phase:
    """A stretch of constant acceleration (unit/s²) that begins with `speed` (unit/s, signed)."""

    duration_s: float
    speed: float
    acceleration: float

    def distance(self, elapsed_s: float) -> float:
        """Signed way made `elapsed_s` after the phase began."""
        return self.speed * elapsed_s + 0.5 * self.acceleration * elapsed_s * elapsed_s


@dataclass(frozen=True)
class Trajectory:
    """Where the mechanism is at any time: at `origin` before `start_s`, at `target` from `end_s` on."""

    start_s: float
    origin: float
    target: float
    phases: tuple[Phase, ...] = ()

    @cached_property
    def end_s(self) -> float:
        """When it stands still again."""
        return self.start_s + sum(phase.duration_s for phase in self.phases)

    def position(self, time_s: float) -> float:
        """Position at a time."""
        # Asked first, because sums of durations round: at its end a move is at its target, exactly.
        if time_s >= self.end_s:
            return self.target
        left, place = time_s - self.start_s, self.origin
        if left <= 0:
            return place
        for phase in self.phases:
            if left < phase.duration_s:
                return place + phase.distance(left)
            place += phase.distance(phase.duration_s)
            left -= phase.duration_s
        return self.target

    def speed(self, time_s: float) -> float:
        """Signed speed at a time (unit/s); zero outside the move."""
        left = time_s - self.start_s
        if left <= 0 or time_s >= self.end_s:
            return 0.0
        for phase in self.phases:
            if left < phase.duration_s:
                return phase.speed + phase.acceleration * left
            left -= phase.duration_s
        return 0.0


def plan_move(
    start_s: float, origin: float, waypoints: Iterable[float], *, max_speed: float, acceleration: float
) -> Trajectory:
    """Visit the way points one after the other, at rest in each.

    `max_speed` (unit/s) and `acceleration` (unit/s²) are above 0.
    """
    phases: list[Phase] = []
    place = origin
    for waypoint in waypoints:
        phases += _plan_leg(waypoint - place, max_speed, acceleration)
        place = waypoint
    return Trajectory(start_s, origin, place, tuple(phases))


def _plan_leg(way: float, max_speed: float, acceleration: float) -> list[Phase]:
    if way == 0:
        return []
    sign, length = math.copysign(1.0, way), abs(way)
    peak = min(max_speed, math.sqrt(acceleration * length))
    ramp_s = peak / acceleration
    cruise_s = max(0.0, length / peak - ramp_s)
    return [
        Phase(ramp_s, 0.0, sign * acceleration),
        Phase(cruise_s, sign * peak, 0.0),
        Phase(ramp_s, sign * peak, -sign * acceleration),
    ]


def plan_stop(moving: Trajectory, time_s: float, *, deceleration: float) -> Trajectory:
    """Come to rest as soon as `deceleration` (> 0, unit/s²) allows."""
    place, speed = moving.position(time_s), moving.speed(time_s)
    phase = Phase(abs(speed) / deceleration, speed, -math.copysign(deceleration, speed))
    return Trajectory(time_s, place, place + phase.distance(phase.duration_s), (phase,))
