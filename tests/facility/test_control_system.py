"""Database and device servers while they run: reached, watched, restarted."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing

import psutil
import pytest
import tango

from mamba.facility.sweep import find_processes
from mamba.facility.tango_admin import await_servers
from tests.support.facility import Facility, wait_until


@pytest.fixture
def device(running: Facility) -> Iterator[tango.DeviceProxy]:
    return tango.DeviceProxy(f"tango://{running.tango_host}/t/a/1")


def test_servers_run_what_the_profile_says(running: Facility, device: tango.DeviceProxy) -> None:
    assert device.read_attribute("Value").value == 1.5
    assert device.alias() == "tiny1"
    assert [p["state"] for p in running.state["processes"]] == ["running"] * 3


def test_database_file_is_in_wal_mode(running: Facility) -> None:
    with closing(sqlite3.connect(running.runtime.database)) as connection:
        assert connection.execute("pragma journal_mode").fetchone() == ("wal",)


def test_everything_listens_on_loopback_only(running: Facility) -> None:
    pids = [process.pid for process in find_processes(running.runtime)]
    assert len(pids) == 4
    sockets = [c for pid in pids for c in psutil.Process(pid).net_connections("inet")]
    listening = [c.laddr.ip for c in sockets if c.status == psutil.CONN_LISTEN]
    assert len(listening) >= 3
    assert set(listening) == {"127.0.0.1"}


def test_supervisor_is_light(running: Facility) -> None:
    assert psutil.Process(running.state["pid"]).memory_full_info().pss < 45e6


def test_second_up_says_who_runs(running: Facility) -> None:
    result = running.mambactl("up")
    assert result.returncode == 1
    assert "the beamline 'tiny' is up already" in result.stderr
    assert f"process {running.state['pid']} since 20" in result.stderr
    assert len(result.stderr.splitlines()) <= 5
    assert result.stdout == ""


def test_status_as_json(running: Facility) -> None:
    result = running.mambactl("status", "--json")
    assert result.returncode == 0, result.stdout
    status = json.loads(result.stdout)
    assert status["running"] is True
    assert status["profile"] == {"name": "tiny", "path": str(running.profile), "title": "Tiny beamline"}
    assert status["tango_host"] == running.tango_host
    assert status["sockets"]["rpc"] == f"ipc://{running.runtime.path}/rpc"
    assert {p["name"] for p in status["processes"]} == {"database", "Tiny/a", "Tiny/b"}
    assert all(p["rss_mb"] > 1 for p in status["processes"])
    named = {device["name"]: device for device in status["devices"] if device["name"]}
    assert named["M.one"] | {"why": ""} == {
        "name": "M.one",
        "tango": "t/a/1",
        "state": "ON",
        "status": "at rest",
        "why": "",
    }


def test_doctor_finds_a_sound_facility_sound(running: Facility) -> None:
    result = running.mambactl("doctor")
    assert result.returncode == 0, result.stdout
    assert "✓ Tiny/a answers" in result.stdout
    assert "✓ M.one: ON at rest" in result.stdout


def test_killed_server_is_started_again_and_its_device_answers(running: Facility, device: tango.DeviceProxy) -> None:
    before = running.find_process("Tiny/a")
    os.kill(before["pid"], signal.SIGKILL)

    def runs_again() -> bool:
        now = running.find_process("Tiny/a")
        return now["state"] == "running" and now["pid"] != before["pid"]

    wait_until(runs_again, "Tiny/a runs again")
    assert running.find_process("Tiny/a")["restarts"] == before["restarts"] + 1
    fresh = tango.DeviceProxy(f"tango://{running.tango_host}/t/a/1")
    assert fresh.read_attribute("Value").value == 1.5
    assert "Tiny/a: died\n  seen: ended by SIGKILL" in running.read_log("facility")


def test_killed_database_comes_back_on_its_port(running: Facility) -> None:
    host, before = running.tango_host, running.find_process("database")
    os.kill(before["pid"], signal.SIGKILL)

    def runs_again() -> bool:
        now = running.find_process("database")
        return now["state"] == "running" and now["pid"] != before["pid"]

    wait_until(runs_again, "the database runs again")
    assert running.tango_host == host
    assert running.mambactl("status").returncode == 0


def test_a_class_that_the_server_lacks_is_named(running: Facility) -> None:
    host, _, port = running.tango_host.partition(":")
    database = tango.Database(host, int(port))
    info = tango.DbDevInfo()
    info.name, info._class, info.server = "t/a/9", "Tyni", "Tiny/a"
    database.add_device(info)
    try:
        pid = running.find_process("Tiny/a")["pid"]
        waiting = await_servers(running.tango_host, {"Tiny/a": {"pid": pid, "devices": ["t/a/9"]}}, 0.3, lambda _: None)
    finally:
        database.delete_device("t/a/9")
    assert waiting == {"Tiny/a": "t/a/9 is not exported yet: its server has no class 'Tyni'"}


def test_doctor_tells_to_mend_a_name_the_database_does_not_know(running: Facility) -> None:
    text = running.profile.read_text()
    running.profile.write_text(text.replace("{tango: t/a/1,", "{tango: t/gone/1,", 1))
    try:
        result = running.mambactl("doctor")
    finally:
        running.profile.write_text(text)
    assert "do: mend the name t/gone/1 in the profile" in result.stdout


def test_doctor_names_a_server_that_hangs(running: Facility) -> None:
    pid = running.find_process("Tiny/b")["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        result = running.mambactl("doctor")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert result.returncode == 1
    assert "✗ Tiny/b does not answer" in result.stdout
    assert "✓ Tiny/a answers" in result.stdout
    assert f"do: read {running.runtime.logs}/Tiny-b.log" in result.stdout
