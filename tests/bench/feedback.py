"""From a block that is ready in the detector's process to the callback in the console's.

200 frames a second of 2 MiB, each a block of its own, over the ring; one region's sum of each is fed back, and all is
written to a file meanwhile. The value is the time that 99 of 100 rows stay below, in the best round.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from mamba.data_worker.control import arm, feedback, shutdown_ray
from mamba.data_worker.feedback import Row
from mamba.data_worker.graph import Graph, parse_graph
from tests.bench.measuring import Sample, Watch, make_entry
from tests.support.frame_feeder import Feeder

SHAPE = (1024, 1024)
FRAMES = 800
PERIOD_S = 0.005
ROUNDS = 4


def measure() -> list[dict[str, Any]]:
    """The entry for `results.json`."""
    try:
        with tempfile.TemporaryDirectory(prefix="mamba-bench-") as folder:
            samples = [run(make_graph(), Path(folder) / "frames.h5") for _ in range(ROUNDS)]
    finally:
        shutdown_ray()
    return [make_entry("feedback_p99_ms", samples, unit="ms", bar="≤ 10 ms", least=True)]


def make_graph() -> Graph:
    """Frames, a sum, the file, the way back."""
    region = {"name": "spot", "x": 208, "y": 208, "width": 96, "height": 96}
    return parse_graph(
        {
            "name": "fed_back",
            "nodes": [
                {"name": "camera", "kind": "stream", "group": "intake"},
                {"name": "sums", "kind": "region_sums", "group": "intake", "parameters": {"regions": [region]}},
                {"name": "steer", "kind": "feedback", "group": "intake"},
                {"name": "file", "kind": "hdf5", "group": "file"},
            ],
            "edges": [
                {"from": "camera", "to": "sums"},
                {"from": "camera", "to": "file"},
                {"from": "sums", "to": "steer"},
            ],
        }
    )


def run(graph: Graph, file: Path) -> Sample:
    """The 99th percentile of one arm, in milliseconds."""
    rows: list[Row] = []
    leave = feedback["steer"].subscribe(rows.append)
    told = {"frames": FRAMES, "shape": SHAPE, "block_frames": 1, "slots": 32, "period_s": PERIOD_S, "prepared": True}
    try:
        with Feeder(**told, timed=True) as feeder:
            armed = arm(graph, endpoint=feeder.endpoint, data_format=feeder.format, arm_id=1, frames=FRAMES, file=file)
            watch = Watch()
            feeder.start()
            times = np.array(feeder.read()["times"])
            ledger = armed.wait(timeout_s=60)
            cpu_ms = watch.cpu_ms(FRAMES)
            armed.close()
    finally:
        leave()
    if ledger.written != FRAMES or [row.number for row in rows] != list(range(FRAMES)):
        raise AssertionError(f"rows or frames were lost: {len(rows)} rows, {json.dumps(ledger.edges)}")
    file.unlink()
    late_ms = (np.array([row.time for row in rows]) - times) * 1000
    return Sample(float(np.percentile(late_ms, 99)), cpu_ms)
