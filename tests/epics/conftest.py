"""The paper's Figure 4 as a session: an IOC and a Tango server of the test's own, and the real console."""

from __future__ import annotations

import os
import re
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.session_host import HostUnderTest
from tests.support.tango_facility import Process, TangoFacility, running_facility

AXIS = "test/axis/y"
IMPORTS = """
from bluesky import RunEngine
from bluesky.plan_stubs import mv
from bluesky.plans import count, scan
from ophyd import EpicsMotor
from mamba.console import server_start
from tests.epics.detector import MyAreaDetector
"""
"""What the figure omits. It stands in a text file, unchanged but for two closing brackets that were lost in print."""


def _find_free_port() -> int:
    """A port that is free for TCP and UDP now."""
    with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        tcp.bind(("127.0.0.1", 0))
        udp.bind(tcp.getsockname())
        return int(tcp.getsockname()[1])


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="mb-epics-", dir="/tmp") as name:
        yield Path(name)


@pytest.fixture(scope="session")
def ioc(folder: Path) -> Iterator[dict[str, str]]:
    """The environment in which Channel Access finds the IOC, and nothing beyond this machine."""
    repeater = str(_find_free_port())
    environment = {
        "EPICS_CA_ADDR_LIST": "127.0.0.1",
        "EPICS_CA_AUTO_ADDR_LIST": "NO",
        "EPICS_CA_SERVER_PORT": str(_find_free_port()),
        "EPICS_CA_REPEATER_PORT": repeater,
        "EPICS_CAS_AUTO_BEACON_ADDR_LIST": "NO",
        "EPICS_CAS_BEACON_ADDR_LIST": f"127.0.0.1:{repeater}",
    }
    process = Process(
        [sys.executable, "-m", "tests.epics.ioc"], environment={**os.environ, **environment}, log=folder / "ioc.log"
    )
    try:
        process.wait_for_line(re.compile("^ready$", re.MULTILINE))
        yield environment
    finally:
        process.stop()


@pytest.fixture(scope="session")
def facility(folder: Path) -> Iterator[TangoFacility]:
    with running_facility(folder) as facility:
        facility.register("Axis/y", {AXIS: ("Axis", {"LowerLimit": -5, "UpperLimit": 5, "DefaultVelocity": 100})})
        facility.start("Axis/y", "tango_servers.axis")
        yield facility


@pytest.fixture(scope="module")
def host(ioc: dict[str, str], facility: TangoFacility) -> Iterator[HostUnderTest]:
    """A session that starts with Figure 4; a Tango motor is put beside its EPICS motors."""
    startup = IMPORTS + (Path(__file__).parent / "figure_4.txt").read_text()
    with pytest.MonkeyPatch.context() as environment:
        for name, value in (ioc | {"TANGO_HOST": facility.host}).items():
            environment.setenv(name, value)
        host = HostUnderTest(startup=startup)
        try:
            host.wait_prompt()
            yield host
        finally:
            host.close()
