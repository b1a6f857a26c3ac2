"""The conformance kit: passes on a session, skips what roles forbid, and is able to fail."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mamba.runtime import RuntimeDirectory
from mamba.wire.conformance.__main__ import print_table
from mamba.wire.conformance.probe import CHECKS, Outcome, Probe, run_check, run_checks
from tests.support.session_host import PROFILE, HostUnderTest
from tests.wire.conftest import ServerUnderTest, folder

__all__ = ["folder"]


def test_a_session_conforms_and_nothing_is_skipped(ipython: HostUnderTest) -> None:
    before = ipython.console_pid
    command = [sys.executable, "-m", "mamba.wire.conformance", "--runtime", str(ipython.runtime.path)]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, timeout=60, check=False)
    outcomes = [Outcome(**row) for row in json.loads(done.stdout)]
    assert not [outcome for outcome in outcomes if not outcome.ok]
    assert (done.returncode, done.stderr) == (0, "")
    assert len(outcomes) == len(CHECKS) > 40
    assert ipython.console_pid == before
    assert ipython.client.request("state")["run"]["uid"] is None  # nothing was measured


@pytest.fixture
def locked() -> Iterator[HostUnderTest]:
    """A session in which everybody has to log in."""
    host = HostUnderTest(profile=PROFILE + "people: {login: accounts}\n")
    try:
        yield host
    finally:
        host.close()


def test_what_nobody_may_ask_without_login_is_skipped_and_said(locked: HostUnderTest) -> None:
    probe = Probe(locked.runtime)
    try:
        outcomes = run_checks(probe)
    finally:
        probe.close()
    assert not [outcome for outcome in outcomes if outcome.ok is False]
    skipped = {outcome.check: outcome.seen for outcome in outcomes if outcome.ok is None}
    assert "cmd" in skipped
    assert all(seen.startswith("skipped: ") for seen in skipped.values())


def test_a_server_that_does_something_else_differs(folder: Path) -> None:
    server = ServerUnderTest(folder)
    probe = Probe(RuntimeDirectory(folder))
    try:
        verdicts = {
            title: run_check(probe, title, expected, function).ok
            for title, expected, function in CHECKS
            if title in ("ping", "wire/version", "wire/verbs", "state", "an unknown device")
        }
    finally:
        probe.close()
        server.stop()
    assert verdicts == {
        "ping": True,
        "wire/version": False,
        "wire/verbs": False,
        "state": None,
        "an unknown device": False,
    }


def test_the_table_shows_every_row_and_counts(capsys: pytest.CaptureFixture[str]) -> None:
    rows: list[tuple[str, Any]] = [("first", True), ("second", False), ("third", None)]
    print_table([Outcome(name, "[red]", "seen", ok) for name, ok in rows])
    printed = capsys.readouterr().out
    assert "[red]" in printed
    assert "1 passed, 1 differ, 1 skipped" in printed


def test_nobody_there_is_one_clear_error(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mamba.wire.conformance", "--runtime", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert "no session runs here" in done.stderr
