"""A camera with its real server, and what tests do with it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from mamba.data_worker.control import shutdown_ray
from mamba.devices import Camera, FrameSettings
from tests.support.tango_facility import TangoFacility, running_facility

SHAPE = (64, 96)
NAME, SECOND = "test/camera/1", "test/camera/2"
GRAPH = """
name: small
nodes:
  - {name: camera, kind: stream, group: all}
  - {name: file, kind: hdf5, group: all}
edges:
  - {from: camera, to: file}
"""


@pytest.fixture(scope="module")
def camera_facility() -> Iterator[TangoFacility]:
    with tempfile.TemporaryDirectory(prefix="mb-dev-", dir="/tmp") as folder:
        Path(folder).chmod(0o700)
        with pytest.MonkeyPatch.context() as patch, running_facility(Path(folder)) as facility:
            patch.setenv("MAMBA_RUNTIME_DIR", folder)
            size = {"Width": SHAPE[1], "Height": SHAPE[0]}
            facility.register("Camera/test", {NAME: ("Camera", size), SECOND: ("Camera", size)})
            facility.start("Camera/test", "tango_servers.camera")
            yield facility
            shutdown_ray()


@pytest.fixture
def camera(camera_facility, tmp_path):
    graph = tmp_path / "graph.yaml"
    graph.write_text(GRAPH)
    camera = Camera(f"tango://{camera_facility.host}/{NAME}", name="D.camera", graph=graph, directory=tmp_path / "raw")
    camera.stage()
    yield camera
    camera.unstage()
    assert camera.state == "ON"
    camera.destroy()


def take(camera, frames, period_s=0.0):
    camera.prepare(FrameSettings(frames, exposure_s=1e-6, period_s=period_s)).wait(10)
    camera.kickoff().wait(40)
    camera.complete().wait(40)
    return camera.ledger
