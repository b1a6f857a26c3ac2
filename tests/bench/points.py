"""Points of a fly controller in another process: to the file and back to the console.

`points_100k`: 100,000 points a second of ten values, a block each 20 ms; the value is how long after the block was sent
its last point was called back, for 99 of 100 blocks. `points_max_per_s`: as many as are taken, in blocks of 1,000, to
the file. A point that is lost, or stored with other values than were sent, fails.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mamba.data_worker.control import arm, feedback, shutdown_ray
from mamba.data_worker.feedback import Row
from mamba.data_worker.graph import Graph, parse_graph
from tests.bench.measuring import Sample, Watch, make_entry, take_turns
from tests.support.fly_controller import make_points

COLUMNS = [f"c{at}" for at in range(10)]
RATE = 100_000
BLOCK = 2_000
TIMED_POINTS = 400_000
MANY_POINTS = 4_000_000
MANY_BLOCK = 1_000
ROUNDS = 4


def measure() -> list[dict[str, Any]]:
    """Entries for `results.json`."""
    try:
        with tempfile.TemporaryDirectory(prefix="mamba-bench-") as folder:
            file = Path(folder) / "points.h5"
            samples = take_turns(ROUNDS, {"timed": lambda: run_timed(file), "many": lambda: run_many(file)})
    finally:
        shutdown_ray()
    return [
        make_entry("points_100k", samples["timed"], unit="ms p99", bar="≤ 10 ms", least=True),
        make_entry("points_max_per_s", samples["many"], unit="points/s", bar="≥ 1,000,000"),
    ]


def make_graph(told: dict[str, Any], *, steer: bool) -> Graph:
    """Points, their file, and with `steer` the way back."""
    parameters = {"endpoint": told["endpoint"], "token": told["token"], "columns": COLUMNS}
    nodes: list[dict[str, Any]] = [
        {"name": "fly", "kind": "points", "group": "intake", "parameters": parameters},
        {"name": "file", "kind": "hdf5", "group": "file"},
    ]
    edges = [{"from": "fly", "to": "file"}]
    if steer:
        nodes.append({"name": "steer", "kind": "feedback", "group": "intake"})
        edges.append({"from": "fly", "to": "steer"})
    return parse_graph({"name": "points", "nodes": nodes, "edges": edges})


def run_timed(file: Path) -> Sample:
    """The 99th percentile over blocks, in milliseconds."""
    came: dict[int, float] = {}

    def note(row: Row) -> None:
        if row.number % BLOCK == BLOCK - 1:
            came[row.number] = row.time

    leave = feedback["steer"].subscribe(note)
    try:
        with controller(TIMED_POINTS, BLOCK, RATE) as process:
            cpu_ms, told = _run(process, file, TIMED_POINTS, BLOCK, steer=True)
    finally:
        leave()
    if len(came) * BLOCK != TIMED_POINTS:
        raise AssertionError(f"{len(came)} blocks were called back")
    late_ms = [(at - told["began"] - (number + 1) / RATE) * 1000 for number, at in came.items()]
    return Sample(float(np.percentile(late_ms, 99)), cpu_ms)


def run_many(file: Path) -> Sample:
    """Points a second."""
    with controller(MANY_POINTS, MANY_BLOCK, 0) as process:
        cpu_ms, told = _run(process, file, MANY_POINTS, MANY_BLOCK, steer=False)
    return Sample(told["points_per_s"], cpu_ms)


def _run(
    process: subprocess.Popen[str], file: Path, points: int, block: int, *, steer: bool
) -> tuple[float, dict[str, Any]]:
    assert process.stdout is not None
    graph = make_graph(json.loads(process.stdout.readline()), steer=steer)
    armed = arm(graph, arm_id=1, frames=points, file=file)
    watch = Watch()
    told = json.loads(process.stdout.readline())
    ledger = armed.wait(timeout_s=60)
    cpu_ms = watch.cpu_ms(points // block)
    armed.close()
    if ledger.written != points or told["lost"]:
        raise AssertionError(f"points were lost: {ledger.written} of {points} written, {told}")
    _check_values(file, points, block)
    file.unlink()
    return cpu_ms, {**told, "points_per_s": ledger.frames_per_s}


def _check_values(file: Path, points: int, block: int) -> None:
    sent = make_points(0, block, len(COLUMNS))
    with h5py.File(file) as written:
        values = written["entry/data/fly"]
        for first in range(0, points, 100 * block):
            part = values[first : first + 100 * block]
            if not np.array_equal(part, np.resize(sent, part.shape)):
                raise AssertionError(f"other values than were sent, among points {first} to {first + len(part) - 1}")


@contextmanager
def controller(points: int, block: int, rate: int) -> Iterator[subprocess.Popen[str]]:
    """The controller's process."""
    options = ["--points", str(points), "--block", str(block), "--rate", str(rate)]
    command = [sys.executable, "-m", "tests.support.fly_controller", *options]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        try:
            yield process
        finally:
            process.communicate("\n", timeout=30)
