"""How the server processes behave on the machine: addresses, exit codes, idle cost, a database that is away."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest
from tango import DevState

from tests.support.tango_facility import TangoFacility, running_facility, wait_until
from tests.tango.conftest import BEAMLINE, BEAMLINE_SERVER, CAMERA_SERVER, wait_for_state


def test_they_listen_on_loopback_only(beamline: TangoFacility, camera_server: TangoFacility) -> None:
    for server in (BEAMLINE_SERVER[0], CAMERA_SERVER[0]):
        sockets = psutil.Process(beamline.servers[server].pid).net_connections("inet")
        listening = {s.laddr.ip for s in sockets if s.status == psutil.CONN_LISTEN}
        assert listening == {"127.0.0.1"}


@pytest.mark.soak
@pytest.mark.alone
def test_idle_servers_cost_next_to_nothing(beamline: TangoFacility, camera_server: TangoFacility) -> None:
    processes = [psutil.Process(beamline.servers[s].pid) for s in (BEAMLINE_SERVER[0], CAMERA_SERVER[0])]
    wait_until(lambda: all(p.cpu_percent(0.2) < 5 for p in processes), what="started up")
    before = [sum(p.cpu_times()[:2]) for p in processes]
    began = time.monotonic()
    wait_until(lambda: time.monotonic() - began > 2.0, what="two seconds")
    for process, seconds in zip(processes, before, strict=True):
        assert (sum(process.cpu_times()[:2]) - seconds) / (time.monotonic() - began) < 0.01
        assert process.memory_info().rss < 130e6


def test_stderr_has_one_line_ready(beamline: TangoFacility) -> None:
    lines = beamline.servers[BEAMLINE_SERVER[0]].log.read_text().splitlines()
    assert lines.count("ready") == 1
    assert "Traceback" not in lines


def test_without_an_instance_it_says_what_is_missing() -> None:
    done = subprocess.run([sys.executable, "-m", "tango_servers.axis"], capture_output=True, text=True, timeout=20)
    assert done.returncode == 1
    assert "no INSTANCE given" in done.stderr


def test_a_server_that_is_not_registered_says_so(facility: TangoFacility) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tango_servers.axis", "nobody"],
        capture_output=True,
        text=True,
        timeout=20,
        env={**os.environ, "TANGO_HOST": facility.host},
    )
    assert done.returncode != 0
    assert "Axis/nobody" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("class_name", "folder"),
    [
        ("Axis", "axis"),
        ("Monochromator", "monochromator"),
        ("IonChamber", "ion_chamber"),
        ("Shutter", "shutter"),
        ("StorageRing", "storage_ring"),
    ],
)
def test_each_class_has_a_server_of_its_own(facility: TangoFacility, class_name: str, folder: str) -> None:
    server, name = f"{class_name}/alone", f"alone/{folder}/1"
    facility.register(server, {name: (class_name, {})})
    facility.start(server, f"tango_servers.{folder}")
    device = facility.device(name)
    assert device.State() in (DevState.ON, DevState.CLOSE)
    assert device.info().dev_class == class_name
    assert facility.stop(server) == 0


def test_moving_and_counting_go_on_without_the_database() -> None:
    with tempfile.TemporaryDirectory(prefix="mb-tango-") as folder, running_facility(Path(folder)) as facility:
        facility.register(BEAMLINE_SERVER[0], BEAMLINE)
        facility.start(*BEAMLINE_SERVER)
        mono, counter = facility.device("vbl/mono/energy"), facility.device("vbl/counter/i0")
        counter.IntegrationTime = 0.01
        mono.Energy = 8.95
        wait_for_state(mono, DevState.ON)
        facility.stop_database()
        for step in range(5):
            mono.Energy = 8.95 + 0.001 * step
            wait_for_state(mono, DevState.ON)
            counter.IntegrationTime = 0.01 + 0.001 * step
            counter.Start()
            wait_for_state(counter, DevState.ON)
        log = facility.servers[BEAMLINE_SERVER[0]].log
        wait_until(lambda: "set points not saved" in log.read_text(), what="it says what it could not save")
        assert facility.stop(BEAMLINE_SERVER[0]) == 0
