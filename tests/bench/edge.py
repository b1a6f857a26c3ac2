"""Blocks over an edge of a graph between two processes, against copying the same blocks with `memcpy`.

This process copies every block into a slot of the edge's ring, as a source does; the other one touches every page of it
and gives it back. The reference copies the same blocks into the same number of slots, and nobody reads them. Blocks
come from 128 MiB of memory and go to 64 MiB, as a detector's do, and not again and again through the processor's cache.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import zmq
from numpy.typing import NDArray

from mamba.data_worker.edges import EdgePlan, InEdge, Port, format_port
from mamba.data_worker.frame import Block, End
from mamba.data_worker.nodes import Flow
from mamba.data_worker.ring import Ring
from tests.bench.measuring import Sample, Watch, make_entry, take_turns

FLOWS = {
    "edge_local_8m": (Flow((1024, 1024), "uint16", 4), 300, "≥ 0.9; CPU ≤ 1.3"),
    "edge_local_1m": (Flow((512, 1024), "uint16", 1), 2400, "≥ 0.75; CPU ≤ 1.3"),
}
ROUNDS = 5
RING_BYTES = 64 * 2**20
POOL_BYTES = 128 * 2**20
PAGE_BYTES = 4096


def measure() -> list[dict[str, Any]]:
    """Entries for `results.json`."""
    entries = []
    for name, (flow, blocks, bar) in FLOWS.items():
        count = POOL_BYTES // (flow.block_frames * flow.row_bytes)
        pool = [np.full((flow.block_frames, *flow.shape), number, flow.dtype) for number in range(count)]
        samples = take_turns(
            ROUNDS,
            {
                "memcpy": lambda flow=flow, pool=pool, blocks=blocks: copy_blocks(flow, pool, blocks),  # type: ignore[misc]
                "edge": lambda flow=flow, pool=pool, blocks=blocks: send_blocks(flow, pool, blocks),  # type: ignore[misc]
            },
        )
        entries.append(make_entry(name, samples["edge"], unit="MB/s", bar=bar, reference=samples["memcpy"]))
    return entries


def count_slots(pool: list[NDArray[Any]]) -> int:
    """Of a ring of `RING_BYTES`."""
    return RING_BYTES // pool[0].nbytes


def copy_blocks(flow: Flow, pool: list[NDArray[Any]], blocks: int) -> Sample:
    """The reference: into a ring, block by block."""
    count = count_slots(pool)
    ring = Ring.create(slots=count, slot_bytes=pool[0].nbytes)
    try:
        slots = [np.frombuffer(ring.slot(n), flow.dtype).reshape(pool[0].shape) for n in range(count)]
        watch = Watch()
        for number in range(blocks):
            np.copyto(slots[number % count], pool[number % len(pool)])
        return Sample(blocks * pool[0].nbytes / watch.seconds / 1e6, watch.cpu_ms(blocks))
    finally:
        del slots
        ring.close()


def send_blocks(flow: Flow, pool: list[NDArray[Any]], blocks: int, endpoint: str = "") -> Sample:
    """Over an edge, from the first block until the reader has given the last one back; `endpoint`: over TCP."""
    slots = count_slots(pool)
    with tempfile.TemporaryDirectory(prefix="mb-edge-") as folder:
        plan = EdgePlan("camera", "out", "sums", "camera", "wait", endpoint or f"unix://{folder}/e", "token", slots)
        port = Port([plan], *format_port(flow, slots))
        try:
            with reader(replace(plan, endpoint=port.edges[0].link.endpoint)) as process:
                _await_reader(port)
                watch = Watch()
                _send_all(port, pool, blocks)
                sample = Sample(blocks * pool[0].nbytes / watch.seconds / 1e6, watch.cpu_ms(blocks))
                _check(process, blocks)
                return sample
        finally:
            port.close()


def _await_reader(port: Port) -> None:
    deadline = time.monotonic() + 30
    while not port.connected:
        port.edges[0].link.collect(0.05)
        if time.monotonic() > deadline:
            raise AssertionError("nobody reads the edge")


def _send_all(port: Port, pool: list[NDArray[Any]], blocks: int) -> None:
    poller = zmq.Poller()
    for each in port.pollables:
        poller.register(each, zmq.POLLIN)
    count = len(pool[0])
    for number in range(blocks):
        port.collect()
        while not port.ready:
            poller.poll(1000)
            port.collect()
        slot, rows = port.reserve()
        np.copyto(rows, pool[number % len(pool)])
        port.commit(Block(1, 0, number * count, count, time=time.time()), slot, rows)
    port.end(End(1, blocks * count))
    port.collect()
    while not port.finished:
        poller.poll(1000)
        port.collect()


@contextmanager
def reader(plan: EdgePlan) -> Iterator[subprocess.Popen[str]]:
    """The other process."""
    command = [sys.executable, "-m", "tests.bench.edge", json.dumps(asdict(plan))]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        yield process
        process.communicate("\n", timeout=30)


def _check(process: subprocess.Popen[str], blocks: int) -> None:
    assert process.stdout is not None
    told = json.loads(process.stdout.readline())
    if told["blocks"] != blocks or not told["sum"]:
        raise AssertionError(f"the edge lost blocks: {told} of {blocks}")


def main() -> None:
    """Read until the end, touching every page."""
    plan = EdgePlan(**json.loads(sys.argv[1]))
    edge = InEdge.connect(plan.endpoint, token=plan.token, timeout_s=30)
    blocks = total = 0
    for block in edge:
        pages = edge.frames(block).reshape(-1).view(np.uint8)[::PAGE_BYTES]
        total += int(np.add.reduce(pages, dtype=np.uint64))
        edge.release(block)
        blocks += 1
    print(json.dumps({"blocks": blocks, "sum": total}), flush=True)
    sys.stdin.readline()  # stays until its CPU was read
    edge.close()


if __name__ == "__main__":
    main()
