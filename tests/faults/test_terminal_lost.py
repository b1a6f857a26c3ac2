"""The terminal is closed, hung up, or its owner killed, in a scan: clean-up done, run closed, all gone."""

from __future__ import annotations

import os
import random
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import psutil
import pytest

from tests.support.console_link import ConsoleUnderTest
from tests.support.session_host import HostUnderTest, wait_until

GONE_S = 10.0
PROFILE = "name: trial\nconsole: {startup: startup.py}\ndata: {directory: FOLDER}\n"
STARTUP = """
from pathlib import Path
from bluesky.preprocessors import finalize_wrapper
from ophyd.sim import SynAxis, SynSignal
from mamba.config import load_profile, read_environment
from mamba.console import server_start
from mamba.scans import make_run_engine, scan, sleep

profile = load_profile(read_environment().profile)
data = profile.data.directory
M = {"m1": SynAxis(name="M.m1", delay=0.02)}
D = {"i0": SynSignal(func=lambda: 1.5, name="D.i0")}
RE = make_run_engine(profile)

def clean():
    yield from sleep(0.1)
    print("cleaning")  # would raise on a terminal that is gone
    (data / "cleaned").write_text("yes")

def long_scan():
    return finalize_wrapper(scan([D["i0"]], M["m1"], 0, 1, 1000), clean())

U = server_start(M, D, RE)
"""


@contextmanager
def data_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="mb-data-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def find_processes(runtime: Path) -> list[str]:
    """Whatever runs with that runtime directory in its command line."""
    lines = (" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"]))
    return [line for line in lines if str(runtime) in line]


def check_end(data: Path, runtime: Path, started: float, cause: str) -> None:
    """Clean-up ran, the file says abort and why, one line of the log names the cause, no process is left."""
    left_s = GONE_S - (time.monotonic() - started)
    wait_until(lambda: not find_processes(runtime), timeout_s=left_s, what="all processes are gone")
    assert (data / "cleaned").read_text() == "yes"
    (file,) = data.glob("*.nxs")
    with h5py.File(file, "r") as opened:
        collection = opened["entry/collection"]
        assert collection["exit_status"].asstr()[()] == "abort"
        assert collection["reason"].asstr()[()] == f"the console was ended by {cause}"
        assert len(opened["entry/streams/primary/time"]) > 0
    log = (runtime / "logs" / "ipython.log").read_text()
    assert log.count(f"mamba.console.closing: the console was ended by {cause}") == 1, log
    assert not any(word in log for word in ("OSError", "could not", "did not leave", "raised", " ERROR ")), log


def lose_under_host(end: Callable[[HostUnderTest], None], cause: str, after_s: float) -> None:
    with data_folder() as data:
        host = HostUnderTest(startup=STARTUP, profile=PROFILE.replace("FOLDER", str(data)))
        try:
            host.wait_prompt()
            notices = host.subscribe("scan/")
            host.client.request("cmd", cmd="RE(long_scan())", wait=False)
            assert notices.wait_for("scan/point", timeout_s=10)
            threading.Event().wait(after_s)  # the moment is random on purpose
            started = time.monotonic()
            end(host)
            if host.process.poll() is None:
                wait_until(lambda: host.client.request("session/status")["prompt"] == "dead", what="the console ended")
                assert host.client.ask("cmd", cmd="1").err == "console-died"
                assert host.client.ask("ping").ok
                host.stop()
            check_end(data, host.runtime.path, started, cause)
        finally:
            host.close()


def hang_up(host: HostUnderTest) -> None:
    os.kill(host.console_pid, signal.SIGHUP)


def kill_host(host: HostUnderTest) -> None:
    """As the kernel does when memory runs out; who asks then is told that nobody is there."""
    host.process.kill()
    host.process.wait()
    assert host.client.ask("ping", timeout_s=2).err in ("not-running", "connection-lost")


def close_terminal(after_s: float) -> None:
    """The console in a terminal of its own, whose window is closed."""
    with data_folder() as data:
        folder = Path(tempfile.mkdtemp(prefix="mb-console-"))
        console = ConsoleUnderTest(folder, STARTUP, profile=PROFILE.replace("FOLDER", str(data)))
        try:
            console.wait_ready()
            console.deliver("RE(long_scan())")
            console.wait_for_notice("scan/point")
            threading.Event().wait(after_s)
            started = time.monotonic()
            console.hang_up()
            console.wait_gone(GONE_S)
            check_end(data, console.runtime.path, started, "SIGHUP")
        finally:
            console.close()
            shutil.rmtree(folder)


WAYS: dict[str, Callable[[float], None]] = {
    "SIGHUP": lambda after_s: lose_under_host(hang_up, "SIGHUP", after_s),
    "host killed": lambda after_s: lose_under_host(kill_host, "SIGHUP", after_s),
    "terminal closed": close_terminal,
}


@pytest.mark.parametrize(
    "way", ["host killed", *(pytest.param(way, marks=pytest.mark.soak) for way in ("SIGHUP", "terminal closed"))]
)
def test_lost_in_a_scan(way: str) -> None:
    WAYS[way](random.uniform(0, 1.5))


@pytest.mark.soak
def test_lost_fifty_times() -> None:
    """50 losses at random moments, of all three kinds."""
    for number in range(50):
        list(WAYS.values())[number % len(WAYS)](random.uniform(0, 3))
