"""The truth record: what the simulated hardware really did, one JSON line per act, for tests to compare with.

One file per server process in the folder named by MAMBA_TRUTH_DIR; none when that is unset. Times called `start`,
`end` and `at` are seconds of CLOCK_MONOTONIC, which all processes of one machine share; `time` is the wall clock.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

TruthValue = str | int | float | bool | None


class TruthRecord:
    """Appends acts to one file; records nothing when `file` is None."""

    def __init__(self, file: Path | None = None) -> None:
        # One write per line on an appending descriptor: lines of several threads never mix.
        self._descriptor = None if file is None else os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, act: str, **fields: TruthValue) -> None:
        """Record one act ("move", "count", "arm", "block", …) with its fields."""
        if self._descriptor is not None:
            line = json.dumps({"act": act, "time": time.time(), **fields})
            os.write(self._descriptor, line.encode() + b"\n")

    def close(self) -> None:
        """Close the file; later acts are not recorded."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)
