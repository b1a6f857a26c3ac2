"""One place where bluesky measures a delay with the clock of the day, and its mending.

What: `bluesky.plan_stubs.repeat` (under `count(…, delay=…)`) takes the time since a reading began from `time.time`.
Why it matters: a clock that is set back by an hour makes the next reading wait for an hour.

What stands here instead gives that one module the monotonic clock under the same name. Seen with bluesky 1.15.1.
`tests/faults/test_clock_jumps.py` fails when upstream changes shape, which is the moment to look whether this can go.
"""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

from bluesky import plan_stubs


def measure_delays_monotonically() -> None:
    """Free bluesky's delays from the clock; doing it twice changes nothing."""
    module: Any = plan_stubs
    module.time = SimpleNamespace(time=time.monotonic)
