"""A graph that runs for minutes: once warm, no process that belongs to it grows."""

from __future__ import annotations

import os
import statistics
import time
from pathlib import Path

import psutil
import pytest

from mamba.data_worker.control import feedback
from mamba.data_worker.graph import Graph, parse_graph
from tests.data_worker.conftest import Start, make_graph, ray_once, start  # noqa: F401  # fixtures

MINUTES = float(os.environ.get("MAMBA_MINUTES", "10"))
RATE, SHAPE, BLOCK_FRAMES = 100.0, (128, 128), 2
SAMPLES = 60
FLAT = 1.05


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
    """Bytes that belong to each process alone: neither rings nor libraries."""
    return {f"{process.name()} {process.pid}": process.memory_full_info().uss for process in processes}


@pytest.mark.soak
@pytest.mark.timeout(60 * MINUTES + 300)
def test_no_process_grows(start: Start, tmp_path: Path) -> None:  # noqa: F811
    """`MAMBA_MINUTES` (10): medians of the last quarter within 5% of those of the second."""
    frames, fed_back = int(RATE * 60 * MINUTES), [0]

    def count(_row: object) -> None:
        fed_back[0] += 1

    leave = feedback["steer"].subscribe(count)
    _feeder, armed = start(make_watched(), frames=frames, shape=SHAPE, block_frames=BLOCK_FRAMES, rate=RATE)
    here = psutil.Process()
    processes = [here, *here.children(recursive=True)]
    samples: list[dict[str, int]] = []
    for number in range(SAMPLES - 1):
        at = (number + 1) * frames // SAMPLES
        while armed.progress().written < at:
            assert not armed.done, armed.ledger
            time.sleep(0.2)  # between looks
        samples.append(measure(processes))
    ledger = armed.wait(60)
    leave()
    assert (ledger.written, ledger.missing, fed_back[0]) == (frames, (), frames)
    second, last = samples[SAMPLES // 4 : SAMPLES // 2], samples[-SAMPLES // 4 :]
    grown = {}
    for name in samples[0]:
        early, late = (statistics.median(sample[name] for sample in part) for part in (second, last))
        print(f"soak: {name}: {early / 2**20:.2f} → {late / 2**20:.2f} MiB ({late / early:.3f})")
        if late > FLAT * early:
            grown[name] = late / early
    assert not grown
