"""A console that measures for days: memory of console and host, and the time per point, stay what they were."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.faults.test_terminal_lost import PROFILE, data_folder
from tests.support.session_host import HostUnderTest

pytestmark = pytest.mark.soak  # each starts a Ray or a console of its own: for the time of make test

POINTS = 5
BATCH = 100
FLAT = 1.05
SHORT_GROWTH_BYTES = 4 * 2**20
STARTUP = """
from ophyd import Signal
from mamba.config import load_profile, read_environment
from mamba.console import server_start
from mamba.scans import make_run_engine, scan

M = {"m1": Signal(name="M.m1", value=0.0)}
D = {"i0": Signal(name="D.i0", value=1.5), "i1": Signal(name="D.i1", value=2.5)}
RE = make_run_engine(load_profile(read_environment().profile))
U = server_start(M, D, RE)

def measure(scans):
    for _ in range(scans):
        RE(scan(list(D.values()), M["m1"], 0, 1, 5))
"""


@dataclass(frozen=True)
class Batch:
    """What one batch of scans cost: processor time per point (neighbours do not count), and the memory afterwards."""

    per_point_s: float
    console_bytes: int
    host_bytes: int


@pytest.fixture
def measured() -> Iterator[tuple[HostUnderTest, Path]]:
    with data_folder() as data:
        host = HostUnderTest(startup=STARTUP, profile=PROFILE.replace("FOLDER", str(data)))
        try:
            host.wait_prompt()
            yield host, data
        finally:
            host.close()


def measure(host: HostUnderTest, data: Path) -> Batch:
    console, server = psutil.Process(host.console_pid), psutil.Process(host.process.pid)
    before_s = sum(console.cpu_times()[:2])
    host.client.command(f"measure({BATCH})", timeout_s=300)
    spent_s = sum(console.cpu_times()[:2]) - before_s
    files = list(data.glob("*.nxs"))
    assert len(files) == BATCH
    for file in files:
        file.unlink()
    return Batch(spent_s / (BATCH * POINTS), console.memory_info().rss, server.memory_info().rss)


def test_two_hundred_scans_stay_within_their_memory(measured: tuple[HostUnderTest, Path]) -> None:
    first = measure(*measured)
    second = measure(*measured)
    print(f"leak: {first} then {second}")
    assert second.console_bytes - first.console_bytes < SHORT_GROWTH_BYTES
    assert second.host_bytes - first.host_bytes < SHORT_GROWTH_BYTES


@pytest.mark.soak
def test_ten_thousand_scans(measured: tuple[HostUnderTest, Path]) -> None:
    """Medians of the last tenth within 5% of those of the second: memory of console and host, time per point."""
    batches = []
    for number in range(10_000 // BATCH):
        batches.append(measure(*measured))
        print(f"soak: {(number + 1) * BATCH} scans, {batches[-1]}", flush=True)
    tenth = len(batches) // 10
    second, last = batches[tenth : 2 * tenth], batches[-tenth:]
    for what in ("per_point_s", "console_bytes", "host_bytes"):
        early, late = (statistics.median(getattr(batch, what) for batch in part) for part in (second, last))
        print(f"soak: {what} {early:.4g} → {late:.4g} ({late / early:.3f})")
        assert late < FLAT * early, what
