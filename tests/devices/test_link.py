"""The link when the other side fails: dead, stopped, killed and restarted servers, a missing database."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest
import tango

from mamba.devices import Counter, Motor, TangoSignal, describe_device
from mamba.devices.link import TangoLink
from mamba.devices.link_errors import translate
from mamba.devices.threads import run_in_thread
from mamba.errors import (
    BadValue,
    DeviceError,
    DeviceFault,
    DeviceTimeout,
    DeviceUnreachable,
    LimitExceeded,
    UnknownDevice,
)
from tests.devices.conftest import RIG
from tests.devices.support import rig
from tests.support.tango_facility import wait_until

MORTAL = "Rig/mortal"
MORTAL_NAME = "test/rig/mortal"
MODULE = "tests.devices.support.rig"


@pytest.fixture
def mortal(facility):
    """A server of its own that may be killed, and a motor on it."""
    facility.register(MORTAL, {MORTAL_NAME: ("Rig", {})})
    facility.start(MORTAL, MODULE)
    motor = Motor(f"tango://{facility.host}/{MORTAL_NAME}", name="M.mortal")
    yield motor
    motor.destroy()
    if MORTAL in facility.servers:
        facility.stop(MORTAL)


def kill(facility):
    process = facility.servers.pop(MORTAL)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def check_message(error, start):
    text = str(error)
    assert text.startswith(start)
    assert len(text.splitlines()) <= 5
    assert "\n  do: " in text


def test_no_database_is_told_in_time():
    motor = Motor("tango://127.0.0.1:9/no/such/device", name="M.lost")
    began = time.monotonic()
    with pytest.raises(DeviceUnreachable) as caught:
        _ = motor.position
    assert time.monotonic() - began < 3
    check_message(caught.value, "M.lost: cannot read Position")


def test_a_server_that_does_not_run_is_told_in_time(facility):
    facility.register("Rig/never", {"test/rig/never": ("Rig", {})})
    counter = Counter(f"tango://{facility.host}/test/rig/never", name="D.never")
    began = time.monotonic()
    with pytest.raises(DeviceUnreachable) as caught:
        counter.read()
    assert time.monotonic() - began < 3
    check_message(caught.value, "D.never: cannot read Value, IntegrationTime")
    with pytest.raises(DeviceUnreachable):
        counter.trigger().wait(5)
    described = describe_device(counter)
    assert described["state"] == "UNREACHABLE"
    assert described["error"] == "device-unreachable"


def test_an_unknown_tango_name_is_told(facility):
    with pytest.raises(UnknownDevice, match=r"M\.typo: .*\n  seen: Tango has no device") as caught:
        TangoLink(f"tango://{facility.host}/no/such/device", name="M.typo").state()
    check_message(caught.value, "M.typo: cannot read State")


def test_what_is_no_tango_name_is_a_device_error():
    with pytest.raises(DeviceError, match=r"M\.odd: cannot read State"):
        TangoLink("not a name", name="M.odd").state()


def test_a_server_that_is_stopped_times_out(facility):
    signal_ = TangoSignal("Level", name="D.level", tango=f"tango://{facility.host}/{rig.NAME}")
    signal_.get()
    pid = facility.servers[RIG].pid
    os.kill(pid, signal.SIGSTOP)
    try:
        wait_until(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED, what="the server is stopped")
        began = time.monotonic()
        with pytest.raises(DeviceTimeout) as caught:
            signal_.get()
    finally:
        os.kill(pid, signal.SIGCONT)
    assert time.monotonic() - began < 3
    check_message(caught.value, "D.level: no answer in time to 'read Level'")
    wait_until(lambda: not signal_.link.is_down, what="it is found again")
    assert signal_.get() is not None
    signal_.destroy()


@pytest.mark.alone
def test_a_server_killed_in_a_move_fails_it_and_comes_back(facility, mortal):
    mortal.link.write("Duration", 60.0)
    status = mortal.set(5.0)
    wait_until(lambda: mortal.moving, what="it moves")
    kill(facility)
    began = time.monotonic()
    with pytest.raises(DeviceUnreachable, match=r"M\.mortal: cannot read State, Position"):
        status.wait(10)
    assert time.monotonic() - began < 5
    facility.start(MORTAL, MODULE)
    up = time.monotonic()
    assert mortal.position == 0.0
    mortal.move(1.0)
    assert time.monotonic() - up < 2
    # what was given up before is over with that: somebody else may go where it would have gone
    other = facility.device(MORTAL_NAME)
    other.Duration = 0.5
    other.Position = 5.0
    wait_until(lambda: other.State() != tango.DevState.MOVING, what="the other's move is over")
    assert other.Position == 5.0


def test_a_short_absence_does_not_end_a_move(facility, mortal):
    """The server pauses for less than the grace; the move is judged when it is back."""
    mortal.link.write("Duration", 1.0)
    mortal.link.timeout_s = 0.3
    mortal.link.close()
    mortal.link.state()
    status = mortal.set(5.0)
    wait_until(lambda: mortal.moving, what="it moves")
    pid = facility.servers[MORTAL].pid
    os.kill(pid, signal.SIGSTOP)
    threading.Event().wait(0.6)
    os.kill(pid, signal.SIGCONT)
    status.wait(10)
    assert mortal.position == 5.0


def test_listeners_hear_again_soon_after_a_restart(facility):
    """Tango alone needs about ten seconds."""
    name = "test/axis/mortal"
    facility.register("Axis/mortal", {name: ("Axis", {})})
    facility.start("Axis/mortal", "tango_servers.axis")
    motor = Motor(f"tango://{facility.host}/{name}", name="M.axis")
    heard = []
    motor.readback.subscribe(lambda value, **_: heard.append(value))
    motor.move(0.25)
    wait_until(lambda: heard and abs(heard[-1] - 0.25) < 1e-3, what="the first events")
    process = facility.servers.pop("Axis/mortal")
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    wait_until(lambda: motor.link.is_down, what="the loss is noticed")
    facility.start("Axis/mortal", "tango_servers.axis")
    up = time.monotonic()
    heard.clear()
    motor.move(0.5)
    wait_until(lambda: heard and abs(heard[-1] - 0.5) < 1e-3, what="events come back", timeout_s=5)
    assert time.monotonic() - up < 4
    motor.destroy()
    facility.stop("Axis/mortal")


def test_connected_devices_go_on_without_the_database(facility, M, D):
    M.sample_x.move(0.0)
    D.current.get()
    pid = facility._database.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        wait_until(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED, what="the database is stopped")
        began = time.monotonic()
        M.sample_x.move(0.2)
        assert D.current.get() > 0
        assert time.monotonic() - began < 2
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_process_with_subscriptions_ends_cleanly(facility):
    script = (
        "from mamba.devices import Motor\n"
        f"m = Motor('tango://{facility.host}/vbl/axis/sample_y', name='M.y')\n"
        "m.readback.subscribe(lambda **_: None)\n"
        "for _ in range(200):\n"
        "    m.move(0.1 if m.position < 0.05 else 0.0)\n"
        "    if m.link.is_proven('State'):\n"
        "        break\n"
        "print(m.link.is_proven('State'))\n"
    )
    ended = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, timeout=20)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "True\n", "")


def test_reads_of_several_attributes_are_one_call(M, monkeypatch):
    calls = []
    M.energy.link.state()
    connection = M.energy.link._connection
    run = connection.run
    monkeypatch.setattr(connection, "run", lambda request, **how: calls.append(request) or run(request, **how))
    M.energy.read()
    assert len(calls) == 1


def test_threads_may_use_the_link(D):
    values = []
    threads = [run_in_thread("test", lambda: values.append(D.current.get())) for _ in range(4)]
    for thread in threads:
        thread.join(5)
    assert len(values) == 4


class Problem:
    def __init__(self, reason, desc="what was seen"):
        self.reason, self.desc = reason, desc


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("API_DeviceTimedOut", DeviceTimeout),
        ("API_CantConnectToDevice", DeviceUnreachable),
        ("API_DeviceNotExported", DeviceUnreachable),
        ("API_CantConnectToDatabase", DeviceUnreachable),
        ("DB_DeviceNotDefined", UnknownDevice),
        ("API_WAttrOutsideLimit", LimitExceeded),
        ("API_IncompatibleCmdArgumentType", BadValue),
        ("API_AttrNotFound", DeviceError),
        ("PyDs_PythonError", DeviceFault),
    ],
)
def test_tango_reasons_become_our_errors(reason, kind):
    error = translate([Problem(reason)], name="M.x", device="a/b/c", action="write 1 to Position")
    assert type(error) is kind
    check_message(error, "M.x: ")


def test_a_long_report_is_cut_to_one_line():
    error = translate([Problem("X", "line\n" * 500)], name="M.x", device="a/b/c", action="read A")
    assert len(str(error).splitlines()) == 3
    assert len(str(error)) < 400
