"""A photon shutter that takes a moment to open or to close; no Tango.

The beam passes in full from the end of an opening until the beginning of a closing.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field

from mamba.errors import DeviceError
from tango_servers.axis.model import Clock


@dataclass(frozen=True)
class _Order:
    time_s: float
    done_s: float
    opens: bool


@dataclass
class ShutterModel:
    """One shutter; `travel_s` is how long it takes to open or to close."""

    name: str = "shutter"
    clock: Clock = time.monotonic
    travel_s: float = 0.05
    _orders: deque[_Order] = field(default_factory=lambda: deque(maxlen=64))

    def __post_init__(self) -> None:
        self.place(opens=True)

    @property
    def moving(self) -> bool:
        """Whether it is on its way."""
        return self.clock() < self._orders[-1].done_s

    @property
    def end_s(self) -> float:
        """When the last order is or was done."""
        return self._orders[-1].done_s

    @property
    def opens(self) -> bool:
        """Whether the last order was to open."""
        return self._orders[-1].opens

    @property
    def is_open(self) -> bool:
        """Whether the beam passes now."""
        return self.was_open(self.clock())

    def was_open(self, time_s: float) -> bool:
        """Whether the beam passed at a past time."""
        for order in reversed(self._orders):
            if time_s >= order.time_s:
                return order.opens and time_s >= order.done_s
        return self._orders[0].opens

    def changed_between(self, start_s: float, end_s: float) -> bool:
        """Whether an order came, or was carried out, between two past times."""
        return any(start_s < order.done_s and order.time_s < end_s for order in self._orders)

    def place(self, *, opens: bool) -> None:
        """Declare it open or closed, without moving: power-up."""
        now = self.clock()
        self._orders.clear()
        self._orders.append(_Order(now, now, opens))

    def open(self) -> bool:
        """Order it to open; False when it is open already. DeviceError while it is closing."""
        return self._order(opens=True)

    def close(self) -> bool:
        """Order it to close; False when it is closed already. A closing never waits for an opening."""
        return self._order(opens=False)

    def _order(self, *, opens: bool) -> bool:
        if self.opens == opens:
            return False
        if opens and self.moving:
            raise DeviceError(
                f"{self.name}: cannot open",
                seen="it is closing",
                remedy="wait until State is CLOSE, then call Open",
            )
        now = self.clock()
        self._orders.append(_Order(now, now + self.travel_s, opens))
        return True
