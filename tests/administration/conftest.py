"""An embedded database with Tango's own C++ TangoTest and the virtual beamline."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from mamba.config import BUILT_IN_PROFILE, load_profile
from tests.support.tango_facility import TangoFacility, running_facility

TANGO_TEST = Path(sys.prefix) / "debian" / "usr" / "lib" / "tango" / "TangoTest"
BEAMLINE = "VirtualBeamline/demo"


@pytest.fixture(scope="module")
def control_system() -> Iterator[TangoFacility]:
    with (
        tempfile.TemporaryDirectory(prefix="mb-adm-", dir="/tmp") as folder,
        running_facility(Path(folder)) as facility,
    ):
        facility.register("TangoTest/test", {"sys/tg_test/1": ("TangoTest", {})})
        facility.start_program("TangoTest/test", TANGO_TEST)
        server = load_profile(BUILT_IN_PROFILE).servers[BEAMLINE]
        facility.register(BEAMLINE, {n: (d.class_name, dict(d.properties)) for n, d in server.devices.items()})
        facility.start(BEAMLINE, server.module)
        yield facility
