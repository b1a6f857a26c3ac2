"""However the console ends, its run is closed and its clean-up done."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.console.conftest import SIMULATED
from tests.console.test_run_control import begin, pause
from tests.support.console_link import ConsoleUnderTest

RECORDING = (
    SIMULATED
    + """
import pathlib, atexit
RE.subscribe(lambda name, doc: pathlib.Path("stop.txt").write_text(doc["exit_status"] + " " + doc["reason"]), "stop")
def clean():
    yield from sleep(0.1)
    print("cleaning")
    pathlib.Path("cleaned.txt").write_text("yes")
"""
)


@pytest.mark.parametrize(
    ("how", "paused"), [("SIGTERM", False), pytest.param("hang-up", False, marks=pytest.mark.soak), ("SIGHUP", True)]
)
def test_run_is_closed(start_console: Callable[..., ConsoleUnderTest], how: str, paused: bool) -> None:
    console = start_console(RECORDING)
    folder = console.runtime.path.parent
    number = begin(console)
    if paused:
        pause(console, number)
    if how == "hang-up":
        console.hang_up()
    else:
        os.kill(console.child.pid, signal.Signals[how])
    assert console.wait_gone(8) == 0
    said = "SIGHUP" if how == "hang-up" else how
    assert (folder / "stop.txt").read_text() == f"abort the console was ended by {said}"
    assert (folder / "cleaned.txt").read_text() == "yes"
    log = (console.runtime.logs / "ipython.log").read_text()
    assert not any(word in log for word in ("OSError", "could not", "did not leave", "raised"))


def test_debugger_does_not_keep_the_console_alive(start_console: Callable[..., ConsoleUnderTest]) -> None:
    console = start_console()
    since = len(console.messages)
    console.deliver("import pdb; pdb.set_trace()\nx = 1\nwhile True:\n    x += 1")
    console.wait_for("state", since=since, prompt="occupied")
    console.type("c\n")
    console.wait(lambda: console.messages[-1].get("prompt") == "running", "running")
    console.type("\x03")  # pdb takes Ctrl-C from here on, and traces whatever the main thread runs
    console.wait(lambda: "Program interrupted" in console.text, "pdb")
    os.kill(console.child.pid, signal.SIGTERM)
    assert console.wait_gone(12) in (0, 1)
    assert "ended by SIGTERM" in (console.runtime.logs / "ipython.log").read_text()


def test_person_who_leaves_closes_a_paused_run(start_console: Callable[..., ConsoleUnderTest]) -> None:
    console = start_console(RECORDING)
    pause(console, begin(console))
    console.type("exit\r")
    assert console.wait_gone() == 0
    assert "the person left" in (console.runtime.path.parent / "stop.txt").read_text()
    console.wait_for("bye")


def test_failing_start_up_script_leaves_a_usable_console(start_console: Callable[..., ConsoleUnderTest]) -> None:
    console = start_console("x = 41\nraise RuntimeError('no such beamline')\n")
    assert console.wait_for("ready")["startup_error"] == "RuntimeError: no such beamline"
    console.wait(lambda: "Traceback" in console.text, "the traceback")
    assert console.run("x + 1")["rep"]["ret"] == 42
    assert console.ask("run/abort", reason="")["err"] == "no-run"
    mended = "from bluesky import RunEngine\nfrom mamba.console import server_start\nRE = RunEngine()"
    console.run(f"{mended}\nU = server_start({{}}, {{}}, RE)")
    assert console.run("U")["rep"]["err"] == ""


def test_history_is_private(console: ConsoleUnderTest) -> None:
    files = list((console.runtime.path.parent / "ipython").rglob("*.sqlite"))
    assert [f.name for f in files] == ["trial.sqlite"]
    assert files[0].stat().st_mode & 0o777 == 0o600


def test_no_terminal_is_refused(tmp_path: Path) -> None:
    arguments = [sys.executable, "-m", "mamba.console", "--runtime", str(tmp_path / "r"), "--profile", "none"]
    answer = subprocess.run(arguments, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=30)
    assert answer.returncode == 2
    assert "needs a terminal" in answer.stderr
    assert "mambactl" in answer.stderr


def test_figure_4_without_a_host_says_so(tmp_path: Path) -> None:
    script = SIMULATED + "print(U)\nprint(U.person != '')\nU.login('Ada')\nU.logout()\ntry:\n    U.logout()\n"
    script += "except ZError as error:\n    print(error.code)\n"
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert "not connected" in answer.stdout
    assert answer.stdout.splitlines()[-2:] == ["True", "not-logged-in"]
