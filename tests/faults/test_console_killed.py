"""IPython is killed in the middle of a scan: who waits is told, what moves is stopped, the file can be read."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from mamba.facility.sweep import find_processes
from mamba.orphans import RAY_PARENT, RAY_PREFIX
from tests.support.beamline_watch import BeamlineWatch, read_points
from tests.support.facility import Facility, wait_until

TOLD_S, STOPPED_S = 5.0, 10.0  # promised are 1 s and 2 s, which the soak prints; here other tests work beside it
# the monochromator moves for seconds between two points, the shutter was opened for the run
SCAN = """
M.sample_x.velocity.put(5)
RE(mv(M.shutter, "open", M.sample_x, 0))
M.sample_x.velocity.put(2)
moving = M.sample_x.set(20)
RE(scan([D.i0, M.shutter], M.energy, 8.9, 9.1, 400))
"""


@pytest.fixture
def watch(beamline: Facility) -> Iterator[BeamlineWatch]:
    with BeamlineWatch(beamline, "session/", "scan/") as watch:
        yield watch
        if watch.client.request("session/status")["prompt"] == "dead":
            watch.client.request("session/restart", timeout_s=15)
        watch.wait_idle()


def kill_in_scan(watch: BeamlineWatch, after_s: float, number: int = signal.SIGKILL) -> tuple[float, float]:
    """One death at a random moment of a scan, and everything that is promised about it.

    Returns: after how long who waited was told, and after how long motors and shutter stood, s.
    """
    beamline, since = watch.beamline, len(watch.notices)
    with ThreadPoolExecutor(2) as pool, beamline.client() as first, beamline.client() as second:
        waiting = [pool.submit(first.ask, "cmd", cmd=SCAN, timeout_s=30)]
        start = watch.wait_notice("scan/start", since=since)
        waiting.append(pool.submit(second.ask, "cmd", cmd="1", timeout_s=30))
        watch.wait_notice("scan/point", since=since)
        wait_until(lambda: watch.client.request("state")["waiting"], "the second client waits")
        threading.Event().wait(after_s)  # the moment is random on purpose
        watch.collect()
        file = watch.newest_file()
        killed, killed_at = time.monotonic(), time.time()
        os.kill(watch.console_pid, number)
        assert {answer.result(timeout=5).err for answer in waiting} == {"console-died"}
        told_s = time.monotonic() - killed
        assert told_s < TOLD_S
    moving = ("vbl/mono/energy", "vbl/axis/sample_x")
    wait_until(lambda: all(watch.state_of(name) != "MOVING" for name in moving), "motors stand")
    wait_until(lambda: watch.state_of("vbl/shutter/1") == "CLOSE", "the shutter is closed")
    stopped_s = time.monotonic() - killed
    assert stopped_s < STOPPED_S
    safe = watch.wait_notice("session/made-safe", since=since)
    assert time.monotonic() - killed < STOPPED_S
    assert (safe["closed"], safe["failed"]) == (["M.shutter"], {})
    assert "M.sample_x" in safe["stopped"]
    assert abs(watch.device("vbl/axis/sample_x").Position - 20) > 0.1
    points = [n for n in watch.notices[since:] if n["typ"] == "scan/point" and n["time"] < killed_at - 1.2]
    assert f"{start['id']:05d}_" in file.name
    assert len(read_points(file)) >= len(points)
    return told_s, stopped_s


def count_lines(watch: BeamlineWatch, words: str) -> int:
    return sum(words in line for line in watch.beamline.read_log("console").splitlines())


def restart(watch: BeamlineWatch) -> None:
    watch.client.request("session/restart", timeout_s=15)
    watch.wait_idle()
    assert watch.client.command("1 + 1") == 2


@pytest.mark.parametrize(
    "name", ["SIGKILL", *(pytest.param(n, marks=pytest.mark.soak) for n in ("SIGSEGV", "SIGABRT"))]
)
def test_death_in_a_scan(watch: BeamlineWatch, name: str) -> None:
    lines = count_lines(watch, f"killed by {name}")
    before = {process.pid for process in find_processes(watch.beamline.runtime)} - {watch.console_pid}
    told_s, stopped_s = kill_in_scan(watch, random.uniform(0.5, 2.5), signal.Signals[name])
    print(f"{name}: told after {told_s:.2f} s, stopped after {stopped_s:.2f} s")
    left = {process.pid for process in find_processes(watch.beamline.runtime)}
    assert left <= before
    assert count_lines(watch, f"killed by {name}") == lines + 1
    assert "made safe: " in watch.beamline.runtime.transcript.read_text(errors="replace")
    restart(watch)


@pytest.mark.soak
def test_fifty_deaths(watch: BeamlineWatch) -> None:
    """50 kills at random moments: told ≤ 1 s, stopped ≤ 2 s, 50 of 50 files readable."""
    times = []
    for _ in range(50):
        times.append(kill_in_scan(watch, random.uniform(0, 3)))
        restart(watch)
    told_s, stopped_s = (max(column) for column in zip(*times, strict=True))
    print(f"soak: 50 kills, told within {told_s:.2f} s, stopped within {stopped_s:.2f} s, 50 files read")


def test_a_move_outside_a_run_is_stopped_and_the_shutter_left_as_it_was(watch: BeamlineWatch) -> None:
    watch.client.command("RE(mv(M.shutter, 'open', M.sample_x, 0)); M.sample_x.velocity.put(2)", timeout_s=30)
    watch.client.command("moving = M.sample_x.set(20)")
    wait_until(lambda: watch.state_of("vbl/axis/sample_x") == "MOVING", "it moves")
    since = len(watch.notices)
    os.kill(watch.console_pid, signal.SIGKILL)
    safe = watch.wait_notice("session/made-safe", since=since)
    assert (safe["stopped"], safe["closed"], safe["failed"]) == (["M.sample_x"], [], {})
    assert watch.state_of("vbl/axis/sample_x") != "MOVING"
    assert watch.state_of("vbl/shutter/1") == "OPEN"
    restart(watch)
    watch.client.command("RE(mv(M.shutter, 'closed'))", timeout_s=10)


@pytest.mark.soak
def test_a_camera_that_nobody_reads_is_aborted(watch: BeamlineWatch) -> None:
    since = len(watch.notices)
    watch.begin("RE(acquire(D.camera, frames=3000, period_s=0.01))")
    wait_until(lambda: watch.device("vbl/camera/1").FramesSent > 3, "frames come", timeout_s=40)
    locks = list(RAY_PARENT.glob(f"{RAY_PREFIX}*/owner.lock"))
    ray = [lock.parent for lock in locks if lock.read_text() == str(watch.console_pid)]
    assert len(ray) == 1
    os.kill(watch.console_pid, signal.SIGKILL)
    safe = watch.wait_notice("session/made-safe", since=since)
    assert safe["aborted"] == ["D.camera"]
    mdw = watch.beamline.runtime.path / "mdw"
    wait_until(lambda: not ray[0].exists() and not any(mdw.iterdir()), "the session sweeps what was left", timeout_s=10)
    assert watch.state_of("vbl/camera/1") == "ON"
    restart(watch)
    watch.client.command("RE(acquire(D.camera, frames=20))", timeout_s=40)


def test_a_restart_waits_until_all_is_safe_and_a_device_of_another_kind_is_named(watch: BeamlineWatch) -> None:
    watch.client.command("from ophyd.sim import SynAxis; M['soft'] = SynAxis(name='M.soft')")
    wait_until(lambda: "M.soft" in watch.client.request("dev/keys", path="M"), "the host knows it")
    watch.client.command("M.sample_x.velocity.put(2); moving = M.sample_x.set(20)", timeout_s=10)
    since = len(watch.notices)
    os.kill(watch.console_pid, signal.SIGKILL)
    watch.wait_notice("session/died", since=since)
    watch.client.request("session/restart", timeout_s=15)
    watch.wait_notice("session/started", since=since)
    order = ["session/died", "session/made-safe", "session/started"]
    kinds = [notice["typ"] for notice in watch.notices[since:] if notice["typ"] in order]
    assert kinds == order
    safe = watch.wait_notice("session/made-safe", since=since)
    assert list(safe["failed"]) == ["M.soft"]
    assert "no Tango device" in safe["failed"]["M.soft"]


@pytest.mark.soak
def test_a_server_that_hangs_is_named_and_holds_up_nobody(watch: BeamlineWatch) -> None:
    server = watch.beamline.find_process("VirtualBeamline/demo")["pid"]
    since = len(watch.notices)
    os.kill(server, signal.SIGSTOP)
    try:
        os.kill(watch.console_pid, signal.SIGKILL)
        watch.wait_notice("session/died", since=since)
        started = time.monotonic()
        assert watch.client.request("ping") == "pong"
        assert time.monotonic() - started < 0.1
        safe = watch.wait_notice("session/made-safe", since=since, timeout_s=7)
    finally:
        os.kill(server, signal.SIGCONT)
    assert {"M.energy", "M.sample_x", "M.sample_y"} <= set(safe["failed"])
    restart(watch)
