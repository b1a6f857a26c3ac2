"""Motors: anything with a position that is written, moves (state MOVING) and is read back."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from ophyd import Component, FormattedComponent, Kind

from mamba.config import Role
from mamba.devices.attribute import Reading
from mamba.devices.base import Documents, TangoDevice, merge
from mamba.devices.role_limits import check_role_limits
from mamba.devices.signal import TangoSignal, check_number, is_of_now, warn_of
from mamba.devices.stopping import stop_when_it_answers
from mamba.devices.waiting import Readings, Status, run_for_status, wait_until
from mamba.errors import DeviceError, DeviceFault, DeviceTimeout, DeviceUnreachable

_REST_LIFE_S = 1.0
"""So long a motor is taken to stand where its last move ended, for the progress and tolerance of the next."""

_LATE_LOOK_S = 0.05
log = logging.getLogger(__name__)


@dataclass
class _Order:
    """One move; `stopped` is None until somebody stops it, then whether that counts as success."""

    target: float
    timeout_s: float
    status: Status
    stopped: bool | None = None


class Motor(TangoDevice):
    """A motor: `M.sample_x`, or the energy of a monochromator.

    Only the state MOVING means moving. A move is over when a reading after the write shows another state; then the
    readback must be within the tolerance of the target.

    Args:
        tango: Tango device name.
        name: expression.
        attribute: what is moved ("Position", "Energy").
        tolerance: largest |readback - target| of a good move, in the motor's unit; None takes the attribute's delta_val
            from Tango, and where that is not set a thousandth of the way plus 10 ppm of the target.
        timeout_s: longest time of one move.
    """

    whole = "readback"
    commands: ClassVar[Mapping[str, str]] = {"stop": "Stop"}
    readback = FormattedComponent(TangoSignal, "{_attribute}", kind=Kind.hinted)
    setpoint = FormattedComponent(TangoSignal, "{_attribute}", kind=Kind.normal, part="set")
    velocity = Component(TangoSignal, "Velocity", kind=Kind.config)
    acceleration = Component(TangoSignal, "Acceleration", kind=Kind.config)
    backlash = Component(TangoSignal, "Backlash", kind=Kind.config)

    def __init__(
        self,
        tango: str,
        *,
        name: str,
        attribute: str = "Position",
        tolerance: float | None = None,
        timeout_s: float = 120.0,
        **kwargs: Any,
    ) -> None:
        self._attribute = attribute
        self.role_limits: Mapping[Role, tuple[float, float]] = {}
        self._orders: list[_Order] = []
        self._ordered = 0  # how many moves ever
        self._rest: tuple[float, Reading, int] | None = None
        self._move_lock = threading.Lock()
        self._chase_lock = threading.Lock()
        self.tolerance = tolerance
        self.timeout_s = timeout_s
        super().__init__(tango, name=name, **kwargs)

    @property
    def position(self) -> float:
        """Where it is now, in `egu`."""
        return float(self.readback.get())

    @property
    def moving(self) -> bool:
        """Whether it moves now."""
        return self.state == "MOVING"

    @property
    def egu(self) -> str:
        """Unit of the position."""
        return str(self.readback.egu)

    @property
    def limits(self) -> tuple[float, float]:
        """Lowest and highest target; (0, 0) without limits."""
        low, high = self.readback.limits
        return (low, high)

    @property
    def low_limit(self) -> float:
        """Lowest target."""
        return self.limits[0]

    @property
    def high_limit(self) -> float:
        """Highest target."""
        return self.limits[1]

    def read(self) -> Documents:
        """Readback and set point; the reading that ended a move is taken for that of the point that follows at once."""
        rest = self._rest
        if rest is None or not is_of_now(self.link, rest[0]):
            return super().read()
        signals = self._signals_of(Kind.normal)
        if {signal.attribute for signal in signals} != {self._attribute}:
            return super().read()
        return merge(signal.reading_of(rest[1]) for signal in signals)

    def locate(self) -> dict[str, float]:
        """Where it was told to go and where it is."""
        reading = self.link.read(self._attribute)[self._attribute]
        return {"setpoint": reading.set_value, "readback": reading.value}

    def check_value(self, value: float) -> None:
        """Refuse a target that is no number, or outside the limits.

        Raises:
            BadValue, LimitExceeded: naming device, value and limits with units; nothing moved.
        """
        info = self.readback.info
        check_number(self.name, value, info)
        check_role_limits(self.name, float(value), self.role_limits, info.unit)

    def set(self, position: float, *, timeout: float | None = None) -> Status:
        """Move to `position`; the status ends with the move, and `watch` reports progress.

        Raises:
            BadValue, LimitExceeded: at once; nothing moved.
            DeviceFault, DeviceTimeout, DeviceUnreachable: through the status.
        """
        self.check_value(position)
        warn_of(self.name, position, self.readback.info)
        order = _Order(float(position), self.timeout_s if timeout is None else timeout, Status(self))
        with self._chase_lock:
            self._ordered += 1
            self._orders.append(order)
        return run_for_status(order.status, lambda: self._carry_out(order), name=self.name)

    def move(self, position: float, *, timeout: float | None = None, wait: bool = True) -> Status:
        """Move, and by default wait until it is there."""
        status = self.set(position, timeout=timeout)
        if wait:
            status.wait()
        return status

    def stop(self, *, success: bool = False) -> None:
        """Stop now, and forget what was ordered. With `success` the interrupted move counts as good, else it fails.

        Raises:
            DeviceUnreachable, DeviceTimeout: it may still move.
        """
        orders = tuple(self._orders)
        for order in orders:
            order.stopped = success
        try:
            self.link.call(self.command_of["stop"])
        except (DeviceTimeout, DeviceUnreachable):
            for order in orders:
                self._chase(order)
            raise

    def _carry_out(self, order: _Order) -> None:
        try:
            with self._move_lock:
                self._move(order)
        finally:
            self._orders.remove(order)

    def _move(self, order: _Order) -> None:
        target, info = order.target, self.readback.info
        start, self._rest = self._start(f"reach {info.show(target)}"), None
        began = time.monotonic()
        if order.stopped is None:
            self._order(order)

        def look(readings: Readings) -> None:
            current = self.readback.value_of(readings[self._attribute])
            left = min(1.0, abs((target - current) / (target - start))) if target != start else 0.0
            order.status.report(
                name=self.name, current=current, initial=start, target=target, unit=info.unit,
                precision=info.precision or 6, fraction=left, time_elapsed=time.monotonic() - began,
                time_remaining=None,
            )  # fmt: skip

        try:
            readings = wait_until(
                self.link,
                lambda readings: readings["State"].value != "MOVING",
                attributes=("State", self._attribute),
                timeout_s=order.timeout_s,
                doing=f"reach {info.show(target)}",
                look=look,
                holds=lambda readings: abs(readings[self._attribute].value - target) <= self._allow(start, target),
            )
        except DeviceError:  # late, lost, or without a position: nobody can say where it would end
            self._give_up(order)
            raise
        # Tango looks at State after the other attributes: the position that came with it may be of before the end
        self._judge(order, start, {**readings, **self.link.read(self._attribute)})

    def _order(self, order: _Order) -> None:
        """Write the target. Where the answer is late, what the device does then says whether it took it."""
        try:
            self.link.write(self._attribute, order.target)
        except DeviceTimeout as late:
            if not self._was_taken(order):
                self._chase(order)
                if not order.stopped:
                    raise late from None
        if order.stopped is not None:  # the command overtook the write
            self._give_up(order)

    def _was_taken(self, order: _Order) -> bool:
        """Whether the set point is the target, as soon as the device answers again within the time of the move."""
        deadline = time.monotonic() + order.timeout_s
        while order.stopped is None and time.monotonic() < deadline:
            try:
                return bool(self.link.read(self._attribute)[self._attribute].set_value == order.target)
            except DeviceTimeout:
                time.sleep(_LATE_LOOK_S)  # the period of the look
        return False

    def _give_up(self, order: _Order) -> None:
        """Stop a move that nobody waits for any more: now, or as soon as the device can be told."""
        try:
            self.link.call(self.command_of["stop"])
        except DeviceError as error:
            log.info("%s: %s", self.name, error.what)
            self._chase(order)

    def destroy(self) -> None:
        """Give up the connection; a stop that was not heard is not given again."""
        self._ordered += 1
        super().destroy()

    def _chase(self, order: _Order) -> None:
        """Stop what was ordered as soon as the device hears, unless something newer was ordered meanwhile."""
        ordered = self._ordered
        stop_when_it_answers(
            self.link,
            self._attribute,
            order.target,
            lock=self._chase_lock,
            is_wanted=lambda: self._ordered == ordered,
        )

    def _start(self, doing: str) -> float:
        """Where a move begins: where our last one ended well a moment ago, else what is read, unless it is in FAULT.

        Raises:
            DeviceFault: it is; nothing moved.
        """
        rest = self._rest
        if rest is not None and time.monotonic() - rest[0] < _REST_LIFE_S and rest[2] == self.link.generation:
            return float(rest[1].value)
        before = self.link.read("State", self._attribute)
        self._refuse_fault(before["State"].value, doing)
        return float(self.readback.value_of(before[self._attribute]))

    def _judge(self, order: _Order, start: float, readings: Readings) -> None:
        target, info = order.target, self.readback.info
        reached = self.readback.value_of(readings[self._attribute])
        state = readings["State"].value
        self._refuse_fault(state, f"reach {info.show(target)}")
        if order.stopped or (order.stopped is None and abs(reached - target) <= self._allow(start, target)):
            self._rest = (time.monotonic(), readings[self._attribute], self.link.generation)
            return
        how = "is at" if order.stopped is None else "stopped at"
        raise DeviceFault(
            f"{self.name}: did not reach {info.show(target)}",
            seen=f"{how} {info.show(reached)}, state {state}",
            remedy="move again; if nobody stopped it, look at the motor or widen its tolerance",
        )

    def _allow(self, start: float, target: float) -> float:
        tolerance = self.readback.info.readback_tolerance if self.tolerance is None else self.tolerance
        return 1e-3 * abs(target - start) + 1e-5 * abs(target) if tolerance is None else tolerance
