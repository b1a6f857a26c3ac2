"""A detector twice as fast as its graph: Ray's object store has nothing to spill, the full ring's policy decides."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import h5py
import pytest

from mamba.data_worker import control
from mamba.data_worker.graph import Graph, parse_graph
from tests.data_worker.conftest import Start, make_graph
from tests.support.graph_killer import wait_for

pytestmark = pytest.mark.soak  # starts a Ray of its own

SHAPE = (256, 256)
BLOCK_FRAMES, SECONDS_PER_BLOCK = 4, 0.02
DRAINED_PER_S = BLOCK_FRAMES / SECONDS_PER_BLOCK


@pytest.fixture(scope="module", autouse=True)
def told_often() -> Iterator[None]:
    """Ray writes down twice a second how its store is."""
    name = "RAY_debug_dump_period_milliseconds"
    control.shutdown_ray()
    os.environ[name] = "500"
    yield
    del os.environ[name]
    control.shutdown_ray()


def make_slow() -> Graph:
    """The file, and a screen that must see every frame and takes its time."""
    graph = make_graph().dump()
    screen = {"kind": "test_screen", "group": "screen", "parameters": {"seconds": SECONDS_PER_BLOCK}}
    graph["nodes"].append({"name": "screen", **screen})
    graph["edges"].append({"from": "camera", "to": "screen"})
    return parse_graph(graph)


def read_store() -> dict[str, int]:
    """What Ray says of its store, from now on."""
    folder, since = control._runner._folder, time.time()
    assert folder is not None
    (file,) = folder.path.glob("r/session_2*/logs/debug_state.txt")
    wait_for(lambda: file.stat().st_mtime > since and "num bytes currently spilled" in file.read_text(), "Ray is mute")
    told = dict(line[2:].partition(": ")[::2] for line in file.read_text().splitlines() if line.startswith("- "))
    spilled = [path for path in folder.path.rglob("*spill*/**/*") if path.is_file()]
    return {
        "bytes_spilled": int(told["num bytes currently spilled"]),
        "spill_requests": int(told["cumulative spill requests"]),
        "objects": int(told["num local plasma objects"]),
        "files": len(spilled),
    }


def overrun(start: Start, file: Path, seconds: float, policy: str) -> tuple[int, int]:
    """A detector at twice the rate for so long; how many frames it had, and how many are written."""
    frames = int(2 * DRAINED_PER_S * seconds)
    told = {"rate": 2 * DRAINED_PER_S, "policy": policy, "block_frames": BLOCK_FRAMES, "prepared": True}
    feeder, armed = start(make_slow(), file=file, frames=frames, shape=SHAPE, **told)
    ledger = armed.wait(10 * seconds + 20)
    sent = feeder.read()
    assert read_store() == {"bytes_spilled": 0, "spill_requests": 0, "objects": 0, "files": 0}
    assert (ledger.produced, ledger.written) == (frames, sent["sent"])
    gone = [number for gap in ledger.missing for number in range(gap.first, gap.last + 1)]
    assert gone == sent["dropped"]
    assert len(gone) + ledger.written == frames
    with h5py.File(file) as stored:
        numbers = stored["entry/data/frame_number"][:].tolist()
    assert sorted([*numbers, *gone]) == list(range(frames))
    assert ledger.edges["camera → screen"] == {"sent": ledger.written, "dropped": 0}
    return frames, ledger.written


@pytest.mark.parametrize("policy", ["hold", pytest.param("drop", marks=pytest.mark.soak)])
def test_a_full_ring_holds_the_detector_or_drops_and_nothing_is_spilled(
    start: Start, tmp_path: Path, policy: str
) -> None:
    frames, written = overrun(start, tmp_path / "raw.h5", 1.5, policy)
    assert (written == frames) == (policy == "hold")


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_a_minute_at_twice_the_rate(start: Start, tmp_path: Path) -> None:
    frames, written = overrun(start, tmp_path / "raw.h5", 60, "drop")
    print(f"soak: {written} of {frames} frames written at twice the graph's rate, the others named; 0 bytes spilled")
