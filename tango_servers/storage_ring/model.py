"""A storage ring in top-up: the current decays with its lifetime and is filled up again at regular times; no Tango."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

from tango_servers.axis.model import Clock


@dataclass
class StorageRingModel:
    """I(t) = I0 exp(−(t mod T)/τ).

    Attributes:
        full_ma: current after each top-up (mA).
        lifetime_h: beam lifetime τ (h).
        topup_s: time T between two top-ups (s).
    """

    clock: Clock = time.monotonic
    full_ma: float = 200.0
    lifetime_h: float = 10.0
    topup_s: float = 120.0
    _filled_s: float = field(init=False)

    def __post_init__(self) -> None:
        self._filled_s = self.clock()

    @property
    def current_ma(self) -> float:
        """Current now (mA)."""
        return self.current_at(self.clock())

    def current_at(self, time_s: float) -> float:
        """Current at a time (mA)."""
        since_s = math.fmod(time_s - self._filled_s, self.topup_s)
        return self.full_ma * math.exp(-max(0.0, since_s) / (self.lifetime_h * 3600.0))
