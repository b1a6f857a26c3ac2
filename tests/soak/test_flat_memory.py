"""A graph that runs for minutes: once warm, no process grows, but for what a writer knows of its frames."""

from __future__ import annotations

import os
import statistics
import time
from pathlib import Path

import psutil
import pytest

from mamba.data_worker import control
from mamba.data_worker.control import feedback
from mamba.data_worker.graph import Graph, parse_graph
from tests.data_worker.conftest import Start, make_graph, ray_of_the_run, ray_once, start  # noqa: F401  # fixtures

MINUTES = float(os.environ.get("MAMBA_MINUTES", "10"))
FRAMES, SHAPE, BLOCK_FRAMES = 240_000, (32, 48), 4
"""However long it takes: HDF5 is warm after some 60,000."""
SAMPLES = 60
FLAT = 1.05
SLACK_BYTES = 2**20
BYTES_PER_FRAME = 128
"""Of a writer: it knows the row of every frame number, and HDF5 something of every chunk; 110 were measured."""


def make_watched() -> Graph:
    """Sums, the file, a screen and what steers, in an actor each."""
    graph = make_graph().dump()
    graph["nodes"] += [
        {"name": "look", "kind": "preview", "group": "screen"},
        {"name": "steer", "kind": "feedback", "group": "console"},
    ]
    graph["edges"] += [
        {"from": "camera", "to": "look", "policy": "latest"},
        {"from": "region_sums", "to": "steer"},
    ]
    return parse_graph(graph)


def measure(processes: list[psutil.Process]) -> dict[str, int]:
    """Bytes that each process alone has written: neither rings nor libraries, whoever else has those."""
    return {f"{process.name()} {process.pid}": read_private_bytes(process.pid) for process in processes}


def read_private_bytes(pid: int) -> int:
    """From the kernel; psutil's `uss` grows when the last other process with the same library ends."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    (kib,) = (int(line.split()[1]) for line in lines if line.startswith("Private_Dirty:"))
    return kib * 1024


@pytest.mark.soak
@pytest.mark.timeout(60 * MINUTES + 300)
def test_no_process_grows(start: Start, tmp_path: Path) -> None:  # noqa: F811
    """`MAMBA_MINUTES` (10): medians of the last quarter within 5% of those of the second."""
    fed_back = [0]

    def count(_row: object) -> None:
        fed_back[0] += 1

    leave = feedback["steer"].subscribe(count)
    rate = FRAMES / 60 / MINUTES
    _feeder, armed = start(make_watched(), frames=FRAMES, shape=SHAPE, block_frames=BLOCK_FRAMES, rate=rate)
    here = psutil.Process()
    processes = [here, *here.children(recursive=True)]
    writer = control._runner._processes["file"].pid
    samples: list[dict[str, int]] = []
    for number in range(SAMPLES - 1):
        at = (number + 1) * FRAMES // SAMPLES
        while armed.progress().written < at:
            assert not armed.done, armed.ledger
            time.sleep(0.2)  # between looks
        samples.append(measure(processes))
    ledger = armed.wait(60)
    leave()
    assert (ledger.written, ledger.missing, fed_back[0]) == (FRAMES, (), FRAMES)
    second, last = samples[SAMPLES // 4 : SAMPLES // 2], samples[-SAMPLES // 4 :]
    grown = {}
    for name in samples[0]:
        early, late = (statistics.median(sample[name] for sample in part) for part in (second, last))
        print(f"soak: {name}: {early / 2**20:.2f} → {late / 2**20:.2f} MiB ({late / early:.3f})")
        known = BYTES_PER_FRAME * FRAMES / 2 if name.endswith(f" {writer}") else 0
        if late > FLAT * early + SLACK_BYTES + known:
            grown[name] = late / early
    assert not grown
