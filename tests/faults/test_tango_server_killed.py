"""A Tango server is killed in a move and in a scan, and restarted: statuses end, the scan waits and goes on."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Generator, Iterator
from typing import Any

import pytest
from bluesky.utils import Msg, RequestAbort, RunEngineInterrupted

from mamba.errors import DeviceError, DeviceUnreachable
from mamba.scans import scan
from mamba.wire import notices
from tests.faults.lost_devices import RIG, Lost, lost_devices, until_good
from tests.support.beamline_watch import BeamlineWatch, read_points
from tests.support.facility import Facility
from tests.support.tango_facility import wait_until

GOOD_S = 2.0


@pytest.fixture(scope="module")
def lost() -> Iterator[Lost]:
    with lost_devices() as lost:
        yield lost


@pytest.fixture(autouse=True)
def _runs(lost: Lost) -> None:
    if RIG not in lost.facility.servers:
        lost.start()
    until_good(lambda: lost.motor.link.write("Duration", 0.05))


def kill_in_a_scan(lost: Lost, *, gone_s: float = 0.0) -> None:
    """A scan of 8 points whose server is killed after the third; all points are there in the end."""
    with lost.running(scan([lost.level], lost.motor, 0.0, 3.5, 8)) as done:
        lost.wait_points(3)
        lost.kill()
        if gone_s:
            lost.wait_suspended()
            threading.Event().wait(gone_s)
        up = lost.start()
        assert until_good(lambda: lost.motor.link.state()) - up < GOOD_S
        done.result(timeout=40)
    assert lost.points() == pytest.approx([0.5 * n for n in range(8)])
    assert lost.stop_document()["exit_status"] == "success"
    assert not lost.motor.moving


def test_a_scan_waits_for_the_server_and_goes_on(lost: Lost, capsys: pytest.CaptureFixture[str]) -> None:
    told: list[notices.Notice] = []
    detach = notices.attach(told.append)
    try:
        kill_in_a_scan(lost, gone_s=0.5)
    finally:
        detach()
    screen = capsys.readouterr().out
    assert "Suspended: " in screen
    assert "M.lost" in screen.split("Suspended: ")[1]
    assert "Resumed after" in screen
    kinds = [notice["typ"] for notice in told if notice["typ"].startswith("run/")]
    assert kinds == ["run/suspended", "run/resumed"]


def test_a_restart_within_the_grace_is_no_end_of_a_move(lost: Lost) -> None:
    """A supervisor restarts faster than the loss is certain: the server forgot the move, the scan gives it again."""
    lost.motor.link.write("Duration", 0.8)
    with lost.running(scan([lost.level], lost.motor, 1.0, 2.0, 2)) as done:
        wait_until(lambda: lost.motor.moving, what="it moves")
        lost.kill()
        lost.start()
        done.result(timeout=40)
    assert lost.points() == pytest.approx([1.0, 2.0])


def test_abort_while_suspended(lost: Lost) -> None:
    with lost.running(scan([lost.level], lost.motor, 0.0, 2.0, 5)) as done:
        lost.wait_points(2)
        lost.kill()
        lost.wait_suspended()
        wait_until(lambda: lost.engine.state == "running", what="it waits")
        lost.engine.abort("no beam today")
        with pytest.raises((RequestAbort, RunEngineInterrupted)):
            done.result(timeout=20)
    assert lost.stop_document()["reason"] == "no beam today"
    assert lost.engine.state == "idle"
    lost.start()
    kill_in_a_scan(lost)  # bluesky alone would measure the interrupted point without moving there again


def test_a_plan_gets_the_answer_to_the_message_that_was_interrupted(lost: Lost) -> None:
    """An adaptive plan looks at what it reads."""
    answers = []

    def read_without_server() -> Generator[Msg, Any, None]:
        yield Msg("open_run")
        yield Msg("checkpoint")
        yield Msg("create", name="primary")
        yield Msg("read", lost.motor)
        lost.kill()
        threading.Thread(target=lost.start).start()
        answers.append((yield Msg("read", lost.level)))
        yield Msg("save")
        yield Msg("close_run")

    lost.level.get()
    lost.engine(read_without_server())
    assert set(answers[0]) == {"D_level"}


def test_a_move_alone_fails_in_time_naming_the_device(lost: Lost) -> None:
    lost.motor.link.write("Duration", 60.0)
    status = lost.motor.set(lost.motor.position + 1.0)
    wait_until(lambda: lost.motor.moving, what="it moves")
    lost.kill()
    began = time.monotonic()
    with pytest.raises(DeviceUnreachable, match=r"^M\.lost: "):
        status.wait(15)
    assert time.monotonic() - began < 8


def test_calls_in_an_outage_cost_nothing(lost: Lost) -> None:
    """Also of a server that hangs, where each call would cost its time-out."""
    lost.motor.link.state()
    lost.signal(signal.SIGSTOP)
    try:
        with pytest.raises(DeviceError):
            lost.motor.link.state()
        began = time.monotonic()
        for _ in range(10):
            with pytest.raises(DeviceError, match=r"^M\.lost: "):
                _ = lost.motor.position
        taken_s = time.monotonic() - began
    finally:
        lost.signal(signal.SIGCONT)
    assert taken_s < 1.0
    assert lost.motor.link.describe().state == "silent"
    assert "M.lost" in repr(lost.motor.link)
    wait_until(lambda: not lost.motor.link.is_down, what="it answers again")


def test_a_run_that_waited_too_long_fails(lost: Lost) -> None:
    lost.engine.waiting._longest_s, before = 0.5, lost.engine.waiting._longest_s
    try:
        with lost.running(scan([lost.level], lost.motor, 0.0, 2.0, 5)) as done:
            lost.wait_points(2)
            lost.kill()
            with pytest.raises(DeviceUnreachable, match=r"(M\.lost|D\.level): did not come back"):
                done.result(timeout=20)
    finally:
        lost.engine.waiting._longest_s = before


def test_in_a_session_run_status_says_what_the_run_waits_for(beamline: Facility) -> None:
    """The supervisor would start the servers again at once: it is held meanwhile."""
    with BeamlineWatch(beamline, "scan/", "run/") as watch:
        command = watch.begin("RE(scan([D.i0], M.sample_x, -1, 1, 5))")
        watch.wait_notice("scan/point", n=1)
        os.kill(beamline.state["pid"], signal.SIGSTOP)
        try:
            os.kill(beamline.find_process("VirtualBeamline/demo")["pid"], signal.SIGKILL)
            suspended = watch.wait_notice("run/suspended")
            watch.wait_notice("run/state", state="running", waits_for=suspended["devices"])
            wait_until(lambda: watch.client.request("run/status")["waits_for"], what="run/status tells it")
            status = watch.client.request("run/status")
            assert (status["state"], status["waits_for"]) == ("running", suspended["devices"])
            assert watch.client.request("state")["run"]["waits_for"] == suspended["devices"]
        finally:
            os.kill(beamline.state["pid"], signal.SIGCONT)
        assert watch.wait_notice("run/resumed", timeout_s=30)["devices"] == suspended["devices"]
        wait_until(lambda: watch.client.request("run/status")["waits_for"] == [], what="run/status tells that, too")
        assert watch.reply_to(command, timeout_s=60).ok


@pytest.mark.soak
def test_fifty_kills(lost: Lost) -> None:
    """In scans and in moves at random moments: every status ends naming the device, good reads ≤ 2 s after."""
    dice, slowest_s = random.Random(), 0.0
    for number in range(50):
        if number % 2:
            kill_in_a_scan(lost, gone_s=dice.choice([0.0, 0.5, 3.0]))
            continue
        until_good(lambda: lost.motor.link.write("Duration", 60.0))
        status = lost.motor.set(1.0 + number / 50)
        threading.Event().wait(dice.uniform(0, 0.3))
        lost.kill()
        with pytest.raises(DeviceUnreachable, match=r"^M\.lost: "):
            status.wait(15)
        up = lost.start()
        good_s = until_good(lambda: lost.motor.link.state()) - up
        slowest_s = max(slowest_s, good_s)
        assert good_s < GOOD_S
        assert not lost.motor.moving
        lost.motor.link.write("Duration", 0.05)
    print(f"soak: 50 kills, slowest good read {slowest_s:.2f} s after the server was up")


def test_in_a_session_the_scan_goes_on_and_the_console_is_untouched(beamline: Facility) -> None:
    """All the servers of the beamline die at once; the supervisor starts them again."""
    with BeamlineWatch(beamline, "scan/", "run/") as watch:
        console, shown = watch.console_pid, watch.screen_bytes()
        command = watch.begin("RE(scan([D.i0], M.sample_x, -2, 2, 9))")
        watch.wait_notice("scan/point", n=3)
        os.kill(beamline.find_process("VirtualBeamline/demo")["pid"], signal.SIGKILL)
        suspended = watch.wait_notice("run/suspended")
        assert suspended["devices"][0] in ("M.sample_x", "D.i0")
        assert watch.wait_notice("run/state", state="suspending")["waits_for"] == suspended["devices"]
        reply = watch.reply_to(command, timeout_s=60)
        assert reply.ok, reply
        stop = watch.wait_notice("scan/stop")
        assert (stop["exit_status"], stop["num_points"]) == ("success", 9)
        positions = read_points(watch.newest_file(), "M_sample_x")
        assert positions == pytest.approx([-2 + 0.5 * n for n in range(9)], abs=2e-3)
        screen = watch.read_screen(shown)
        assert "Suspended: " in screen
        assert "Resumed after " in screen
        assert watch.console_pid == console
        assert watch.client.command("6 * 7", timeout_s=10) == 42
