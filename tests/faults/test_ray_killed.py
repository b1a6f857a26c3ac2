"""Ray's own processes killed in the middle of an arm, one or all: the run fails with its counts, the next one works."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from pathlib import Path

import h5py
import psutil
import pytest

from mamba.data_worker import control
from mamba.data_worker.control import Armed
from mamba.data_worker.ray_process import is_gone
from mamba.errors import NodeFailed
from tests.data_worker.conftest import Start
from tests.support.frame_feeder import make_frame
from tests.support.graph_killer import SHAPE, Killer, make_three_actors, wait_for
from tests.support.shared_memory import await_no_more, list_orphaned_memory

FAILED_S = 5.0
KINDS = {"gcs": ["gcs_server"], "raylet": ["raylet"], "driver": ["ray_host"], "all": [""]}
"""What is killed, by words in its command."""


def list_ray() -> list[psutil.Process]:
    """All that belongs to the Ray of this process."""
    driver = psutil.Process(control._runner.ray.pid)
    return [driver, *driver.children(recursive=True)]


def find_folder() -> Path:
    folder = control._runner._folder
    assert folder is not None
    return folder.path


def check_whole(armed: Armed, acknowledged: set[int]) -> None:
    """Counts that add up, in the file too, with every frame that had been safe before."""
    ledger = armed.ledger
    assert ledger is not None
    assert ledger.produced == ledger.written + ledger.missing_frames
    with h5py.File(ledger.files[0]) as file:
        numbers, frames = file["entry/data/frame_number"][:].tolist(), file["entry/data/frames"][:]
        counts = (file["entry/mdw/produced"][()], file["entry/mdw/written"][()])
    assert counts == (ledger.produced, ledger.written)
    assert len(set(numbers)) == len(numbers) == len(frames) == ledger.written
    assert acknowledged <= set(numbers)
    for row, number in enumerate(numbers):
        assert (frames[row] == make_frame(number, SHAPE)).all()


def kill_in_arm(start: Start, kind: str, file: Path, after: int) -> float:
    """One arm whose Ray dies when so many frames are safe; how long the run took to fail, in seconds."""
    _feeder, armed = start(make_three_actors(), file=file, frames=100_000, shape=SHAPE, period_s=0.005)
    rings, ray, folder = list_orphaned_memory(), list_ray(), find_folder()
    assert Killer(armed).await_written(after)
    safe = {n for first, count in list(armed._supervisor._books.main.written) for n in range(first, first + count)}
    since = time.monotonic()
    for process in [p for p in ray if any(word in " ".join(p.cmdline()) for word in KINDS[kind])]:
        with contextlib.suppress(psutil.NoSuchProcess):  # it went with another
            process.kill()
    with pytest.raises(NodeFailed, match="its actor died"):
        armed.wait(40)
    seconds = time.monotonic() - since
    print(f"Ray killed ({kind}): the run failed after {seconds:.2f} s")
    check_whole(armed, safe)
    _feeder, armed = start(make_three_actors(), file=file.with_suffix(".next.h5"), frames=40, shape=SHAPE)
    assert armed.wait(20).written == 40
    assert not folder.exists()
    wait_for(lambda: all(is_gone(each) for each in ray), f"still there: {ray}")
    await_no_more(rings)
    return seconds


@pytest.mark.parametrize(
    "kind", ["gcs", *(pytest.param(kind, marks=pytest.mark.soak) for kind in ("raylet", "driver", "all"))]
)
def test_the_run_fails_with_its_counts_and_the_next_starts_ray_anew(start: Start, tmp_path: Path, kind: str) -> None:
    assert kill_in_arm(start, kind, tmp_path / "dying.h5", 20) < FAILED_S


def test_a_driver_that_aborts_does_not_take_the_console_along(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    """Ray ends its driver by SIGABRT when something in it is not as it must be; what it said of it is kept."""
    _feeder, armed = start(make_three_actors(), frames=100_000, shape=SHAPE, period_s=0.005)
    assert Killer(armed).await_written(20)
    os.kill(control._runner.ray.pid, signal.SIGABRT)
    with pytest.raises(NodeFailed, match="its actor died"):
        armed.wait(40)
    wait_for(lambda: not control._runner.running, "Ray's end was not noticed")
    assert "SIGABRT" in caplog.text


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_ray_dies_twenty_times(start: Start, tmp_path: Path) -> None:
    """`MAMBA_SEED` repeats a run."""
    seed = int(os.environ.get("MAMBA_SEED", time.time_ns() % 10**6))
    rng = random.Random(seed)
    print(f"seed {seed}")
    kinds = [*KINDS, *KINDS, *rng.choices(list(KINDS), k=12)]
    seconds = [
        kill_in_arm(start, kind, tmp_path / f"{number}.h5", rng.randrange(1, 400)) for number, kind in enumerate(kinds)
    ]
    print(f"soak: Ray killed {len(kinds)} times; the run failed within {max(seconds):.2f} s, 20 files read")
    assert max(seconds) < FAILED_S
