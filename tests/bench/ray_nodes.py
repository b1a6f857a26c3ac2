"""1, 2 and 4 Ray nodes on this host, each with a module of a detector: what a block costs must not grow with them.

A *module* is what a detector of many has on its host: a stream, its sums and a writer in one actor, on a Ray node of
its own. The graph of four has four of each, one supervisor, one ledger with four books. CPU of all processes for each
block of each module is compared with that of one module. All of them share two cores here, so rates say nothing.

What goes from host to host goes over TCP: an edge with the pixels in the message, against the one in shared memory.
`python -m tests.bench.ray_nodes` (not in `make bench`) puts each stream on another Ray node than what reads it.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from mamba.data_worker.control import Detector, arm
from tests.bench.edge import FLOWS, POOL_BYTES, send_blocks
from tests.bench.measuring import Sample, Watch, make_entries_by_size, make_entry, take_turns
from tests.support.frame_feeder import Feeder
from tests.support.modules import make_modules
from tests.support.ray_nodes import adding_nodes

SHAPE = (64, 64)
BLOCKS = 800
ROUNDS = 4
SIZES = (1, 2, 4)


def measure() -> list[dict[str, Any]]:
    """Entries for more modules against one, and for an edge over TCP against one in shared memory."""
    with adding_nodes(SIZES[-1] - 1) as nodes, tempfile.TemporaryDirectory(prefix="mamba-bench-") as folder:
        jobs = {str(n): lambda n=n: run(nodes[:n], Path(folder)) for n in SIZES}  # type: ignore[misc]
        samples = take_turns(ROUNDS, jobs)
    return [*make_entries_by_size("scaling_ray_{}", samples, unit="µs CPU/block"), measure_tcp()]


def run(nodes: list[str], folder: Path, *, apart: bool = False) -> Sample:
    """A module on each node: microseconds of CPU for each block of each.

    `apart`: the stream of each is on the node before, and every block goes over TCP.
    """
    places = {f"module{at}": node for at, node in enumerate(nodes)}
    if apart:
        places |= {f"intake{at}": nodes[at - 1] for at in range(len(nodes))}
    with ExitStack() as stack:
        feeders = [
            stack.enter_context(Feeder(frames=BLOCKS, shape=SHAPE, block_frames=1, slots=32, prepared=True))
            for _ in nodes
        ]
        others = {f"camera{at}": Detector(each.endpoint, each.format) for at, each in enumerate(feeders) if at}
        first = feeders[0]
        armed = arm(
            make_modules(len(nodes), apart=apart),
            endpoint=first.endpoint,
            data_format=first.format,
            arm_id=1,
            frames=BLOCKS,
            file=folder / "frames.h5",
            others=others,
            places=places,
        )
        watch = Watch()
        for feeder in feeders:
            feeder.start()
        ledger = armed.wait(timeout_s=60)
        cpu_ms = watch.cpu_ms(BLOCKS * len(nodes))
        armed.close()
    written = [ledger.written, *(account["written"] for account in ledger.others.values())]
    if written != [BLOCKS] * len(nodes):
        raise AssertionError(f"the graph lost frames: {ledger}")
    for file in folder.iterdir():
        file.unlink()
    return Sample(cpu_ms * 1000, cpu_ms)


def measure_tcp() -> dict[str, Any]:
    """Blocks of 1 MiB over TCP on loopback."""
    flow, blocks = FLOWS["edge_local_1m"][0], 800
    pool = [np.full((1, *flow.shape), number, flow.dtype) for number in range(POOL_BYTES // flow.row_bytes)]
    jobs = {
        "shared": lambda: send_blocks(flow, pool, blocks),
        "tcp": lambda: send_blocks(flow, pool, blocks, "tcp://127.0.0.1:*"),
    }
    samples = take_turns(ROUNDS, jobs)
    return make_entry("edge_tcp_1m", samples["tcp"], unit="MB/s", bar="", reference=samples["shared"])


def main() -> None:
    """Streams and readers on one node, in two actors; and each pair on two nodes, over TCP."""
    with adding_nodes(SIZES[-1] - 1) as nodes, tempfile.TemporaryDirectory(prefix="mamba-bench-") as folder:
        jobs = {str(n): lambda n=n: run(nodes[:n], Path(folder), apart=True) for n in SIZES}  # type: ignore[misc]
        for n, found in take_turns(2, jobs).items():
            print(f"{n} Ray nodes, streams apart: {[round(sample.value) for sample in found]} µs CPU/block")


if __name__ == "__main__":
    main()
