"""`mambactl log` and `restart` for real, with a session and without."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mamba.runtime import RuntimeDirectory
from mamba.session.audit import AuditLog
from mamba.session.loop import Loop
from tests.support.session_host import HostUnderTest, wait_until

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def mambactl(runtime: RuntimeDirectory, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mamba.cli", "--runtime", str(runtime.path), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RuntimeDirectory:
    """A runtime directory with the log of a session that has ended; its first entry is 3 h old."""
    monkeypatch.delenv("MAMBA_PROFILE", raising=False)
    runtime = RuntimeDirectory.create(tmp_path / "rt")
    audit, now = AuditLog(runtime.logs / "audit.jsonl", Loop()), time.time
    monkeypatch.setattr(time, "time", lambda: now() - 3 * 3600)
    audit.add(
        "cmd", person="Ada", origin="scan window", cell=1, text="RE(scan())\nprint('é')", duration_s=12.5, id="a-1"
    )
    monkeypatch.setattr(time, "time", now)
    audit.add(
        "cmd", person="Eve", origin="console", cell=2, text="1/0", result="exc", desc="ZeroDivisionError: no\nmore"
    )
    audit.add("run/abort", person="Eve", origin="mambactl", text="the sample \x1b[2Jfell off", pid=4711)
    audit.close()
    return runtime


def test_it_is_a_table_for_people(runtime: RuntimeDirectory) -> None:
    result = mambactl(runtime, "log")
    assert (result.returncode, result.stderr) == (0, "")
    first, second, why, third = result.stdout.splitlines()
    assert first[20:].split() == ["Ada", "scan", "window", "In", "[1]", "RE(scan())…", "ok", "12.5", "s"]
    assert second[20:].split() == ["Eve", "console", "In", "[2]", "1/0", "exc"]
    assert why.strip() == "ZeroDivisionError: no…"
    assert third[20:].split() == ["Eve", "mambactl", "run/abort", "the", "sample", "�[2Jfell", "off", "ok"]


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        ("--who Ada", [1]),
        ("--failed", [2]),
        ("--verb run/", [3]),
        ("--since 2h", [2, 3]),
        ("--until 2h", [1]),
        ("--since 2001-01-01", [1, 2, 3]),
        ("--until 2001-01-01", []),
        ("--last 2", [2, 3]),
        ("--who Eve --last 1", [3]),
        ("--who Nobody", []),
    ],
)
def test_what_is_shown_can_be_chosen(runtime: RuntimeDirectory, options: str, numbers: list[int]) -> None:
    result = mambactl(runtime, "log", "--json", *options.split())
    assert result.returncode == 0
    assert [json.loads(line)["n"] for line in result.stdout.splitlines()] == numbers


def test_a_time_that_is_none_is_wrong_usage(runtime: RuntimeDirectory) -> None:
    result = mambactl(runtime, "log", "--since", "yesterday")
    assert result.returncode == 2
    assert "write 10:30, 2026-11-24" in result.stderr


def test_verify_says_that_all_is_well_or_names_what_is_not(runtime: RuntimeDirectory) -> None:
    file = runtime.logs / "audit.jsonl"
    result = mambactl(runtime, "log", "--verify")
    assert result.returncode == 0
    assert result.stdout.startswith("3 entries, chain unbroken, head ")
    assert len(result.stdout.splitlines()) == 1
    file.write_text(file.read_text().replace("Eve", "Ada"))
    result = mambactl(runtime, "log", "--verify")
    assert result.returncode == 1
    assert "audit.jsonl line 3: changed: " in result.stderr


def test_without_a_log_it_says_so(tmp_path: Path) -> None:
    result = mambactl(RuntimeDirectory.create(tmp_path / "rt"), "log")
    assert result.returncode == 1
    assert "there is no audit log yet" in result.stderr


def test_it_follows_a_session_that_runs(tiny: HostUnderTest) -> None:
    tiny.client.command("'before'")
    command = [sys.executable, "-m", "mamba.cli", "--runtime", str(tiny.runtime.path), "log", "--follow"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            lines = iter(process.stdout.readline, "")
            assert any("'before'" in line for line in lines)  # earlier ones of this session may stand before it
            wait_until(lambda: tiny.client.command("'now'") == "now")
            assert "'now'" in next(lines)
            assert mambactl(tiny.runtime, "log", "--verify").returncode == 0
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130


def test_restart_waits_for_the_new_console_and_names_it(ipython: HostUnderTest) -> None:
    ipython.client.command("kept = 1", timeout_s=10)
    before = ipython.console_pid
    result = mambactl(ipython.runtime, "restart")
    assert (result.returncode, result.stderr) == (0, "")
    assert int(result.stdout) == ipython.console_pid != before
    assert ipython.client.command("'kept' in globals()", timeout_s=10) is False


def test_restart_says_what_keeps_the_console_from_starting() -> None:
    host = HostUnderTest(startup="1 / 0\n")
    try:
        wait_until(lambda: "ZeroDivisionError" in host.transcript, timeout_s=20)
        result = mambactl(host.runtime, "restart")
        assert result.returncode == 1
        assert "has not started\n  seen: ZeroDivisionError: division by zero" in result.stderr
    finally:
        host.close()


def test_restart_without_a_session_is_not_running(tmp_path: Path) -> None:
    assert mambactl(RuntimeDirectory.create(tmp_path / "rt"), "restart").returncode == 3
