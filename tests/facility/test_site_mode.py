"""A site's own control system: `up` starts what the site does not, and `down` ends only that."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import tango

from mamba.errors import ServerFailed
from mamba.facility.launch import start_facility, stop_facility
from mamba.facility.sweep import find_processes
from tests.facility.conftest import write_profile
from tests.support.facility import Facility, make_environment, runtime_folder
from tests.support.site_database import SiteFacility, running_site
from tests.support.tango_facility import Process, wait_until

TINY_A = {"t/a/1": ("Tiny", {}), "t/a/2": ("Tiny", {})}
MODULE = "tests.facility.support.tiny_server"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SiteFacility]:
    monkeypatch.setenv("PYTHONPATH", make_environment()["PYTHONPATH"])
    folder = tmp_path / "site"
    folder.mkdir()
    with running_site(folder) as running:
        yield running


@pytest.fixture
def beamline(site: SiteFacility, tmp_path: Path) -> Iterator[Facility]:
    profile = write_profile(tmp_path)
    profile.write_text(profile.read_text().replace("tango: {port: auto}", f"tango: {{host: '{site.host}'}}"))
    with runtime_folder() as runtime:
        yield Facility(runtime, profile)


def _pid(site: SiteFacility, server: str) -> int:
    return int(site.database.get_device_info(f"dserver/{server}").pid)


def _start_by_hand(site: SiteFacility, devices: dict[str, tuple[str, dict[str, str]]]) -> int:
    site.register("Tiny/a", dict(devices))  # type: ignore[arg-type]
    command = [sys.executable, "-m", MODULE, "a", "-ORBendPoint", "giop:tcp:127.0.0.1:0"]
    process = Process(
        command,
        environment={**os.environ, "PYTHONUNBUFFERED": "1", "TANGO_HOST": site.host},
        log=site.folder / "tiny.log",
    )
    site.servers["Tiny/a"] = process  # ended with the site
    process.wait_for_line(re.compile("Ready to accept request"))
    return process.pid


def test_a_server_that_runs_is_left_alone(site: SiteFacility, beamline: Facility) -> None:
    pid = _start_by_hand(site, TINY_A)
    up = beamline.mambactl("up", "--without-console")
    assert up.returncode == 0, up.stderr
    assert "the site's: runs already" in up.stdout
    assert [process["name"] for process in beamline.state["processes"]] == ["Tiny/b"]
    status = beamline.mambactl("status")
    assert status.returncode == 0, status.stdout
    assert "the site's" in status.stdout
    assert beamline.mambactl("down").stdout.startswith("ended: Tiny/b\n")
    assert psutil.pid_exists(pid)
    assert site.device("t/a/1").State() != tango.DevState.FAULT


@pytest.mark.soak
def test_a_server_without_all_devices_is_named(site: SiteFacility, beamline: Facility) -> None:
    pid = _start_by_hand(site, {"t/a/1": ("Tiny", {})})
    with pytest.raises(
        ServerFailed, match=r"(?s)Tiny/a: the site runs it(?s:.*)t/a/2 is not exported(?s:.*)restart it"
    ):
        start_facility(beamline.runtime, beamline.profile, with_console=False)
    assert psutil.pid_exists(pid)
    assert find_processes(beamline.runtime) == []


@pytest.mark.soak
def test_a_server_of_the_starter_is_started_by_it(site: SiteFacility, beamline: Facility, tmp_path: Path) -> None:
    script = tmp_path / "programs" / "Tiny"
    script.parent.mkdir()
    # The Starter knows a Python server by the name of its script in the process list: "-m" is none.
    script.write_text(
        f"#!{sys.executable}\nimport runpy, sys\nsys.argv += ['-ORBendPoint', 'giop:tcp:127.0.0.1:0']\n"
        f"runpy.run_module('{MODULE}', run_name='__main__')\n"
    )
    script.chmod(0o755)
    starter = site.start_starter(script.parent)
    site.register("Tiny/a", TINY_A)
    info = tango.DbServerInfo()
    info.name, info.host, info.mode, info.level = "Tiny/a", starter.dev_name().rpartition("/")[2], 1, 1
    site.database.put_server_info(info)
    starter.UpdateServersInfo()  # as Astor does after a change
    start_facility(beamline.runtime, beamline.profile, with_console=False)
    assert beamline.state["site_servers"] == {"Tiny/a": f"started by {starter.dev_name()}"}
    pid = _pid(site, "Tiny/a")
    stop_facility(beamline.runtime)
    assert psutil.pid_exists(pid)
    wait_until(lambda: "Tiny/a" in starter.DevGetRunningServers(True), what="Astor shows it running", timeout_s=20.0)
    starter.DevStop("Tiny/a")
    wait_until(lambda: "Tiny/a" in starter.DevGetStopServers(True), what="Astor shows it stopped", timeout_s=20.0)
