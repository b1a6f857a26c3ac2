"""The highest rate at which a camera that cannot wait loses nothing for a minute, and what limits it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from mamba.config import BUILT_IN_PROFILE
from mamba.data_worker.control import load_graph
from tests.bench.edge import copy_blocks
from tests.bench.lossless import FRAME_MB, find_rate
from tests.bench.writer import FLOW, make_counts, write_directly
from tests.data_worker.conftest import ray_of_the_run, ray_once  # noqa: F401  # fixtures

SECONDS = 60.0


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.usefixtures("ray_once")
def test_a_minute_without_a_loss(tmp_path: Path) -> None:
    """A minute, or as many frames as a third of the disk's room holds."""
    room = shutil.disk_usage(tmp_path).free // 3 // FLOW.row_bytes
    graph = load_graph(BUILT_IN_PROFILE.parent / "regions.yaml")
    sample, trials = find_rate(graph, tmp_path / "frames.h5", SECONDS, room)
    pool = [make_counts(number) for number in range(8)]
    memcpy, disk = copy_blocks(FLOW, pool, 100).value, write_directly(pool, tmp_path / "direct").value
    seconds = min(SECONDS, room * FRAME_MB / sample.value)
    busy = sample.cpu_ms * sample.value / FRAME_MB / 1000 / (os.cpu_count() or 1)
    print(f"soak: {sample.value:.0f} MB/s for {seconds:.0f} s without a loss; missing by rate: {trials}")
    print(f"soak: memcpy {memcpy:.0f} MB/s, disk {disk:.0f} MB/s; processors {busy:.0%} busy with it")
    assert list(trials.values())[-1] == 0
