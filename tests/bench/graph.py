"""Frames per second of graphs against one plain process that does the same job.

`graph_roi_h5`: 1024 × 1024 uint16 frames, four region sums each, one HDF5 file with a chunk per frame, flushed twice a
second, its pages given back early. The plain process has its frames in memory and pays for no transport at all. The
graph's frames lie in memory, too, that of another process: in the ring, or (`_tcp`) sent from there over TCP.
`graph_roi_h5_copied`: that process copies each frame into the ring first, as the server of a camera may have to.

`graph_three_stage`: the same frames, kept as they are; corrected by dark and flat, the sums taken of the corrected
ones, kept and fed back to this process; now and then a preview of a corrected frame. The plain process calls the same
nodes one after the other.

Rounds are interleaved; the best of each counts. CPU is that of all processes: feeder, Ray with its actors, this one.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from mamba.config import BUILT_IN_PROFILE
from mamba.data_worker.control import arm, feedback, load_graph, shutdown_ray
from mamba.data_worker.feedback import Row
from mamba.data_worker.graph import Graph, build_node, parse_graph
from mamba.data_worker.nodes import Flow, Item, Job
from mamba.data_worker.processors.region_sums import RegionSumsParameters
from mamba.data_worker.sinks.preview import make_small
from mamba.data_worker.sinks.writeback import Writeback
from tests.bench.measuring import Sample, Watch, make_entry, take_turns
from tests.support.frame_feeder import Feeder, make_frame

SHAPE = (1024, 1024)
SLOTS = 16  # 128 MiB, as the camera has
BLOCK_FRAMES = 4
FRAMES = 1000
STAGED_FRAMES = 600
ROUNDS = 4
PREVIEW_EVERY_S = 0.2


def measure() -> list[dict[str, Any]]:
    """Entries for `results.json`; takes about a minute on a quiet machine."""
    sums, staged = load_graph(BUILT_IN_PROFILE.parent / "regions.yaml"), make_staged()
    pool = [make_frame(number, SHAPE) for number in range(16)]
    with tempfile.TemporaryDirectory(prefix="mamba-bench-") as folder:
        file = Path(folder) / "frames.h5"
        try:
            samples = take_turns(
                ROUNDS,
                {
                    "plain": lambda: run_plain(pool, file, sums),
                    "ring": lambda: run_graph(sums, "ring", file, FRAMES),
                    "copied": lambda: run_graph(sums, "ring", file, FRAMES, resident=False),
                    "tcp": lambda: run_graph(sums, "zmq", file, FRAMES),
                },
            )
            samples |= take_turns(
                ROUNDS,
                {
                    "plain_staged": lambda: run_plain_staged(pool, file, staged),
                    "staged": lambda: run_fed_back(staged, file),
                },
            )
        finally:
            shutdown_ray()
    return [
        make_entry(name, samples[key], unit="frames/s", bar=bar, reference=samples[reference])
        for name, key, reference, bar in (
            ("graph_roi_h5", "ring", "plain", "≥ 0.9; CPU ≤ 1.6"),
            ("graph_roi_h5_copied", "copied", "plain", ""),
            ("graph_roi_h5_tcp", "tcp", "plain", "≥ 0.7"),
            ("graph_three_stage", "staged", "plain_staged", "≥ 0.6"),
        )
    ]


def make_staged() -> Graph:
    """The graph of three stages."""
    regions = load_graph(BUILT_IN_PROFILE.parent / "regions.yaml").node("region_sums").parameters
    correction = {"dark": {"value": 10.0}, "flat": {"value": 1010.0}, "result": "counts"}
    return parse_graph(
        {
            "name": "three_stages",
            "nodes": [
                {"name": "camera", "kind": "stream", "group": "intake"},
                {"name": "corrected", "kind": "dark_flat", "group": "intake", "parameters": correction},
                {"name": "region_sums", "kind": "region_sums", "group": "intake", "parameters": regions},
                {"name": "file", "kind": "hdf5", "group": "file"},
                {"name": "picture", "kind": "preview", "group": "intake"},
                {"name": "steer", "kind": "feedback", "group": "intake"},
            ],
            "edges": [
                {"from": "camera", "to": "corrected"},
                {"from": "camera", "to": "file"},
                {"from": "corrected", "to": "region_sums"},
                {"from": "corrected", "to": "picture", "policy": "latest"},
                {"from": "region_sums", "to": "file"},
                {"from": "region_sums", "to": "steer"},
            ],
        }
    )


def run_graph(graph: Graph, transport: str, file: Path, frames: int, *, resident: bool = True) -> Sample:
    """Frames per second through the graph, from the first block's arrival to the last acknowledgement."""
    told = {"shape": SHAPE, "block_frames": BLOCK_FRAMES, "slots": SLOTS, "prepared": True, "resident": resident}
    with Feeder(transport=transport, frames=frames, **told) as feeder:
        armed = arm(
            graph, endpoint=feeder.endpoint, data_format=feeder.format, arm_id=feeder.feed.arm, frames=frames, file=file
        )
        watch = Watch()
        feeder.start()
        ledger = armed.wait(timeout_s=120)
        cpu_ms = watch.cpu_ms(frames)
        armed.close()
    if ledger.written != frames or ledger.missing:
        raise AssertionError(f"the graph lost frames: {ledger}")
    remove(file)
    return Sample(ledger.frames_per_s, cpu_ms)


