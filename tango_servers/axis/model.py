"""A motorised axis with speed, acceleration, backlash, limits and an encoder; no Tango.

*Standing* means at rest; *moving* lasts from the order to the end of its trajectory. Nothing runs while it moves: the
position is a function of the clock, so that a model costs nothing until it is asked.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from mamba.errors import BadValue, DeviceError, LimitExceeded
from tango_servers.motion import Phase, Trajectory, plan_move, plan_stop

Clock = Callable[[], float]

_REMEMBERED_MOVES = 256
_STUCK_S = 1e6
_SLOWER = 10.0
_FOLLOWING_ERROR = 0.1  # of the way
_ABORT_FACTOR = 5.0  # an abort brakes harder than a stop, as drives do


@dataclass
class AxisModel:
    """One axis; all positions in its unit, times in seconds of `clock`.

    Attributes:
        lower, upper: limits of the set point, None where there is none.
        max_speed: cruising speed (unit/s).
        acceleration_s: time from rest to `max_speed` (s).
        backlash: every move ends in the direction of its sign, from at least its size away; 0 turns that off.
        encoder_resolution: size of one encoder step (unit).
        fault: "stuck", "slow", "following-error", or another word for none of them; see `tango_servers.faults`.
        order_s: when the last move was ordered; later than that came at most stops.
    """

    name: str = "axis"
    clock: Clock = time.monotonic
    lower: float | None = None
    upper: float | None = None
    max_speed: float = 1.0
    acceleration_s: float = 0.1
    backlash: float = 0.0
    encoder_resolution: float = 0.0001
    fault: str = ""
    order_s: float = 0.0
    _moves: deque[Trajectory] = field(default_factory=lambda: deque(maxlen=_REMEMBERED_MOVES))

    def __post_init__(self) -> None:
        self.place(0.0)

    @property
    def trajectory(self) -> Trajectory:
        """The last trajectory, done or not."""
        return self._moves[-1]

    @property
    def moving(self) -> bool:
        """Whether it moves now."""
        return self.clock() < self.trajectory.end_s

    @property
    def end_s(self) -> float:
        """When the last order is or was done."""
        return self.trajectory.end_s

    @property
    def position(self) -> float:
        """Where it is now."""
        return self.trajectory.position(self.clock())

    @property
    def encoder(self) -> float:
        """What the encoder shows: the position in whole encoder steps."""
        return round(self.position / self.encoder_resolution) * self.encoder_resolution

    @property
    def within_limits(self) -> bool:
        """Whether it stands between its limits; limits may have been narrowed since."""
        place = self.position
        margin = self.encoder_resolution
        return not (
            (self.lower is not None and place < self.lower - margin)
            or (self.upper is not None and place > self.upper + margin)
        )

    def position_at(self, time_s: float) -> float:
        """Where it was at a past time; exact over the last 256 moves."""
        for move in reversed(self._moves):
            if time_s >= move.start_s:
                return move.position(time_s)
        return self._moves[0].origin

    def was_standing(self, start_s: float, end_s: float) -> bool:
        """Whether it stood still all the time between two past times."""
        for move in reversed(self._moves):
            if move.start_s >= end_s:
                continue
            return move.end_s <= start_s
        return True

    def place(self, position: float) -> None:
        """Declare that it stands at `position`, without moving: power-up, or a new reference."""
        self._moves.clear()
        self._moves.append(Trajectory(self.clock(), position, position))

    def move(self, target: float) -> Trajectory:
        """Start a move and return at once.

        Raises:
            BadValue: `target` is not finite.
            LimitExceeded: it lies outside the limits.
            DeviceError: the axis moves already.
        """
        self.check(target)
        if self.moving:
            raise DeviceError(
                f"{self.name}: cannot start a move to {target:g}",
                seen=f"it is moving to {self.trajectory.target:g}",
                remedy="wait until State is ON, or call Stop first",
            )
        move = self._plan(target)
        self._moves.append(move)
        self.order_s = move.start_s
        return move

    def _plan(self, target: float) -> Trajectory:
        start = self.trajectory.target
        if self.fault == "stuck":
            return Trajectory(self.clock(), start, start, (Phase(_STUCK_S, 0.0, 0.0),))
        if self.fault == "following-error":
            target = start + (1.0 - _FOLLOWING_ERROR) * (target - start)
        speed = self.max_speed / _SLOWER if self.fault == "slow" else self.max_speed
        return plan_move(
            self.clock(), start, self._waypoints(target), max_speed=speed, acceleration=speed / self.acceleration_s
        )

    def check(self, target: float) -> None:
        """Refuse a set point that `move` would refuse for its value."""
        if not math.isfinite(target):
            raise BadValue(f"{self.name}: cannot move to {target}", seen="not a finite number", remedy="give a number")
        below = self.lower is not None and target < self.lower
        if below or (self.upper is not None and target > self.upper):
            raise LimitExceeded(
                f"{self.name}: cannot move to {target:g}",
                seen=f"limits {_show(self.lower)} to {_show(self.upper)}",
                remedy="choose a position between the limits, or have them changed (LowerLimit, UpperLimit)",
            )

    def stop(self) -> Trajectory | None:
        """Slow down and stand; None when it stands already."""
        return self._brake(1.0)

    def abort(self) -> Trajectory | None:
        """Stand as soon as the drive can; None when it stands already."""
        return self._brake(_ABORT_FACTOR)

    def _brake(self, factor: float) -> Trajectory | None:
        if not self.moving:
            return None
        now = self.clock()
        braking = plan_stop(self.trajectory, now, deceleration=factor * self.max_speed / self.acceleration_s)
        self._moves.append(braking)
        return braking

    def _waypoints(self, target: float) -> tuple[float, ...]:
        way = target - self.trajectory.target
        if self.backlash == 0 or way == 0 or way * self.backlash > 0:
            return (target,)
        turning = target - self.backlash
        # A limit is never overrun, even to take up backlash.
        if self.lower is not None:
            turning = max(turning, self.lower)
        if self.upper is not None:
            turning = min(turning, self.upper)
        return (turning, target)


def _show(limit: float | None) -> str:
    return "none" if limit is None else f"{limit:g}"
