"""From nothing to an armed graph of four nodes, against Ray alone; each in a fresh process.

Counted from the start of the process, imports and all. Ray alone is `ray.init` with the settings of
the data worker.
`python -m tests.bench.cold_start graph|ray …` is that process; it says `ready`.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from mamba.data_worker.ray_process import SETTINGS
from tests.bench.measuring import Sample, make_entry, take_turns

ROUNDS = 4
SHAPE = (1024, 1024)


def measure() -> list[dict[str, Any]]:
    """The entry for `results.json`."""
    samples = take_turns(ROUNDS, {"ray": start_ray, "graph": start_graph})
    return [make_entry("cold_start", samples["graph"], unit="s", bar="≤ 1.3", reference=samples["ray"], least=True)]


def start_ray() -> Sample:
    """As anybody would, on this machine only."""
    with tempfile.TemporaryDirectory() as folder:
        return start("ray", folder)


def start_graph() -> Sample:
    """With a detector that is armed already."""
    # imported here: the processes that are timed take this module, too
    from tests.support.frame_feeder import Feeder

    with Feeder(frames=16, shape=SHAPE, prepared=True) as feeder, tempfile.TemporaryDirectory() as folder:
        return start("graph", feeder.endpoint, feeder.format, folder)


def start(*words: str) -> Sample:
    """Seconds until the process says that it is ready."""
    began = time.monotonic()
    command = [sys.executable, "-m", "tests.bench.cold_start", *words]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            raise AssertionError(f"{words[0]} does not start")
        seconds = time.monotonic() - began
        process.communicate("\n", timeout=60)
    return Sample(seconds)


def _start_ray(folder: str) -> None:
    token = Path(folder) / "token"
    token.write_text(secrets.token_hex(32))
    os.environ.update({**SETTINGS, "RAY_AUTH_TOKEN_PATH": str(token)})
    import ray  # it reads its settings now

    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, _temp_dir=f"{folder}/r")
    _tell()
    ray.shutdown()


def _arm(endpoint: str, data_format: str, folder: str) -> None:
    from mamba.data_worker.control import arm, shutdown_ray
    from mamba.data_worker.graph import parse_graph

    region = {"name": "spot", "x": 208, "y": 208, "width": 96, "height": 96}
    graph = parse_graph(
        {
            "name": "four",
            "nodes": [
                {"name": "camera", "kind": "stream", "group": "intake"},
                {"name": "sums", "kind": "region_sums", "group": "intake", "parameters": {"regions": [region]}},
                {"name": "steer", "kind": "feedback", "group": "intake"},
                {"name": "file", "kind": "hdf5", "group": "file"},
            ],
            "edges": [
                {"from": "camera", "to": "sums"},
                {"from": "camera", "to": "file"},
                {"from": "sums", "to": "file"},
                {"from": "sums", "to": "steer"},
            ],
        }
    )
    file = Path(folder) / "frames.h5"
    armed = arm(graph, endpoint=endpoint, data_format=data_format, arm_id=1, frames=16, file=file)
    _tell()
    armed.abort("started")
    armed.close()
    shutdown_ray()


def _tell() -> None:
    print("ready", flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    if sys.argv[1] == "ray":
        _start_ray(*sys.argv[2:])
    else:
        _arm(*sys.argv[2:])