def run_fed_back(graph: Graph, file: Path) -> Sample:
    """The same with its feedback counted."""
    rows: list[Row] = []
    leave = feedback["steer"].subscribe(rows.append)
    try:
        sample = run_graph(graph, "ring", file, STAGED_FRAMES)
    finally:
        leave()
    if len(rows) != STAGED_FRAMES:
        raise AssertionError(f"{len(rows)} rows were fed back of {STAGED_FRAMES}")
    return sample


def run_plain(pool: list[NDArray[np.uint16]], path: Path, graph: Graph) -> Sample:
    """Frames per second of a loop over frames in memory."""
    regions = RegionSumsParameters.model_validate(graph.node("region_sums").parameters).regions
    sums = np.empty((FRAMES, len(regions)), dtype=np.uint64)

    def add(number: int, frame: NDArray[np.uint16]) -> None:
        for column, r in enumerate(regions):
            part = frame[r.y : r.y + r.height, r.x : r.x + r.width]
            sums[number, column] = np.add.reduce(np.add.reduce(part, axis=0, dtype="u4"), dtype="u8")

    return write_plain(pool, path, FRAMES, add, sums)


def run_plain_staged(pool: list[NDArray[np.uint16]], path: Path, graph: Graph) -> Sample:
    """Frames per second of the nodes' own `process`, frame by frame, one after the other."""
    flow = Flow(SHAPE, "uint16", 1)
    job = Job(arm=1, frames=STAGED_FRAMES, file=path)
    correct, reduce = build_node(graph.node("corrected")), build_node(graph.node("region_sums"))
    between = correct.plan({"camera": flow})
    assert isinstance(between, Flow)
    correct.open(job, {"camera": flow})
    reduce.plan({"corrected": between})
    reduce.open(job, {"corrected": between})
    sums: list[Any] = []
    fed_back: list[Any] = []
    shown = [0.0]

    def process(number: int, frame: NDArray[np.uint16]) -> None:
        corrected = correct.process(Item(number, {"camera": frame[np.newaxis]}, 0.0))
        row = reduce.process(Item(number, {"corrected": corrected}, 0.0))[0]  # type: ignore[index]
        sums.append(row)
        fed_back.append(row)
        if time.monotonic() - shown[0] > PREVIEW_EVERY_S:
            make_small(corrected[0], 65536, "max")  # type: ignore[index]
            shown[0] = time.monotonic()

    return write_plain(pool, path, STAGED_FRAMES, process, sums)


def write_plain(
    pool: list[NDArray[np.uint16]],
    path: Path,
    frames: int,
    process: Callable[[int, NDArray[np.uint16]], None],
    kept: Any,
) -> Sample:
    """Process and write frames of the pool; `kept` goes to the file at the end."""
    watch = Watch()
    started = flushed = time.monotonic()
    with h5py.File(path, "x", libver=("earliest", "v108")) as file:
        data = file.create_dataset(
            "frames", (0, *SHAPE), maxshape=(None, *SHAPE), chunks=(1, *SHAPE), dtype="u2", fillvalue=None
        )
        writeback = Writeback(file.id.get_vfd_handle())
        for number in range(frames):
            frame = pool[number % len(pool)]
            process(number, frame)
            data.resize(number + 1, axis=0)
            data.id.write_direct_chunk((number, 0, 0), frame)
            writeback.advance()
            if time.monotonic() - flushed > 0.5:
                file.flush()
                flushed = time.monotonic()
        file["region_sums"] = np.array(kept)
        file.flush()
        seconds = time.monotonic() - started
        writeback.close()
    remove(path)
    return Sample(frames / seconds, watch.cpu_ms(frames))


def remove(file: Path) -> None:
    """Also from the disk: freeing its blocks takes a disk in a virtual machine a second, of the next round's time."""
    file.unlink()
    os.sync()
