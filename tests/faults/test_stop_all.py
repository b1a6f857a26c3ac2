"""Stop all: everything that moves is brought to rest, whatever the console does, and by whoever asks."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import pytest
import tango

from tests.support.beamline_watch import BeamlineWatch
from tests.support.facility import Facility, wait_until

AXES = ("vbl/axis/sample_x", "vbl/axis/sample_y", "vbl/mono/energy")


@pytest.fixture
def watch(beamline: Facility) -> Iterator[BeamlineWatch]:
    with BeamlineWatch(beamline, "session/", "scan/", "run/") as watch:
        watch.wait_idle()
        yield watch
        for name in AXES:
            wait_until(lambda name=name: watch.state_of(name) != "MOVING", f"{name} stands")
        watch.wait_idle()


def start_moves(watch: BeamlineWatch) -> tuple[tango.DeviceProxy, tango.DeviceProxy]:
    """Two axes far from their targets, started past the console; each would need ten seconds."""
    axes = watch.device("vbl/axis/sample_x"), watch.device("vbl/axis/sample_y")
    for axis in axes:
        axis.Velocity = 1.0
        axis.Position = axis.Position + (-9 if axis.Position > 0 else 9)
    for axis in axes:
        wait_until(lambda axis=axis: axis.state() == tango.DevState.MOVING, "it moves")
    return axes


def check_stopped(watch: BeamlineWatch, axes: tuple[tango.DeviceProxy, ...], asked: float) -> float:
    """Wait until they stand, far from their targets; after how long, s."""
    for axis in axes:
        wait_until(lambda axis=axis: axis.state() != tango.DevState.MOVING, "it stands", timeout_s=5)
    stopped_s = time.monotonic() - asked
    print(f"all stand {stopped_s:.3f} s after the request")
    assert stopped_s < 2
    return stopped_s


def test_what_other_programs_moved_is_stopped(watch: BeamlineWatch) -> None:
    axes = start_moves(watch)
    since, asked = len(watch.notices), time.monotonic()
    done = watch.client.request("run/stop_all", origin="fault test")
    check_stopped(watch, axes, asked)
    assert done == {"stopped": ["M.sample_x", "M.sample_y"], "failed": {}}
    notice = watch.wait_notice("session/stopped-all", since=since)
    assert notice["stopped"] == done["stopped"]
    assert notice["reason"].startswith("everything was stopped by ")
    wait_until(lambda: "everything was stopped by " in watch.read_screen(), "the line in the terminal")


def test_asked_at_rest_it_says_that_nothing_moved(watch: BeamlineWatch) -> None:
    for _ in range(3):
        assert watch.client.request("run/stop_all") == {"stopped": [], "failed": {}}


def test_a_run_is_aborted_with_the_reason_and_what_waits_is_withdrawn(watch: BeamlineWatch) -> None:
    since = len(watch.notices)
    scan = watch.begin("RE(scan([D.i0], M.energy, 8.9, 9.1, 200))")
    watch.wait_notice("scan/point", since=since)
    waiting = watch.begin("1 + 1")
    watch.client.request("run/stop_all", reason="the chamber touches")
    assert watch.reply_to(scan).err
    assert watch.reply_to(waiting).err == "cancelled"
    stop = watch.wait_notice("scan/stop", since=since)
    assert (stop["exit_status"], "the chamber touches" in stop["reason"]) == ("abort", True)


def test_a_cell_that_moves_without_a_run_is_interrupted(watch: BeamlineWatch) -> None:
    moving = watch.begin("M.sample_x.velocity.put(1); M.sample_x.set(0 if M.sample_x.position > 5 else 10).wait()")
    wait_until(lambda: watch.state_of("vbl/axis/sample_x") == "MOVING", "it moves")
    asked = time.monotonic()
    watch.client.request("run/stop_all")
    check_stopped(watch, (watch.device("vbl/axis/sample_x"),), asked)
    assert watch.reply_to(moving).err


def test_a_console_that_hangs_does_not_matter(watch: BeamlineWatch) -> None:
    axes = start_moves(watch)
    os.kill(watch.console_pid, signal.SIGSTOP)
    try:
        asked = time.monotonic()
        done = watch.client.request("run/stop_all")
        check_stopped(watch, axes, asked)
        assert done == {"stopped": ["M.sample_x", "M.sample_y"], "failed": {}}
    finally:
        os.kill(watch.console_pid, signal.SIGCONT)


def test_at_the_prompt(watch: BeamlineWatch) -> None:
    axes = start_moves(watch)
    since, asked = watch.screen_bytes(), time.monotonic()
    assert watch.client.ask("cmd", cmd="%stop_all", timeout_s=20).ok
    check_stopped(watch, axes, asked)
    wait_until(lambda: "stopped: M.sample_x, M.sample_y" in watch.read_screen(since), "what the word says")
