"""A control system with every server of ours and TangoTest, and mambactl as an administrator runs it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from mamba.cli import main
from tests.support.site_database import running_site
from tests.support.tango_facility import TangoFacility, running_facility
from tests.tango.conftest import BEAMLINE, BEAMLINE_SERVER, CAMERA, CAMERA_SERVER

Run = Callable[..., "Done"]


@pytest.fixture(scope="package")
def control_system() -> Iterator[TangoFacility]:
    with tempfile.TemporaryDirectory(prefix="mb-admin-") as folder, running_facility(Path(folder)) as facility:
        facility.register(BEAMLINE_SERVER[0], BEAMLINE)
        facility.start(*BEAMLINE_SERVER)
        facility.register(CAMERA_SERVER[0], CAMERA)
        facility.start(*CAMERA_SERVER)
        facility.start_tango_test()
        yield facility


@pytest.fixture(scope="package")
def site_test() -> Iterator[TangoFacility]:
    """TangoTest and an axis in a site's own control system."""
    with tempfile.TemporaryDirectory(prefix="mb-site-") as folder, running_site(Path(folder)) as facility:
        facility.start_tango_test()
        facility.register("Axis/site", {"site/axis/1": ("Axis", {"LowerLimit": -5.0, "UpperLimit": 5.0})})
        facility.start("Axis/site", "tango_servers.axis")
        yield facility


@dataclass(frozen=True)
class Done:
    """What mambactl answered."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def mambactl(control_system: TangoFacility, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """mambactl in this process: a process of its own costs a second of imports each time."""

    def run(*arguments: str, tango_host: str | None = None) -> Done:
        monkeypatch.setenv("TANGO_HOST", tango_host or control_system.host)
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["--runtime", str(control_system.folder / "none"), *arguments])
        told = capsys.readouterr()
        return Done(int(ended.value.code or 0), told.out, told.err)

    return run
