"""A control system with every server of ours and TangoTest, and mambactl as an administrator runs it."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.facility import make_environment
from tests.support.tango_facility import TangoFacility, running_facility
from tests.tango.conftest import BEAMLINE, BEAMLINE_SERVER, CAMERA, CAMERA_SERVER

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="package")
def control_system() -> Iterator[TangoFacility]:
    with tempfile.TemporaryDirectory(prefix="mb-admin-") as folder, running_facility(Path(folder)) as facility:
        facility.register(BEAMLINE_SERVER[0], BEAMLINE)
        facility.start(*BEAMLINE_SERVER)
        facility.register(CAMERA_SERVER[0], CAMERA)
        facility.start(*CAMERA_SERVER)
        facility.start_tango_test()
        yield facility


@pytest.fixture
def mambactl(control_system: TangoFacility) -> Run:
    def run(*arguments: str, tango_host: str | None = None) -> subprocess.CompletedProcess[str]:
        environment = make_environment() | {"TANGO_HOST": tango_host or control_system.host}
        command = [sys.executable, "-m", "mamba.cli", "--runtime", str(control_system.folder / "none"), *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)

    return run
