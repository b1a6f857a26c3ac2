"""Frames per second of the camera's graph against one plain process that does the same job.

The job: 1024 × 1024 uint16 frames, four region sums each, one HDF5 file with a chunk per frame, flushed twice a second,
its pages given back early. The graph gets its frames from another process, over the ring or over TCP; the plain process
has them in its memory and pays for no transport at all. Rounds are interleaved; the best of each counts.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from mamba.config import BUILT_IN_PROFILE
from mamba.data_worker.control import arm, load_graph, shutdown_ray
from mamba.data_worker.graph import Graph
from mamba.data_worker.processors.region_sums import RegionSumsParameters
from mamba.data_worker.sinks.writeback import Writeback
from tests.support.frame_feeder import Feeder, make_frame

SHAPE = (1024, 1024)
FRAMES = 1000
ROUNDS = 3
TRANSPORTS = {"graph_roi_h5": "ring", "graph_roi_h5_tcp": "zmq"}


def measure() -> list[dict[str, Any]]:
    """Entries for `results.json`; takes about half a minute on a quiet machine."""
    graph = load_graph(BUILT_IN_PROFILE.parent / "regions.yaml")
    pool = [make_frame(number, SHAPE) for number in range(16)]
    rates: dict[str, list[float]] = {"plain": [], **{name: [] for name in TRANSPORTS}}
    try:
        with tempfile.TemporaryDirectory(prefix="mamba-bench-") as folder:
            for round_number in range(ROUNDS):
                rates["plain"].append(run_plain(pool, Path(folder) / f"plain{round_number}.h5", graph))
                for name, transport in TRANSPORTS.items():
                    rates[name].append(run_graph(graph, transport, Path(folder) / f"{name}{round_number}.h5"))
    finally:
        shutdown_ray()
    reference = max(rates["plain"])
    return [
        {
            "name": name,
            "value": max(rates[name]),
            "unit": "frames/s",
            "reference": reference,
            "ratio": max(rates[name]) / reference,
            "samples": rates[name],
        }
        for name in TRANSPORTS
    ]


def run_graph(graph: Graph, transport: str, file: Path) -> float:
    """Frames per second through the graph, from the first block's arrival to the last acknowledgement."""
    with Feeder(transport=transport, frames=FRAMES, shape=SHAPE, prepared=True) as feeder:
        armed = arm(
            graph, endpoint=feeder.endpoint, data_format=feeder.format, arm_id=feeder.feed.arm, frames=FRAMES, file=file
        )
        feeder.start()
        ledger = armed.wait(timeout_s=120)
        armed.close()
    if ledger.written != FRAMES or ledger.missing:
        raise AssertionError(f"the graph lost frames: {ledger}")
    file.unlink()
    return ledger.frames_per_s


def run_plain(pool: list[NDArray[np.uint16]], path: Path, graph: Graph) -> float:
    """Frames per second of a loop over frames in memory."""
    regions = RegionSumsParameters.model_validate(graph.node("region_sums").parameters).regions
    sums = np.empty((FRAMES, len(regions)), dtype=np.uint64)
    started = flushed = time.monotonic()
    with h5py.File(path, "x", libver=("earliest", "v108")) as file:
        data = file.create_dataset(
            "frames", (0, *SHAPE), maxshape=(None, *SHAPE), chunks=(1, *SHAPE), dtype="u2", fillvalue=None
        )
        writeback = Writeback(file.id.get_vfd_handle())
        for number in range(FRAMES):
            frame = pool[number % len(pool)]
            for column, r in enumerate(regions):
                part = frame[r.y : r.y + r.height, r.x : r.x + r.width]
                sums[number, column] = np.add.reduce(np.add.reduce(part, axis=0, dtype="u4"), dtype="u8")
            data.resize(number + 1, axis=0)
            data.id.write_direct_chunk((number, 0, 0), frame)
            writeback.advance()
            if time.monotonic() - flushed > 0.5:
                file.flush()
                flushed = time.monotonic()
        file["region_sums"] = sums
        file.flush()
        seconds = time.monotonic() - started
        writeback.close()
    path.unlink()
    return FRAMES / seconds
