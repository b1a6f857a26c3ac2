"""A console in a process of its own that arms a graph with several writers, and is killed with all that belongs to it.

`python -m tests.support.dying_console FILE ENDPOINT FORMAT` prints how many frames are safe, one line for each change.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from mamba import orphans
from mamba.data_worker.control import arm
from mamba.data_worker.graph import Graph, parse_graph
from tests.data_worker.conftest import REGIONS
from tests.support.frame_feeder import Feeder

SHAPE = (64, 96)


def make_graph(writers: int = 3, *, policy: str = "wait", **file: Any) -> Graph:
    """A camera, its sums, and a file that several write."""
    parameters = {"spare_mib": 1, "writers": writers, **file}
    return parse_graph(
        {
            "name": "shared",
            "nodes": [
                {"name": "camera", "kind": "stream", "group": "intake"},
                {"name": "region_sums", "kind": "region_sums", "group": "intake", "parameters": {"regions": REGIONS}},
                {"name": "tens", "kind": "combine_frames", "group": "intake", "parameters": {"frames": 10}},
                {"name": "file", "kind": "hdf5", "parameters": parameters},
            ],
            "edges": [
                {"from": "camera", "to": "region_sums"},
                {"from": "camera", "to": "tens"},
                {"from": "camera", "to": "file", "policy": policy},
                {"from": "region_sums", "to": "file"},
                {"from": "tens", "to": "file"},
            ],
        }
    )


def main() -> None:
    """Arm, and tell."""
    file, endpoint, form = sys.argv[1:]
    armed = arm(make_graph(), endpoint=endpoint, data_format=form, arm_id=1, frames=100_000, file=Path(file))
    told = -1
    while not armed.done:
        if armed.progress().written != told:
            told = armed.progress().written
            print(told, flush=True)
        time.sleep(0.02)  # between looks


class DyingConsole:
    """Starts it; a context manager that leaves nothing of it."""

    def __init__(self, file: Path, feeder: Feeder) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="mb-")  # sockets need a short path
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(file), feeder.endpoint, feeder.format],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
            env={**os.environ, "TMPDIR": self._folder.name},
        )

    def kill_after(self, frames: int) -> int:
        """Kill it and all its processes at once when so many frames are safe; returns how many it had told."""
        assert self._process.stdout is not None
        told = 0
        while told < frames:
            line = self._process.stdout.readline()
            assert line, "it ended"
            told = int(line)
        self._kill()
        return told

    def _kill(self) -> None:
        if self._process.poll() is None:
            family = [*psutil.Process(self._process.pid).children(recursive=True), psutil.Process(self._process.pid)]
            for process in family:
                process.kill()
            self._process.wait()
            psutil.wait_procs(family, timeout=20)

    def __enter__(self) -> DyingConsole:
        return self

    def __exit__(self, *_: object) -> None:
        self._kill()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._folder.cleanup()
        orphans.sweep_folders(Path(self._folder.name))


if __name__ == "__main__":
    main()
