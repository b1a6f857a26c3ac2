"""A simulated heater: approaches its set point exponentially, T(t) = T1 + (T0 − T1) exp(−t/τ); no Tango."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class HeaterModel:
    """One heater; `tau_s` is its time constant τ; temperatures in °C."""

    clock: Callable[[], float] = time.monotonic
    tau_s: float = 0.2
    target: float = 20.0
    _order: tuple[float, float] = field(default=(0.0, 20.0), init=False)  # when, from where

    @property
    def temperature(self) -> float:
        """Temperature now."""
        since_s, start = self._order
        return self.target + (start - self.target) * math.exp(-(self.clock() - since_s) / self.tau_s)

    @property
    def heating(self) -> bool:
        """Whether it is further than 0.1 °C from its set point."""
        return abs(self.temperature - self.target) > 0.1

    def set_target(self, target: float) -> None:
        """Begin to approach a new set point."""
        self._order, self.target = (self.clock(), self.temperature), target

    def place(self, temperature: float) -> None:
        """Be there, without heating: power-up, and Stop."""
        self._order, self.target = (self.clock(), temperature), temperature
