"""When a process that died may start again: at once, then slower, and not for ever."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field


@dataclass
class RestartPolicy:
    """At most `most_per_minute` restarts within any 60 s, each `growth` times later than the one before."""

    most_per_minute: int = 5
    first_delay_s: float = 0.2
    growth: float = 2.0
    _times_s: deque[float] = field(default_factory=deque)

    def plan_restart(self, now_s: float) -> float | None:
        """Record a death at `now_s` (monotonic, s); the delay before the restart in s, or None to give up."""
        while self._times_s and now_s - self._times_s[0] > 60.0:
            self._times_s.popleft()
        if len(self._times_s) >= self.most_per_minute:
            return None
        delay_s = self.first_delay_s * self.growth ** len(self._times_s)
        self._times_s.append(now_s)
        return delay_s
