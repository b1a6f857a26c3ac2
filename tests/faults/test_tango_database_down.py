"""The Tango database is away: what is connected goes on, a scan completes, only new connections notice."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator

import psutil
import pytest

from mamba.devices import TangoSignal
from mamba.errors import DeviceUnreachable
from mamba.scans import scan
from tests.devices.support import rig
from tests.faults.lost_devices import Lost, lost_devices
from tests.support.tango_facility import wait_until


@pytest.fixture(scope="module")
def lost() -> Iterator[Lost]:
    with lost_devices() as lost:
        lost.motor.move(0.1)
        lost.level.get()
        yield lost


def scan_without_database(lost: Lost, *, down_s: float) -> None:
    process = psutil.Process(lost.facility._database.pid)
    process.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    try:
        wait_until(lambda: process.status() == psutil.STATUS_STOPPED, what="the database is stopped")
        points = 0
        while not points or time.monotonic() - began < down_s:
            with lost.running(scan([lost.level], lost.motor, 0.0, 1.0, 5)) as done:
                done.result(timeout=30)
            points += len(lost.points())
            assert lost.stop_document()["exit_status"] == "success"
            threading.Event().wait(0.2)
        new = TangoSignal("Level", name="D.new", tango=f"tango://{lost.facility.host}/{rig.NAME}2")
        with pytest.raises(DeviceUnreachable, match=r"^D\.new: "):
            new.get()
        new.destroy()
    finally:
        process.send_signal(signal.SIGCONT)
    assert points >= 5


def test_a_scan_completes_without_the_database(lost: Lost) -> None:
    scan_without_database(lost, down_s=2.0)


@pytest.mark.soak
def test_a_minute_without_the_database(lost: Lost) -> None:
    scan_without_database(lost, down_s=60.0)
