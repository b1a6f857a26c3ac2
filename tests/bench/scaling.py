"""CPU for each block and node in graphs of 2, 4 and 8 nodes: what an edge costs must not grow with the graph.

The graph is a camera, processors side by side that do next to nothing (a region of one pixel), and the file that takes
from all of them, in one actor. CPU of all processes for each block, over the number of edges, is compared with that of
the graph of two nodes. That one has a single edge, which bears all that any graph costs (detector, file, Ray), so its
ratio flatters: compare 8 nodes with 4.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from mamba.data_worker.control import arm, shutdown_ray
from mamba.data_worker.graph import Graph, parse_graph
from tests.bench.measuring import Sample, Watch, make_entries_by_size, take_turns
from tests.support.frame_feeder import Feeder

SHAPE = (64, 64)
BLOCKS = 3000
ROUNDS = 4
SIZES = (2, 4, 8)


def measure() -> list[dict[str, Any]]:
    """An entry for each size of graph; the reference is the graph of two nodes."""
    graphs = {nodes: make_fan(nodes) for nodes in SIZES}
    try:
        with tempfile.TemporaryDirectory(prefix="mamba-bench-") as folder:
            file = Path(folder) / "frames.h5"
            jobs = {str(nodes): lambda graph=graph: run(graph, file) for nodes, graph in graphs.items()}  # type: ignore[misc]
            samples = take_turns(ROUNDS, jobs)
    finally:
        shutdown_ray()
    return make_entries_by_size("scaling_{}_nodes", samples, unit="µs CPU/block/edge")


def make_fan(nodes: int) -> Graph:
    """Camera, processors side by side, file."""
    pixel = {"name": "pixel", "x": 0, "y": 0, "width": 1, "height": 1}
    sums = [f"sums{number}" for number in range(nodes - 2)]
    made = {"kind": "region_sums", "parameters": {"regions": [pixel]}}
    specs = [
        {"name": "camera", "kind": "stream"},
        {"name": "file", "kind": "hdf5"},
        *({"name": n, **made} for n in sums),
    ]
    edges = [("camera", "file"), *(("camera", name) for name in sums), *((name, "file") for name in sums)]
    return parse_graph(
        {
            "name": "fan",
            "nodes": [{**spec, "group": "all"} for spec in specs],
            "edges": [{"from": origin, "to": to} for origin, to in edges],
        }
    )


def run(graph: Graph, file: Path) -> Sample:
    """Microseconds of CPU for each block and edge."""
    with Feeder(frames=BLOCKS, shape=SHAPE, block_frames=1, slots=32, prepared=True) as feeder:
        armed = arm(graph, endpoint=feeder.endpoint, data_format=feeder.format, arm_id=1, frames=BLOCKS, file=file)
        watch = Watch()
        feeder.start()
        ledger = armed.wait(timeout_s=60)
        cpu_ms = watch.cpu_ms(BLOCKS)
        armed.close()
    if ledger.written != BLOCKS:
        raise AssertionError(f"the graph lost frames: {ledger}")
    file.unlink()
    return Sample(cpu_ms * 1000 / len(graph.edges), cpu_ms)
