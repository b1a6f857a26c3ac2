"""The Tango face of everything that moves along one axis: an axis in its unit, a monochromator in keV.

A move is ordered by writing the position attribute, which returns at once; State is MOVING from then on until the
model stands. The end is seen by the pacer, which sleeps until it is due.
"""

from __future__ import annotations

import math
import threading
import time
from typing import ClassVar, Protocol

from tango import AttrWriteType, DevState
from tango.server import attribute, command, device_property

from mamba.errors import BadValue
from tango_servers.axis.model import AxisModel
from tango_servers.face import EVENT_PERIOD_S, Face, memory
from tango_servers.motion import Trajectory
from tango_servers.pacer import Pacer


class Movable(Protocol):
    """What a model offers to this face."""

    name: str

    @property
    def moving(self) -> bool:
        """Whether it moves now."""

    @property
    def within_limits(self) -> bool:
        """Whether it stands between its limits."""

    def move(self, target: float) -> Trajectory:
        """Start a move."""

    def stop(self) -> Trajectory | None:
        """Slow down and stand."""

    def abort(self) -> Trajectory | None:
        """Stand as soon as it can."""


class MotionFace(Face):
    """Base of Axis and Monochromator.

    Attributes:
        moved: name of the attribute whose writing starts a move.
        followed: attributes pushed while it moves.
    """

    LowerLimit = device_property(dtype=float, doc="Lowest set point that may be asked for; not set: no limit.")
    UpperLimit = device_property(dtype=float, doc="Highest set point that may be asked for; not set: no limit.")

    moved: ClassVar[str] = "Position"
    followed: ClassVar[tuple[str, ...]] = ("Position",)
    faults: ClassVar[tuple[str, ...]] = ("stuck", "slow", "following-error", "timeout", "nan", "offline")

    def init_device(self) -> None:
        """Stand, read the properties, take up the place kept from the last time (without moving)."""
        super().init_device()
        self.announces(*self.followed)
        if not hasattr(self, "model"):
            self._order: tuple[float, float] | None = None  # from, to; None when nothing was ordered
            self._stopped = False
            self._missed: float | None = None  # the target that the last move did not reach
            self._set_up_model()
        self._pushed_s = 0.0
        self._pacer = Pacer(self.get_name(), self._tick, self.fail)
        self._unusable: BadValue | None = None
        try:
            self._apply_properties()
        except BadValue as error:
            self._unusable = error
        self.show_set_point(self.moved, self.where())
        # Until somebody writes them Tango would show 0, which their limits forbid.
        self.show_set_point("Velocity", self.drive.max_speed)
        self.show_set_point("Acceleration", self.drive.acceleration_s)
        self.show_set_point("Backlash", self.drive.backlash)
        self._show_standing()

    def delete_device(self) -> None:
        """Stop the mechanism: nothing moves without its server."""
        if self.mechanism.abort() is not None:
            self._stopped = True
            # Braking takes a known, short time; the record of the move is complete only afterwards.
            threading.Event().wait(max(0.0, self.drive.end_s - time.monotonic()))
        self._finish()
        self._pacer.close()
        super().delete_device()

    # What a subclass says of its model.

    @property
    def mechanism(self) -> Movable:
        """The model that moves."""
        raise NotImplementedError

    @property
    def drive(self) -> AxisModel:
        """The model whose speed, acceleration and backlash are set."""
        raise NotImplementedError

    def where(self) -> float:
        """The value of the position attribute now."""
        raise NotImplementedError

    def heading(self) -> float:
        """The value of the position attribute where the last order ends."""
        raise NotImplementedError

    def followed_values(self) -> dict[str, float]:
        """Values of the attributes named in `followed`."""
        return {self.moved: self.where()}

    def _set_up_model(self) -> None:
        raise NotImplementedError

    def _apply_properties(self) -> None:
        """Take over the properties; BadValue for one that cannot be used."""
        raise NotImplementedError

    def check_properties(self, **above_zero: float) -> None:
        """Refuse properties that are not above zero, and limits in the wrong order."""
        self.check_above_zero(**above_zero)
        if self.LowerLimit is not None and self.UpperLimit is not None and not self.LowerLimit < self.UpperLimit:
            raise self.bad_property("LowerLimit", self.LowerLimit, f"not below UpperLimit, {self.UpperLimit:g}")

    # Moving.

    def order_move(self, target: float) -> None:
        """Start a move; a refusal moves nothing."""
        if self._finish():
            self._announce_end()
        origin = self.where()
        with self.refusing(f"write_{self.moved}"):
            if self._unusable is not None:
                raise self._unusable
            with self.deciding:
                self.mechanism.move(target)
                self._missed = None
                self._order, self._stopped = (origin, target), False
                self.show(DevState.MOVING, f"moves from {origin:.6g} to {target:.6g}")
        self.push_state()
        self._pacer.wake()

    def _tick(self) -> float | None:
        if self._finish():
            self._announce_end()
            return None
        # Not whether it moves: it may have come to rest since `_finish` looked, and its end must still be told.
        if self._order is None:
            return None
        now = time.monotonic()
        if now >= self._pushed_s + EVENT_PERIOD_S:
            self._push_values()
            self._pushed_s = now
        return min(self.drive.end_s, self._pushed_s + EVENT_PERIOD_S)

    def _announce_end(self) -> None:
        self._push_values()
        self.push_state()

    def _finish(self) -> bool:
        """Close the books of a move that is done; False while it lasts, or when there was none."""
        with self.deciding:
            if self._order is None or self.mechanism.moving:
                return False
            (origin, target), self._order = self._order, None
            place = self.heading()
            if self.drive.fault == "following-error" and not self._stopped:
                self._missed = target
            memory.keep(self.get_name(), self.moved, place)
            self._record(origin, target, place)
            self._show_standing()
            return True

    def _record(self, origin: float, target: float, place: float) -> None:
        self.truth.write(
            "move",
            device=self.get_name(),
            origin=origin,
            target=target,
            to=place,
            start=self.drive.order_s,
            end=self.drive.end_s,
            stopped=self._stopped,
        )

    def _show_standing(self) -> None:
        place = f"{self.where():.6g}"
        if self._unusable is not None:
            self.show(DevState.FAULT, str(self._unusable))
        elif not self.mechanism.within_limits:
            self.show(DevState.ALARM, f"stands at {place}, outside its limits; move it back between them")
        elif self._missed is not None:
            self.show(DevState.ALARM, f"following error: stands at {place}, was ordered to {self._missed:.6g}")
        elif self._stopped:
            self.show(DevState.ON, f"was stopped at {place}; ready")
        else:
            self.show(DevState.ON, f"stands at {place}; ready")

    def apply_fault(self, before: str) -> None:
        """Hand the fault to the drive; what was stuck is let go where it stands."""
        self.drive.fault = self._fault
        if before == "stuck":
            self._brake(hard=True)

    def _push_values(self) -> None:
        for name, value in self.followed_values().items():
            self.push_change_event(name, value)

    def _brake(self, *, hard: bool) -> None:
        with self.deciding:
            braking = self.mechanism.abort() if hard else self.mechanism.stop()
            if braking is None:
                return
            self._stopped = True
            self.show(DevState.MOVING, "is stopping")
        self.show_set_point(self.moved, self.heading())
        self._pacer.wake()

    @command
    def Stop(self) -> None:
        """Slow down and stand; State is MOVING until it does. Does nothing while it stands."""
        self._brake(hard=False)

    @command
    def Abort(self) -> None:
        """Stand as soon as the drive can, braking five times as hard as Stop. Does nothing while it stands."""
        self._brake(hard=True)

    @attribute(
        dtype=float,
        access=AttrWriteType.READ_WRITE,
        label="Speed",
        unit="1/s",
        format="%.4f",
        min_value="1e-6",
        memorized=True,
        hw_memorized=True,
        doc="Cruising speed of the drive, for the next move.",
    )
    def Velocity(self) -> float:
        """Cruising speed (unit of the drive per second)."""
        return self.drive.max_speed

    @Velocity.write  # type: ignore[no-redef]  # PyTango's way to write the setter
    def Velocity(self, speed: float) -> None:
        """Set the cruising speed."""
        self._refuse_not_positive("Velocity", speed)
        self.drive.max_speed = speed

    @attribute(
        dtype=float,
        access=AttrWriteType.READ_WRITE,
        label="Acceleration time",
        unit="s",
        format="%.4f",
        min_value="1e-4",
        max_value="100",
        memorized=True,
        hw_memorized=True,
        doc="Time from rest to the cruising speed, and back, for the next move.",
    )
    def Acceleration(self) -> float:
        """Acceleration time (s)."""
        return self.drive.acceleration_s

    @Acceleration.write  # type: ignore[no-redef]  # PyTango's way to write the setter
    def Acceleration(self, seconds: float) -> None:
        """Set the acceleration time."""
        self._refuse_not_positive("Acceleration", seconds)
        self.drive.acceleration_s = seconds

    @attribute(
        dtype=float,
        access=AttrWriteType.READ_WRITE,
        label="Backlash",
        unit="",
        format="%.4f",
        memorized=True,
        hw_memorized=True,
        doc="Moves against its sign go this much too far and come back, so that every move ends in the same direction; "
        "0 turns that off.",
    )
    def Backlash(self) -> float:
        """Backlash correction (unit of the drive, signed)."""
        return self.drive.backlash

    @Backlash.write  # type: ignore[no-redef]  # PyTango's way to write the setter
    def Backlash(self, way: float) -> None:
        """Set the backlash correction."""
        if not math.isfinite(way):
            self._refuse_value("Backlash", way)
        self.drive.backlash = way

    def _refuse_not_positive(self, name: str, value: float) -> None:
        if not 0 < value < float("inf"):
            self._refuse_value(name, value)

    def _refuse_value(self, name: str, value: float) -> None:
        what = f"{self.get_name()}: cannot set {name} to {value}"
        error = BadValue(what, seen="not a usable number", remedy="give a finite one, above 0 for speeds and times")
        raise self.refuse("API_InvalidArgs", error, f"write_{name}")
