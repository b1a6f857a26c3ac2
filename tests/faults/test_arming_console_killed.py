"""The process that armed a graph is killed: its actors go, the file can be mended, and a sweep takes all the rest."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import psutil
import pytest

from mamba import orphans
from mamba.data_worker.ray_process import is_gone
from mamba.data_worker.sinks.recovery import recover_file
from mamba.runtime import RuntimeDirectory
from tests.data_worker.conftest import Start
from tests.support.facility import runtime_folder
from tests.support.frame_feeder import Feeder, make_frame
from tests.support.graph_killer import SHAPE, make_three_actors, wait_for

pytestmark = pytest.mark.soak  # starts consoles with a Ray of their own, one after the other

GONE_S = 10.0


@dataclass(frozen=True)
class Killed:
    """What a console left that was killed in the middle of an arm."""

    runtime: RuntimeDirectory
    actors: list[psutil.Process]
    agents: list[psutil.Process]
    folders: list[Path]
    rings: set[Path]
    file: Path
    since: float


@pytest.fixture
def killed(ray_once: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Killed]:
    with runtime_folder() as runtime, Feeder(frames=100_000, shape=SHAPE, period_s=0.005) as feeder:
        monkeypatch.setenv("MAMBA_RUNTIME_DIR", str(runtime.path))
        file = tmp_path / "killed.h5"
        order = {"endpoint": feeder.endpoint, "data_format": feeder.format, "frames": 100_000, "file": str(file)}
        command = [sys.executable, "-m", "tests.support.console_program", json.dumps(order)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as console:
            assert console.stdout is not None
            folder = Path(json.loads(console.stdout.readline())["folder"])
            feeder.start()
            wait_for(lambda: file.stat().st_size > 2**20, "frames come")
            children = psutil.Process(console.pid).children(recursive=True)
            actors = [child for child in children if "GroupActor" in child.name()]
            agents = [child for child in children if "Agent" in child.name()]
            rings = {ring for actor in actors for ring in orphans.SHARED.glob(f"mamba-{actor.pid}-*")}
            since = time.monotonic()
            console.kill()
        ray = [each for each in orphans.RAY_PARENT.glob("mamba-ray-*") if (each / "owner.lock").exists()]
        ray = [each for each in ray if (each / "owner.lock").read_text() == str(console.pid)]
        assert (len(actors), len(ray), folder.parent) == (3, 1, runtime.path / "mdw")
        wait_for(lambda: all(map(is_gone, actors)), f"actors live on: {actors}")
        assert rings, "there is something to sweep"
        yield Killed(runtime, actors, agents, [folder, *ray], rings, file, since)


def check_swept(killed: Killed) -> None:
    """Nothing of it is there any more."""
    assert all(map(is_gone, [*killed.actors, *killed.agents]))
    assert not any(folder.exists() for folder in killed.folders)
    assert not any(ring.exists() for ring in killed.rings)


def check_file(killed: Killed) -> None:
    """Mended as `mambactl mdw recover` does it: each frame once, as the detector made it."""
    recover_file(killed.file)
    with h5py.File(killed.file) as file:
        numbers, frames = file["entry/data/frame_number"][:].tolist(), file["entry/data/frames"][:]
    assert len(set(numbers)) == len(numbers) == len(frames) > 20
    assert all((frames[row] == make_frame(number, SHAPE)).all() for row, number in enumerate(numbers))


@pytest.mark.soak
def test_down_takes_what_a_killed_console_left(killed: Killed) -> None:
    assert time.monotonic() - killed.since < GONE_S
    check_file(killed)
    command = [sys.executable, "-m", "mamba.cli", "--runtime", str(killed.runtime.path), "down"]
    print(subprocess.run(command, capture_output=True, text=True, check=False).stdout)
    check_swept(killed)


def test_the_next_arm_takes_what_a_killed_console_left(killed: Killed, start: Start, tmp_path: Path) -> None:
    _feeder, armed = start(make_three_actors(), file=tmp_path / "next.h5", frames=40, shape=SHAPE)
    assert armed.wait(20).written == 40
    check_swept(killed)
