"""From the request `run/stop_all` until axes stand that another program moved, against their own command Stop."""

from __future__ import annotations

import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tango

from tests.support.facility import facility_up, wait_until

ROUNDS = 10
AXES = ("vbl/axis/sample_x", "vbl/axis/sample_y")


def measure() -> list[dict[str, Any]]:
    """`stop_all`: seconds from the order to standing, the braking of 0.1 s in it; reference: Stop, sent directly."""
    ours, direct = [], []
    before = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="mb-bench-") as folder:
        os.chdir(folder)
        try:
            with facility_up() as beamline, beamline.client() as client:
                axes = [tango.DeviceProxy(f"tango://{beamline.tango_host}/{name}") for name in AXES]
                for _ in range(ROUNDS):
                    request = threading.Thread(target=lambda: client.request("run/stop_all"))
                    ours.append(_time_stop(axes, request.start))  # its answer comes when all has been looked at twice
                    request.join()
                    direct.append(_time_stop(axes, lambda: [axis.Stop() for axis in axes]))
        finally:
            os.chdir(before)
    value, reference = statistics.median(ours), statistics.median(direct)
    return [
        {
            "name": "stop_all",
            "value": value,
            "unit": "s",
            "reference": reference,
            "ratio": value / reference,
            "samples": ours,
        }
    ]


def _time_stop(axes: list[Any], stop: Callable[[], object]) -> float:
    for axis in axes:
        axis.Velocity = 1.0
        axis.Position = -9.0 if axis.Position > 0 else 9.0
    wait_until(lambda: all(axis.state() == tango.DevState.MOVING for axis in axes), "they move")
    time.sleep(0.3)  # at full speed: braking takes its 0.1 s each time
    began = time.monotonic()
    stop()
    while any(axis.state() == tango.DevState.MOVING for axis in axes):
        pass
    return time.monotonic() - began
