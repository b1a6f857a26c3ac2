"""A call times out while the server still works on it: no move is left running after an abort."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from mamba.errors import DeviceError
from tests.faults.lost_devices import Lost, lost_devices, until_good
from tests.support.tango_facility import wait_until


@pytest.fixture(scope="module")
def lost() -> Iterator[Lost]:
    with lost_devices() as lost:
        yield lost


def prepare(lost: Lost, *, busy_s: float, duration_s: float) -> None:
    until_good(lambda: lost.slow.link.write("Busy", busy_s))
    lost.slow.link.write("Duration", duration_s)


def test_a_late_set_point_that_was_taken_is_a_good_move(lost: Lost) -> None:
    prepare(lost, busy_s=1.0, duration_s=0.2)
    lost.slow.move(4.0)
    assert lost.slow.position == 4.0


def stop_while_busy(lost: Lost, target: float, after_s: float) -> None:
    """The stop comes while the write is under way, and times out itself."""
    prepare(lost, busy_s=1.5, duration_s=30.0)
    status = lost.slow.set(target)
    threading.Event().wait(after_s)
    with pytest.raises(DeviceError, match=r"^M\.slow: "):
        lost.slow.stop()
    with pytest.raises(DeviceError, match=r"^M\.slow: "):
        status.wait(20)
    device = lost.facility.device("test/slow/1")
    device.set_timeout_millis(10_000)
    wait_until(lambda: device.read_attribute("Position").w_value == target, what="the late write")
    wait_until(lambda: str(device.state()) == "ON", what="it stands", timeout_s=10)


def test_a_stop_that_nobody_heard_is_given_again(lost: Lost) -> None:
    stop_while_busy(lost, 7.0, 0.1)


@pytest.mark.soak
def test_twenty_stops_while_busy(lost: Lost) -> None:
    """0 of 20 moves left running."""
    for number in range(20):
        stop_while_busy(lost, 10.0 + number, 0.1 + 0.05 * number)
