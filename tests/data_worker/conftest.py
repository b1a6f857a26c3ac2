"""Graphs and detectors for the data worker's tests."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest

from mamba.data_worker import kinds
from mamba.data_worker.control import Armed, arm, shutdown_ray
from mamba.data_worker.graph import Graph, parse_graph
from tests.support.frame_feeder import Feeder
from tests.support.shared_memory import await_no_more, list_orphaned_memory

REGIONS = [
    {"name": "a", "x": 0, "y": 0, "width": 8, "height": 8},
    {"name": "b", "x": 8, "y": 0, "width": 40, "height": 8},
    {"name": "c", "x": 0, "y": 8, "width": 8, "height": 24},
    {"name": "d", "x": 8, "y": 8, "width": 40, "height": 24},
]


def make_graph(*, policy: str = "wait", spare_mib: int = 1, **file: Any) -> Graph:
    """Source, four sums, file; each in the place where the demo has it."""
    return parse_graph(
        {
            "name": "test",
            "nodes": [
                {"name": "camera", "kind": "stream", "group": "intake"},
                {"name": "region_sums", "kind": "region_sums", "group": "intake", "parameters": {"regions": REGIONS}},
                {"name": "file", "kind": "hdf5", "group": "file", "parameters": {"spare_mib": spare_mib, **file}},
            ],
            "edges": [
                {"from": "camera", "to": "region_sums"},
                {"from": "camera", "to": "file", "policy": policy},
                {"from": "region_sums", "to": "file"},
            ],
        }
    )


def list_leftovers() -> list[str]:
    """Ray's processes, folders and shared memory of ours."""
    children = psutil.Process().children(recursive=True)
    left = [str(p) for p in children if p.status() != psutil.STATUS_ZOMBIE and "ray" in " ".join(p.cmdline())]
    left += [str(f) for f in Path("/tmp").glob("mamba-ray-*") if psutil.Process().pid == _owner(f)]
    return left


def _owner(folder: Path) -> int:
    try:
        return int((folder / "owner.lock").read_text() or 0)
    except FileNotFoundError:
        return 0


SITE = Path(__file__).parents[1] / "support" / "site_package"
"""A package with nodes, as a site would install one."""


@pytest.fixture(scope="session")
def ray_of_the_run() -> Iterator[None]:
    """Ray starts with the first graph of the first module, for all; nothing of it stays."""
    rings = list_orphaned_memory()
    yield
    shutdown_ray()
    assert list_leftovers() == []
    await_no_more(rings)


@pytest.fixture(scope="module")
def ray_once(ray_of_the_run: None) -> Iterator[None]:
    """The site's package is there, for this module and its actors."""
    before = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = f"{SITE}{os.pathsep}{before}"  # for the actors
    sys.path.insert(0, str(SITE))
    kinds._find_installed.cache_clear()
    yield
    sys.path.remove(str(SITE))
    os.environ["PYTHONPATH"] = before
    kinds._find_installed.cache_clear()


Start = Callable[..., tuple[Feeder, Armed]]


@pytest.fixture
def start(ray_once: None, tmp_path: Path) -> Iterator[Start]:
    """Start a detector process and a graph for it: `start(graph, file=…, frames=…, …)`."""
    with ExitStack() as stack:

        def begin(
            graph: Graph | None = None,
            *,
            file: Path | None = None,
            end_detector: Callable[[], int | None] = lambda: None,
            places: dict[str, str] | None = None,
            **feed: Any,
        ) -> tuple[Feeder, Armed]:
            feeder = stack.enter_context(Feeder(**feed))
            armed = arm(
                graph or make_graph(),
                endpoint=feeder.endpoint,
                data_format=feeder.format,
                arm_id=feeder.feed.arm,
                frames=feeder.feed.frames,
                file=file or tmp_path / "raw.h5",
                device="D.camera",
                metadata={"sample": "copper"},
                end_detector=end_detector,
                places=places,
            )
            stack.callback(armed.close)
            feeder.start()
            return feeder, armed

        yield begin
