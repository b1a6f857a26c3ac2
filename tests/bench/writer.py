"""The HDF5 sink alone, frames from memory: to the disk, and packed.

`writer_raw`: what it acknowledges survives a power failure; the reference writes the same bytes past the kernel's
pages (O_DIRECT) and ends with `fsync`. `writer_bslz4`: packed by two threads; the reference packs the same frames with
the bitshuffle library on two threads and keeps nothing.
"""

from __future__ import annotations

import mmap
import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mamba.data_worker.graph import NodeSpec, build_node
from mamba.data_worker.nodes import ACKNOWLEDGE_EVERY_S, Flow, Item, Job, Sink
from mamba.data_worker.sinks.frames import import_packers
from tests.bench.measuring import Sample, Watch, make_entry, take_turns

FLOW = Flow((1024, 1024), "uint16", 4)
BLOCKS = 75
ROUNDS = 4
THREADS = 2


def measure() -> list[dict[str, Any]]:
    """Entries for `results.json`."""
    pool = [make_counts(number) for number in range(4)]
    with tempfile.TemporaryDirectory(prefix="mamba-bench-") as folder:
        file = Path(folder) / "frames"
        samples = take_turns(
            ROUNDS,
            {
                "direct": lambda: write_directly(pool, file),
                "raw": lambda: write_sink(pool, file, {"survives": "power"}),
                "library": lambda: pack(pool),
                "bslz4": lambda: write_sink(pool, file, {"compression": "bslz4", "threads": THREADS}),
            },
        )
    return [
        make_entry("writer_raw", samples["raw"], unit="MB/s", bar="≥ 0.8", reference=samples["direct"]),
        make_entry("writer_bslz4", samples["bslz4"], unit="MB/s", bar="≥ 0.6", reference=samples["library"]),
    ]


def make_counts(number: int) -> NDArray[np.uint16]:
    """A block of frames of a counting detector: ten counts a pixel."""
    return np.random.default_rng(number).poisson(10, (FLOW.block_frames, *FLOW.shape)).astype(np.uint16)


def write_sink(pool: list[NDArray[np.uint16]], file: Path, parameters: dict[str, Any]) -> Sample:
    """MB of frames a second through the sink, from the first block until everything is acknowledged."""
    node = build_node(NodeSpec(name="file", kind="hdf5", parameters=parameters))
    assert isinstance(node, Sink)
    flows = {"camera": FLOW}
    node.plan(flows)
    node.open(Job(arm=1, frames=BLOCKS * FLOW.block_frames, file=file), flows)
    watch, safe = Watch(), 0
    flushed = time.monotonic()
    for number in range(BLOCKS):
        node.process(Item(number * FLOW.block_frames, {"camera": pool[number % len(pool)]}, time.time()))
        if time.monotonic() - flushed > ACKNOWLEDGE_EVERY_S:
            safe += sum(count for _, count in node.flush())
            flushed = time.monotonic()
    safe += sum(count for _, count in node.flush())
    sample = _make_sample(pool, watch)
    frames = BLOCKS * FLOW.block_frames
    if safe != frames:
        raise AssertionError(f"the sink acknowledged {safe} of {frames} frames")
    node.close({"produced": frames, "written": frames, "missing": [], "duplicates": 0, "reason": ""})
    file.unlink()
    return sample


def write_directly(pool: list[NDArray[np.uint16]], file: Path) -> Sample:
    """The same bytes, block by block, past the kernel's pages."""
    aligned = [mmap.mmap(-1, block.nbytes) for block in pool]
    for memory, block in zip(aligned, pool, strict=True):
        memory.write(block.tobytes())
    fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_DIRECT)
    try:
        watch = Watch()
        for number in range(BLOCKS):
            if os.write(fd, aligned[number % len(pool)]) != pool[0].nbytes:
                raise AssertionError("the disk took a part of a block")
        os.fsync(fd)
        return _make_sample(pool, watch)
    finally:
        os.close(fd)
        file.unlink()


def pack(pool: list[NDArray[np.uint16]]) -> Sample:
    """Pack the same frames and forget them."""
    compress = import_packers("bench").compress_lz4
    frames = [frame for number in range(BLOCKS) for frame in pool[number % len(pool)]]
    with ThreadPoolExecutor(THREADS) as threads:
        watch = Watch()
        for _ in threads.map(compress, frames):
            pass
        return _make_sample(pool, watch)


def _make_sample(pool: list[NDArray[np.uint16]], watch: Watch) -> Sample:
    seconds = watch.seconds
    return Sample(BLOCKS * pool[0].nbytes / seconds / 1e6, watch.cpu_ms(BLOCKS))
