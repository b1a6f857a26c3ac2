"""`python -m taurus_gui` as a person meets it: on a screen, with a mouse and a keyboard of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mamba.config import BUILT_IN_PROFILE
from mamba.runtime import RuntimeDirectory
from tests.gui.support import PracticeHost
from tests.support.tango_facility import TangoFacility

_SCREEN = "1500x1000x24"


def wait_for(look: Callable[[], object], what: str, timeout_s: float = 15.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not look():
        assert time.monotonic() < deadline, f"not in {timeout_s} s: {what}"
        threading.Event().wait(0.05)


@contextmanager
def running(command: list[str], log: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as stream:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, env={**os.environ, **environment}
        )
    try:
        yield child
    finally:
        child.terminate()
        child.wait(10)


@pytest.fixture
def screen(tmp_path: Path) -> Iterator[str]:
    """A display of its own with a window manager; skipped never: the programs come with `make install`."""
    read_end, write_end = os.pipe()
    command = ["Xvfb", "-screen", "0", _SCREEN, "-nolisten", "tcp", "-displayfd", str(write_end)]
    child = subprocess.Popen(command, pass_fds=[write_end], stderr=subprocess.DEVNULL)
    os.close(write_end)
    with os.fdopen(read_end) as stream:
        display = f":{stream.readline().strip()}"
    try:
        with running(["openbox", "--sm-disable"], tmp_path / "openbox.log", DISPLAY=display):
            yield display
    finally:
        child.terminate()
        child.wait(10)


def xdotool(display: str, *arguments: str) -> str:
    done = subprocess.run(
        ["xdotool", *arguments], env={**os.environ, "DISPLAY": display}, capture_output=True, text=True, timeout=15
    )
    return done.stdout.strip()


def window_command(runtime: RuntimeDirectory) -> list[str]:
    return [
        sys.executable, "-m", "taurus_gui", "--runtime", str(runtime.path), "--profile", str(BUILT_IN_PROFILE),
    ]  # fmt: skip


def test_a_command_typed_with_a_real_keyboard(
    screen: str, runtime: RuntimeDirectory, host: PracticeHost, tango_facility: TangoFacility, tmp_path: Path
) -> None:
    runtime.write_state("facility", {"tango_host": tango_facility.host})
    log = tmp_path / "window.log"
    with running(window_command(runtime), log, DISPLAY=screen, QT_QPA_PLATFORM="xcb") as child:
        found: list[str] = []
        search = ("search", "--onlyvisible", "--name", "Virtual XAFS beamline")
        wait_for(lambda: found.extend(xdotool(screen, *search).split()) or found, f"the window: {log.read_text()}")
        wait_for(lambda: host.requests, "the window to ask for the state")
        window = found[0]
        xdotool(screen, "windowactivate", "--sync", window)
        shape = dict(line.split("=") for line in xdotool(screen, "getwindowgeometry", "--shell", window).splitlines())
        # the command line lies at the lower edge of the window
        x, y = int(shape["WIDTH"]) // 2, int(shape["HEIGHT"]) - 27
        xdotool(screen, "mousemove", "--window", window, str(x), str(y), "click", "1")
        xdotool(screen, "type", "--delay", "10", "6 * 7")
        xdotool(screen, "key", "Return")
        wait_for(lambda: host.commands, "the command to arrive")
        assert host.commands[0]["text"] == "6 * 7"
        assert host.commands[0]["origin"] == "window: command line"
        child.send_signal(signal.SIGTERM)
        assert child.wait(10) == 0, log.read_text()
    assert log.read_text() == ""


def test_without_a_beamline_it_says_what_to_do(runtime: RuntimeDirectory) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "DISPLAY"}
    done = subprocess.run(window_command(runtime), env=environment, capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert "no Tango database is known here" in done.stderr
    assert "mambactl up" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_programs_of_the_screen_tests_are_installed() -> None:
    for program in ("Xvfb", "openbox", "xdotool"):
        assert shutil.which(program), f"{program} is missing: make install"
