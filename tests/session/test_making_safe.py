"""The process that stands by to stop motors: there when it can be of use, gone with its host, never in the way."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import psutil
import pytest

from tests.session.conftest import TINY
from tests.support.session_host import PROFILE, HostUnderTest, wait_until

MOVABLE = PROFILE + "devices: {M: {x: {tango: no/such/device, type: motor}}}\n"


@pytest.fixture
def host() -> Iterator[HostUnderTest]:
    """A session whose profile has a motor that nobody serves."""
    host = HostUnderTest(console=TINY, profile=MOVABLE)
    try:
        host.wait_prompt()
        yield host
    finally:
        host.close()


def find_standby(host: HostUnderTest) -> list[psutil.Process]:
    children = psutil.Process(host.process.pid).children()
    return [child for child in children if "mamba.facility.stop_motion" in child.cmdline()]


def test_nothing_stands_by_where_nothing_could_be_stopped(tiny: HostUnderTest) -> None:
    assert find_standby(tiny) == []
    notices = tiny.subscribe("session/")
    os.kill(tiny.console_pid, signal.SIGKILL)
    safe = notices.wait_for("session/made-safe", timeout_s=2)
    assert safe is not None
    assert (safe["stopped"], safe["closed"], safe["aborted"], safe["failed"]) == ([], [], [], {})


def test_a_device_that_cannot_be_reached_is_named(host: HostUnderTest) -> None:
    notices = host.subscribe("session/")
    os.kill(host.console_pid, signal.SIGKILL)
    safe = notices.wait_for("session/made-safe", timeout_s=7)
    assert safe is not None
    assert list(safe["failed"]) == ["M.x"]
    assert "made safe: M.x: " in host.log.read_text()
    assert host.client.ask("session/restart", timeout_s=10).ok
    wait_until(lambda: host.client.ask("cmd", cmd="1 + 1", timeout_s=10).value == 2)


def test_a_standby_that_died_is_replaced_when_it_is_needed(host: HostUnderTest) -> None:
    (standby,) = find_standby(host)
    standby.kill()
    wait_until(lambda: "while it stood by" in host.log.read_text(), what="its end is told")
    notices = host.subscribe("session/")
    os.kill(host.console_pid, signal.SIGKILL)
    safe = notices.wait_for("session/made-safe", timeout_s=7)
    assert safe is not None
    assert "M.x" in safe["failed"]


def test_a_standby_that_hangs_delays_a_restart_by_its_deadline_and_nothing_else(host: HostUnderTest) -> None:
    (standby,) = find_standby(host)
    standby.suspend()
    killed = time.monotonic()
    os.kill(host.console_pid, signal.SIGKILL)
    wait_until(lambda: host.client.request("session/status")["prompt"] == "dead", timeout_s=1)
    restarting = host.client.ask("session/restart", timeout_s=10)
    assert restarting.ok
    assert 4.5 < time.monotonic() - killed < 7
    assert "M.x: no answer within 5 s" in host.log.read_text()


def test_the_host_takes_its_standby_along(host: HostUnderTest) -> None:
    (standby,) = find_standby(host)
    host.process.kill()
    host.process.wait()
    wait_until(lambda: not standby.is_running() or standby.status() == psutil.STATUS_ZOMBIE, what="it is gone")


def test_what_the_console_says_of_its_devices_may_be_nonsense(host: HostUnderTest) -> None:
    reach = {"M.y": 5, "M.z": {"tango": None}, "M.x": {"tango": "", "kind": "motor"}}
    host.client.command(f"link.send('state', prompt='idle', reach={reach!r}); link.send('state', reach=7)")
    notices = host.subscribe("session/")
    os.kill(host.console_pid, signal.SIGKILL)
    safe = notices.wait_for("session/made-safe", timeout_s=7)
    assert safe is not None
    assert list(safe["failed"]) == ["M.x"]
    assert "no Tango device" in safe["failed"]["M.x"]
