"""The highest rate at which a camera that cannot wait loses nothing, 1024² uint16 frames into the built-in graph.

First the camera waits for the graph, which shows what it can take; then it sends at a fixed rate and drops what finds
no room, a sixth slower each time, until none is missing. The references are `memcpy` and the disk (O_DIRECT) with the
same bytes; the smaller of them is the limit in sight. This is a short form: ten seconds or
3,000 frames, whichever is less; the 60 s of its name are in `make soak`.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from mamba.config import BUILT_IN_PROFILE
from mamba.data_worker.control import arm, load_graph, shutdown_ray
from mamba.data_worker.graph import Graph
from tests.bench.edge import copy_blocks
from tests.bench.measuring import Sample, Watch, make_entry
from tests.bench.writer import FLOW, make_counts, write_directly
from tests.support.frame_feeder import Feeder

FRAME_MB = FLOW.row_bytes / 1e6
TRIAL_FRAMES = 800
SLOWER = 5 / 6
SECONDS = 10.0
MOST_FRAMES = 3000


def measure() -> list[dict[str, Any]]:
    """The entry for `results.json`; `limits` has the references."""
    graph = load_graph(BUILT_IN_PROFILE.parent / "regions.yaml")
    pool = [make_counts(number) for number in range(8)]
    with tempfile.TemporaryDirectory(prefix="mamba-bench-") as folder:
        file = Path(folder) / "frames.h5"
        try:
            sample, missing = find_rate(graph, file, SECONDS, MOST_FRAMES)
        finally:
            shutdown_ray()
        limits = {
            "memcpy": max(copy_blocks(FLOW, pool, 100).value for _ in range(3)),
            "disk": max(write_directly(pool, Path(folder) / "direct").value for _ in range(3)),
        }
    nearest = min(limits, key=lambda name: limits[name])
    entry = make_entry("lossless_60s", [sample], unit="MB/s", bar="recorded", reference=[Sample(limits[nearest])])
    return [{**entry, "limits": limits, "trials": missing}]


def find_rate(graph: Graph, file: Path, seconds: float, most_frames: int) -> tuple[Sample, dict[str, int]]:
    """MB/s that were lossless for so long, or so many frames, and what was missing in each trial by its rate."""
    frames_per_s = max(run(graph, file, TRIAL_FRAMES, None)[0] for _ in range(2))
    trials: dict[str, int] = {}
    while True:
        frames_per_s *= SLOWER
        rate, missing, cpu_ms = run(graph, file, TRIAL_FRAMES, frames_per_s)
        if not missing:  # a short trial did well: now the long one
            rate, missing, cpu_ms = run(graph, file, min(most_frames, int(seconds * frames_per_s)), frames_per_s)
        trials[f"{frames_per_s * FRAME_MB:.0f} MB/s"] = missing
        if not missing:
            return Sample(rate * FRAME_MB, cpu_ms), trials
        if frames_per_s < 10:
            raise AssertionError(f"frames are lost at any rate: {trials}")


def run(graph: Graph, file: Path, frames: int, frames_per_s: float | None) -> tuple[float, int, float]:
    """Frames per second, frames missing, CPU in ms for each frame; a camera without a rate waits."""
    shape = (FLOW.shape[0], FLOW.shape[1])
    told: dict[str, Any] = {"frames": frames, "shape": shape, "block_frames": 1, "slots": 32, "prepared": True}
    if frames_per_s:
        told |= {"rate": frames_per_s, "policy": "drop"}
    with Feeder(**told) as feeder:
        armed = arm(graph, endpoint=feeder.endpoint, data_format=feeder.format, arm_id=1, frames=frames, file=file)
        watch = Watch()
        feeder.start()
        ledger = armed.wait(timeout_s=120)
        cpu_ms = watch.cpu_ms(frames)
        armed.close()
    file.unlink()
    return ledger.frames_per_s, frames - ledger.written, cpu_ms
