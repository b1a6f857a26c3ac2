"""A counter behind an ion chamber: counts for a set time, with Poisson noise; no Tango.

It knows the light only through one function: how many counts are expected between two past times. Counts are drawn
interval by interval, whenever somebody looks; a sum of Poisson numbers is a Poisson number of the summed mean, so the
result does not depend on how often that was.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from mamba.errors import BadValue, DeviceError
from tango_servers.axis.model import Clock

Expectation = Callable[[float, float], float]
"""Expected counts between two past times (s)."""

LONGEST_S = 3600.0
"""Longest integration time (s)."""


@dataclass
class IonChamberModel:
    """One counter/timer.

    Attributes:
        expect: expected counts between two past times.
        integration_s: how long one count takes (s).
        seed: of the noise; None takes one from the operating system.
        stuck: whether the next count never comes to its end; see `tango_servers.faults`.
    """

    name: str = "ion chamber"
    clock: Clock = time.monotonic
    expect: Expectation = lambda start_s, end_s: 0.0
    integration_s: float = 0.1
    seed: int | None = None
    stuck: bool = False
    _random: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self._random = np.random.default_rng(self.seed)
        self._lock = threading.Lock()
        self._start_s = self._seen_s = self.clock()
        self._end_s = self._start_s
        self._counting = False
        self._counts = 0
        self._last_counts, self._last_s = 0, 0.0

    @property
    def counting(self) -> bool:
        """Whether a count was started and not yet finished by `finish`, `stop` or `abort`."""
        return self._counting

    @property
    def start_s(self) -> float:
        """When the last count started."""
        return self._start_s

    @property
    def end_s(self) -> float:
        """When the running count is due."""
        return self._end_s

    @property
    def elapsed_s(self) -> float:
        """Time counted so far, or in the last count (s)."""
        with self._lock:
            return self._look()[1]

    @property
    def counts(self) -> int:
        """Counts so far, or of the last count."""
        with self._lock:
            return self._look()[0]

    @property
    def rate(self) -> float:
        """Mean counts per second so far, or of the last count."""
        with self._lock:
            counts, seconds = self._look()
        return counts / seconds if seconds > 0 else 0.0

    def set_integration(self, seconds: float) -> None:
        """Choose how long the next count takes; BadValue outside 0 to LONGEST_S."""
        if not (math.isfinite(seconds) and 0 < seconds <= LONGEST_S):
            raise BadValue(
                f"{self.name}: cannot integrate for {seconds} s",
                seen="outside the possible times",
                remedy=f"give seconds above 0, at most {LONGEST_S:g}",
            )
        self._refuse_while_counting("change the integration time")
        self.integration_s = seconds

    def start(self) -> float:
        """Start a count; returns when it is due. DeviceError when one is running."""
        self._refuse_while_counting("start a count")
        with self._lock:
            self._start_s = self._seen_s = self.clock()
            self._end_s = math.inf if self.stuck else self._start_s + self.integration_s
            self._counts = 0
            self._counting = True
        return self._end_s

    def finish(self) -> bool:
        """End the count if it is due; False when it is not, or when none is running."""
        with self._lock:
            if not self._counting or self.clock() < self._end_s:
                return False
            self._close()
        return True

    def stop(self) -> bool:
        """End the count now and keep what was counted; False when none is running."""
        with self._lock:
            if not self._counting:
                return False
            self._end_s = min(self._end_s, self.clock())
            self._close()
        return True

    def abort(self) -> bool:
        """End the count now and throw it away: the previous one stays; False when none is running."""
        with self._lock:
            was, self._counting = self._counting, False
        return was

    def _refuse_while_counting(self, what: str) -> None:
        if self._counting:
            raise DeviceError(
                f"{self.name}: cannot {what}",
                seen=f"it is counting, {max(0.0, self._end_s - self.clock()):.3g} s to go",
                remedy="wait until State is ON, or call Stop first",
            )

    def _look(self) -> tuple[int, float]:
        if not self._counting:
            return self._last_counts, self._last_s
        self._draw_until(min(self.clock(), self._end_s))
        return self._counts, self._seen_s - self._start_s

    def _draw_until(self, time_s: float) -> None:
        if time_s > self._seen_s:
            self._counts += int(self._random.poisson(self.expect(self._seen_s, time_s)))
            self._seen_s = time_s

    def _close(self) -> None:
        self._draw_until(self._end_s)
        self._last_counts, self._last_s = self._counts, self._end_s - self._start_s
        self._counting = False
