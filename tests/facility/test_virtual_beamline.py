"""The whole virtual beamline with its console, as `mambactl up` brings it up."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pytest

from mamba.config import BUILT_IN_PROFILE
from mamba.facility.sweep import find_processes
from tests.support.facility import Facility, assert_nothing_left, make_environment, runtime_folder, wait_until


@pytest.fixture(scope="module")
def beamline() -> Iterator[Facility]:
    """Up by the command itself, in a folder of its own."""
    with runtime_folder() as runtime:
        facility = Facility(runtime, BUILT_IN_PROFILE)
        up = facility.mambactl("up")
        assert up.returncode == 0, up.stderr
        assert "✓ console" in up.stdout
        yield facility
        down = facility.mambactl("down")
        assert down.returncode == 0, down.stderr
        assert "swept" not in down.stdout
        assert_nothing_left(runtime)


def test_status_names_devices_with_their_state(beamline: Facility) -> None:
    status = json.loads(beamline.mambactl("status", "--json").stdout)
    assert status["problems"] == []
    names = {device["name"] for device in status["devices"]}
    assert {"M.energy", "M.sample_x", "M.sample_y", "M.shutter", "D.i0", "D.i1", "D.current", "D.camera"} == names
    assert status["console"]["prompt"] == "idle"


def test_run_prints_the_result(beamline: Facility) -> None:
    result = beamline.mambactl("run", "6 * 7")
    assert (result.returncode, result.stdout, result.stderr) == (0, "42\n", "")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("M.enery.position", "M.enery: no such device"),
        ("M.energy.set(99).wait()", "M.energy: cannot go to 99 keV"),
        ("x = (", "SyntaxError"),
    ],
)
def test_a_failing_command_is_one_clear_message(beamline: Facility, text: str, words: str) -> None:
    result = beamline.mambactl("run", text)
    assert result.returncode == 1
    assert result.stdout == ""
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert len(result.stderr.splitlines()) <= 5


def test_run_from_standard_input_without_waiting(beamline: Facility) -> None:
    result = beamline.mambactl("run", "--no-wait", "answer = 1 + 1")
    assert result.returncode == 0
    with beamline.client() as client:
        wait_until(lambda: client.request("cmd/status", id=result.stdout.strip()).get("rep"), "the command is done")


def test_run_gives_up_waiting_and_leaves_the_command(beamline: Facility) -> None:
    slow = "import time; time.sleep(1.0); late = 'done'"
    result = beamline.mambactl("run", "--timeout", "0.3", slow)
    assert result.returncode == 1
    assert "no result within 0.3 s; the command is left to the console" in result.stderr
    assert beamline.mambactl("run", "late").stdout == "done\n"


def test_ctrl_c_at_run_leaves_the_command(beamline: Facility) -> None:
    command = [sys.executable, "-m", "mamba.cli", "--runtime", str(beamline.runtime.path), "run"]
    waiting = subprocess.Popen(
        [*command, "import time; time.sleep(1.0); kept = 'kept'"],
        env=make_environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    with beamline.client() as client:
        wait_until(lambda: client.request("state")["running"], "the command runs")
    waiting.send_signal(signal.SIGINT)
    _, errors = waiting.communicate(timeout=5)
    assert waiting.returncode == 130
    assert "the command is left to the console" in errors
    assert beamline.mambactl("run", "kept").stdout == "kept\n"


def test_everything_listens_on_loopback_only(beamline: Facility) -> None:
    listening = [
        connection.laddr.ip
        for process in find_processes(beamline.runtime)
        for connection in psutil.Process(process.pid).net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert set(listening) == {"127.0.0.1"}


def test_idle_facility_is_within_its_memory(beamline: Facility) -> None:
    pids = [process.pid for process in find_processes(beamline.runtime)]
    assert len(pids) == 7  # supervisor, database, two servers, session host, IPython, who stands by to stop motors
    assert sum(psutil.Process(pid).memory_full_info().pss for pid in pids) < 500e6


@pytest.mark.soak
@pytest.mark.alone
def test_idle_facility_is_idle(beamline: Facility) -> None:
    processes = [psutil.Process(process.pid) for process in find_processes(beamline.runtime)]

    def cpu_s() -> float:
        return sum(process.cpu_times().user + process.cpu_times().system for process in processes)

    before = cpu_s()
    time.sleep(3.0)  # the span of the measurement
    assert (cpu_s() - before) / 3.0 < 0.05


def test_killed_session_host_comes_back_with_a_console(beamline: Facility) -> None:
    before = beamline.find_process("console")
    os.kill(before["pid"], signal.SIGKILL)

    def runs_again() -> bool:
        now = beamline.find_process("console")
        return now["state"] == "running" and now["pid"] != before["pid"]

    wait_until(runs_again, "the console runs again", timeout_s=30.0)
    assert beamline.mambactl("run", "1 + 1").stdout == "2\n"
    assert len(find_processes(beamline.runtime)) == 7


@pytest.mark.soak
def test_a_start_up_script_that_raises_is_named(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("profile")
    shutil.copytree(BUILT_IN_PROFILE.parent, folder, dirs_exist_ok=True)
    (folder / "startup.py").write_text("import mamba.no_such_module\n")
    with runtime_folder() as runtime:
        facility = Facility(runtime, folder / "beamline.yaml")
        up = facility.mambactl("up")
        assert up.returncode == 1
        assert up.stderr.startswith("console: is not ready\n  seen: the start-up script ")
        assert "no_such_module" in runtime.transcript.read_text()
        assert len(up.stderr.splitlines()) <= 5
        assert_nothing_left(runtime)
