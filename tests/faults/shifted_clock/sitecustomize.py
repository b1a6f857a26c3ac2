"""Loaded by Python at its start from PYTHONPATH: the clock of the day is off by the seconds that stand in a file.

The file is read at every call, so that a test may let the clock jump while a process runs. `time.monotonic` and the
kernel's own timers stay as they are, as they do when somebody sets the clock of a machine. `datetime.now` is not
shifted: it is written in C and nothing of ours measures with it, which a test looks after.
"""

import os
import time

_FILE = os.environ["MAMBA_TEST_CLOCK"]
_time, _time_ns = time.time, time.time_ns


def _read_offset() -> float:
    with open(_FILE) as file:
        return float(file.read() or 0)


time.time = lambda: _time() + _read_offset()
time.time_ns = lambda: _time_ns() + int(_read_offset() * 1e9)
