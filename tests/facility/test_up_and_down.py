"""Bringing up and taking down, in order, in vain and after a kill."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import tango

from mamba.errors import AlreadyRunning, FacilityError, NotRunning, PortTaken
from mamba.facility.launch import start_facility, stop_facility
from mamba.facility.sweep import find_processes
from tests.facility.conftest import write_profile
from tests.support.facility import Facility, assert_nothing_left, make_environment, wait_until

pytestmark = pytest.mark.usefixtures("our_modules")


@pytest.fixture
def our_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", make_environment()["PYTHONPATH"])


def test_up_reports_each_step_and_down_leaves_nothing(idle: Facility) -> None:
    up = idle.mambactl("up", "--without-console")
    assert up.returncode == 0, up.stderr
    steps = re.findall(r"✓ (\S+) +\d+\.\d s", up.stdout)
    assert steps[:2] == ["database", "registration"]
    assert set(steps[2:]) == {"Tiny/a", "Tiny/b"}
    down = idle.mambactl("down")
    assert down.returncode == 0
    assert down.stdout.startswith("ended: database, Tiny/a, Tiny/b\ndown in ")
    assert_nothing_left(idle.runtime)
    assert not list(idle.runtime.path.glob("tango.sqlite-*"))


def test_nothing_runs(idle: Facility) -> None:
    down, status, run = idle.mambactl("down"), idle.mambactl("status"), idle.mambactl("run", "1 + 1")
    assert (down.returncode, status.returncode, run.returncode) == (0, 3, 3)
    assert down.stdout == f"{idle.runtime.path}: nothing runs here\n"
    assert "start it with 'mambactl up'" in status.stdout
    assert "mambactl up" in run.stderr
    assert idle.mambactl("status", "--json").stdout.startswith('{"running": false')
    with pytest.raises(NotRunning):
        stop_facility(idle.runtime)


def test_profile_with_a_typing_error_names_key_and_line(idle: Facility) -> None:
    idle.profile.write_text(idle.profile.read_text().replace("module: tests.facility.support.tiny", "modul: tiny"))
    result = idle.mambactl("up")
    assert result.returncode == 1
    assert "line 6: unknown key 'servers.Tiny/a.modul'" in result.stderr
    assert "did you mean 'module'?" in result.stderr
    assert len(result.stderr.splitlines()) <= 5
    assert_nothing_left(idle.runtime)


def test_port_taken_names_its_holder(idle: Facility, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        write_profile(tmp_path, port=port)
        with pytest.raises(PortTaken, match=rf"port {port} cannot be used(?s:.*)held by process {os.getpid()}"):
            start_facility(idle.runtime, idle.profile, with_console=False)
    assert_nothing_left(idle.runtime)


def test_fixed_port_is_used(idle: Facility, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
    write_profile(tmp_path, port=port)
    start_facility(idle.runtime, idle.profile, with_console=False)
    assert idle.tango_host == f"127.0.0.1:{port}"


def test_database_file_that_is_none_is_named(idle: Facility) -> None:
    idle.runtime.database.write_text("this was a database, before the disk was full\n" * 20)
    result = idle.mambactl("up", "--without-console")
    assert result.returncode == 1
    what, seen, remedy = result.stderr.splitlines()
    assert what == f"Tango database: its file {idle.runtime.database} cannot be used"
    assert (seen, remedy[:9]) == ("  seen: file is not a database", "  do:   s")
    assert_nothing_left(idle.runtime)


@pytest.mark.parametrize("command", ["up", "status", "down", "doctor"])
def test_runtime_directory_that_cannot_be_used_is_named(command: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    unusable = tmp_path / "file" / "run"
    result = subprocess.run(
        [sys.executable, "-m", "mamba.cli", "--runtime", str(unusable), command],
        env=make_environment(),
        capture_output=True,
        text=True,
        timeout=20.0,
        check=False,
    )
    assert result.returncode == (0 if command == "down" else 1)
    assert str(unusable) in (result.stdout if command == "down" else result.stderr)
    assert len(result.stderr.splitlines()) <= 5


def test_server_that_ends_at_once_is_named_with_its_last_words(idle: Facility, tmp_path: Path) -> None:
    write_profile(tmp_path, module="broken_server")
    result = idle.mambactl("up", "--without-console")
    assert result.returncode == 1
    assert result.stderr.splitlines() == [
        "Tiny/a: ended before it was ready",
        "  seen: exit code 1; the crate has no power",
        f"  do:   read {idle.runtime.logs}/Tiny-a.log",
    ]
    assert_nothing_left(idle.runtime)


def test_killed_supervisor_leaves_orphans_that_down_ends(idle: Facility) -> None:
    start_facility(idle.runtime, idle.profile, with_console=False)
    _kill_supervisor(idle)
    assert {process.name for process in find_processes(idle.runtime)} == {"database", "Tiny/a", "Tiny/b"}
    doctor = idle.mambactl("doctor")
    assert doctor.returncode == 1
    assert "✗ left by a supervisor that was killed: " in doctor.stdout
    done = stop_facility(idle.runtime)
    assert len(done.swept) == 3
    assert_nothing_left(idle.runtime)


@pytest.mark.soak
def test_killed_supervisor_does_not_hinder_the_next_up(idle: Facility) -> None:
    start_facility(idle.runtime, idle.profile, with_console=False)
    _kill_supervisor(idle)
    start_facility(idle.runtime, idle.profile, with_console=False)
    assert len(find_processes(idle.runtime)) == 4
    with pytest.raises(AlreadyRunning):
        start_facility(idle.runtime, idle.profile, with_console=False)


def _kill_supervisor(facility: Facility) -> None:
    process = psutil.Process(facility.state["pid"])
    process.kill()
    wait_until(lambda: facility.runtime.owner("facility") is None, "the lock is free")


def test_administrators_property_survives_until_the_profile_changes_it(idle: Facility, tmp_path: Path) -> None:
    start_facility(idle.runtime, idle.profile, with_console=False)
    host, _, port = idle.tango_host.partition(":")
    tango.Database(host, int(port)).put_device_property("t/a/1", {"Start": ["7"]})
    stop_facility(idle.runtime)
    assert _start_and_read(idle) == 7.0
    write_profile(tmp_path, start=2.5)
    assert _start_and_read(idle) == 2.5


def _start_and_read(facility: Facility) -> float:
    start_facility(facility.runtime, facility.profile, with_console=False)
    value = tango.DeviceProxy(f"tango://{facility.tango_host}/t/a/1").read_attribute("Value").value
    stop_facility(facility.runtime)
    return float(value)


def test_sigterm_during_start_takes_down_what_came_up(idle: Facility, tmp_path: Path) -> None:
    write_profile(tmp_path, module="silent_server")

    def end_when_servers_start(step: dict[str, object]) -> None:
        if step.get("step") == "Tiny/b":
            os.kill(idle.state["pid"], signal.SIGTERM)

    with pytest.raises(FacilityError, match="was told to end while it came up"):
        start_facility(idle.runtime, idle.profile, with_console=False, on_step=end_when_servers_start)
    assert_nothing_left(idle.runtime)


def test_ctrl_c_before_the_supervisor_owns_the_lock_leaves_nothing(idle: Facility) -> None:
    options = ["--runtime", str(idle.runtime.path), "--profile", str(idle.profile)]
    with subprocess.Popen(
        [sys.executable, "-m", "mamba.cli", *options, "up", "--without-console"],
        env=make_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as up:
        wait_until(lambda: find_processes(idle.runtime), "the supervisor's program is loading")
        up.send_signal(signal.SIGINT)
        assert up.communicate()[1].strip() == "interrupted"
    assert up.returncode == 130
    assert_nothing_left(idle.runtime)


def test_a_servers_own_children_are_ended_with_it(idle: Facility, tmp_path: Path) -> None:
    write_profile(tmp_path, module="forking_server")
    start_facility(idle.runtime, idle.profile, with_console=False)
    sleeper = next(p for p in find_processes(idle.runtime) if "sleep" in psutil.Process(p.pid).name())
    assert sleeper.name == "Tiny/a"
    stop_facility(idle.runtime)
    assert_nothing_left(idle.runtime)


@pytest.mark.soak
@pytest.mark.alone
def test_up_and_down_are_quick(idle: Facility) -> None:
    started = time.monotonic()
    start_facility(idle.runtime, idle.profile, with_console=False)
    stop_facility(idle.runtime)
    assert time.monotonic() - started < 8.0
