"""The world of the virtual beamline: where the photons come from and what reaches each ion chamber; no Tango.

Light = ring current × shutter × incoming flux at the monochromator's energy; behind the foil it is weaker (or, with the
amplifier gains of the measurement, stronger) by exp(−ln(i0/i1)), so that ln(i0/i1) of the counts is the measured curve.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tango_servers.axis.model import Clock
from tango_servers.monochromator.model import MonochromatorModel
from tango_servers.shutter.model import ShutterModel
from tango_servers.storage_ring.model import StorageRingModel
from tango_servers.virtual_beamline.foil import Foil, load_foil

INCOMING_RATE = 1e8
"""Counts per second of the incoming ion chamber at full current and largest flux."""

FULL_CURRENT_MA = 200.0
"""Ring current to which INCOMING_RATE belongs."""

DARK_RATE = 500.0
"""Counts per second without light."""

_SAMPLES = 33  # when something moved: enough to follow a scan over the edge in one count


@dataclass
class World:
    """Everything the devices of one virtual beamline share."""

    clock: Clock = time.monotonic
    foil: Foil = field(default_factory=load_foil)
    ring: StorageRingModel = field(init=False)
    monochromator: MonochromatorModel = field(init=False)
    shutter: ShutterModel = field(init=False)

    def __post_init__(self) -> None:
        self.ring = StorageRingModel(clock=self.clock)
        self.monochromator = MonochromatorModel(clock=self.clock)
        self.shutter = ShutterModel(clock=self.clock)

    def light_at(self, time_s: float) -> float:
        """Light before the foil at a past time, in counts per second of the incoming chamber."""
        if not self.shutter.was_open(time_s):
            return 0.0
        flux = self.foil.flux_at(1000.0 * self.monochromator.energy_at(time_s))
        return INCOMING_RATE * self.ring.current_at(time_s) / FULL_CURRENT_MA * flux

    def incoming_rate(self, time_s: float) -> float:
        """Expected counts per second before the foil at a past time."""
        return DARK_RATE + self.light_at(time_s)

    def transmitted_rate(self, time_s: float) -> float:
        """Expected counts per second behind the foil at a past time."""
        absorption = self.foil.absorption_at(1000.0 * self.monochromator.energy_at(time_s))
        return DARK_RATE + self.light_at(time_s) * math.exp(-absorption)

    def expect_incoming(self, start_s: float, end_s: float) -> float:
        """Expected counts of the incoming chamber between two past times."""
        return self._integrate(self.incoming_rate, start_s, end_s)

    def expect_transmitted(self, start_s: float, end_s: float) -> float:
        """Expected counts of the transmission chamber between two past times."""
        return self._integrate(self.transmitted_rate, start_s, end_s)

    def _integrate(self, rate: Callable[[float], float], start_s: float, end_s: float) -> float:
        span_s = end_s - start_s
        steady = self.monochromator.bragg.was_standing(start_s, end_s)
        if steady and not self.shutter.changed_between(start_s, end_s):
            return rate(start_s + 0.5 * span_s) * span_s
        times = (start_s + (k + 0.5) * span_s / _SAMPLES for k in range(_SAMPLES))
        return sum(map(rate, times)) * span_s / _SAMPLES
