"""For a module of fault tests: a session host, or a whole virtual beamline with a folder for what its runs leave."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.data_worker.conftest import ray_of_the_run, ray_once, start  # noqa: F401  # fixtures
from tests.support.facility import Facility, facility_up
from tests.support.session_host import HostUnderTest


@pytest.fixture(scope="module")
def host() -> Iterator[HostUnderTest]:
    """A session host with IPython and soft devices; shared by a module, so leave it idle."""
    host = HostUnderTest()
    try:
        host.wait_prompt()
        yield host
    finally:
        host.close()


@pytest.fixture(scope="module")
def beamline() -> Iterator[Facility]:
    """The virtual beamline, up, with its data in a folder that is removed."""
    before, folder = Path.cwd(), Path(tempfile.mkdtemp(prefix="mb-data-"))
    os.chdir(folder)
    try:
        with facility_up() as beamline:
            yield beamline
    finally:
        os.chdir(before)
        shutil.rmtree(folder)
