"""What the supervisor does when things go wrong for good, and with a database that is not its own."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest
import tango

from mamba.config import load_profile
from mamba.errors import FacilityError
from mamba.facility.launch import start_facility, stop_facility
from mamba.facility.progress import Progress
from mamba.facility.restarts import RestartPolicy
from mamba.facility.supervisor import Supervisor
from tests.facility.conftest import write_profile
from tests.support.facility import Facility, make_environment, runtime_folder, wait_until


@pytest.fixture(autouse=True)
def our_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", make_environment()["PYTHONPATH"])


@pytest.mark.error_logged
def test_a_server_that_dies_too_often_is_failed_and_the_rest_goes_on(
    idle: Facility, tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    profile = load_profile(write_profile(tmp_path, module="dying_server"))
    supervisor = Supervisor(
        idle.runtime,
        profile,
        Progress(None),
        with_console=False,
        make_policy=lambda: RestartPolicy(most_per_minute=1, first_delay_s=0.0),
    )

    async def let_it_die() -> None:
        work = asyncio.create_task(supervisor.run())
        await asyncio.to_thread(wait_until, lambda: supervisor.phase == "running" or work.done(), "it is up")
        (idle.runtime.path / "die").touch()
        await asyncio.to_thread(wait_until, lambda: idle.find_process("Tiny/a")["state"] == "failed", "it is failed")
        states = {process["name"]: process["state"] for process in idle.state["processes"]}
        assert states == {"database": "running", "Tiny/a": "failed", "Tiny/b": "running"}
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work

    with caplog.at_level(logging.INFO):
        asyncio.run(let_it_die())
    assert "seen: exit code 3; the power went away" in caplog.text
    assert "Tiny/a: died too often, it stays down" in caplog.text
    assert '"ready"' in capsys.readouterr().out


def test_a_sites_own_database_is_used_and_left_alone(running: Facility, tmp_path: Path) -> None:
    profile = write_profile(tmp_path)
    text = profile.read_text().replace("tango: {port: auto}", f"tango: {{host: {running.tango_host}}}")
    profile.write_text(text.replace("Tiny/", "Site/").replace("t/", "s/").replace("tiny1", "site1"))
    with runtime_folder() as runtime:
        text = profile.read_text().replace("tests.facility.support.tiny_server", "tests.facility.support.site_server")
        profile.write_text(text)
        start_facility(runtime, profile, with_console=False)
        site = Facility(runtime, profile)
        assert site.tango_host == running.tango_host
        assert {process["name"] for process in site.state["processes"]} == {"Site/a", "Site/b"}
        assert tango.DeviceProxy(f"tango://{running.tango_host}/s/a/1").read_attribute("Value").value == 1.5
        stop_facility(runtime)
    assert tango.DeviceProxy(f"tango://{running.tango_host}/t/a/1").read_attribute("Value").value == 1.5


def test_a_device_of_another_server_is_refused(running: Facility, tmp_path: Path) -> None:
    profile = write_profile(tmp_path)
    text = profile.read_text().replace("tango: {port: auto}", f"tango: {{host: {running.tango_host}}}")
    profile.write_text(text.replace("Tiny/a:", "Site/a:").replace("name: tiny", "name: site"))
    with runtime_folder() as runtime, pytest.raises(FacilityError, match="t/a/1: belongs to another server"):
        start_facility(runtime, profile, with_console=False)


def test_a_database_that_is_not_there_is_named(idle: Facility) -> None:
    idle.profile.write_text(idle.profile.read_text().replace("tango: {port: auto}", "tango: {host: 127.0.0.1:1}"))
    with pytest.raises(FacilityError, match=r"Tango database 127\.0\.0\.1:1: does not answer"):
        start_facility(idle.runtime, idle.profile, with_console=False)
