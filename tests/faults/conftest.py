"""A whole virtual beamline for each module of fault tests, and a folder of its own for what its runs leave."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.facility import Facility, facility_up


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
