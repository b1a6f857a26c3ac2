"""Motors against real servers: moves, limits, stop, faults, time-outs, names in documents."""

from __future__ import annotations

import math
import threading
import time

import pytest
import tango
from bluesky import protocols
from bluesky.plans import rel_scan, scan

from mamba.devices import Motor
from mamba.errors import BadValue, DeviceFault, DeviceTimeout, LimitExceeded
from tests.devices.support import rig
from tests.support.tango_facility import wait_until


@pytest.fixture
def slow(facility):
    """A motor without events that misbehaves on demand."""
    motor = Motor(f"tango://{facility.host}/{rig.NAME}", name="M.slow")
    motor.link.write("Mode", "good")
    motor.link.write("Duration", 0.05)
    motor.move(0.0)
    motor.move(0.0)  # from 0 to 0: where the mode "short" reckons from
    yield motor
    motor.destroy()


def test_it_follows_bluesky_protocols(M):
    for protocol in ("Movable", "Readable", "Stoppable", "Locatable", "Configurable", "Checkable", "HasHints"):
        assert isinstance(M.energy, getattr(protocols, protocol)), protocol


def test_a_move_ends_where_it_was_sent(M):
    M.sample_x.move(0.0)
    M.sample_x.move(0.25)
    assert M.sample_x.position == pytest.approx(0.25, abs=1e-4)
    assert M.sample_x.locate() == {"setpoint": 0.25, "readback": pytest.approx(0.25, abs=1e-4)}
    assert not M.sample_x.moving


@pytest.mark.soak
@pytest.mark.alone
def test_a_small_step_costs_a_few_milliseconds(M):
    M.energy.move(8.98)
    began = time.monotonic()
    for step in range(20):
        M.energy.move(8.98 + 0.0002 * (step + 1))
    # 1.7 ms of each is the mechanism; the bound leaves room for a loaded machine
    assert (time.monotonic() - began) / 20 < 0.025


def test_events_of_the_state_are_proven_by_moves(M):
    def move_once() -> bool:
        M.sample_x.move(-0.5 if M.sample_x.position > 0 else 0.5)
        return M.sample_x.link.is_proven("State")

    wait_until(move_once, what="an event of a move came: the subscription is made beside the first ones")


def test_progress_is_reported(M):
    M.sample_x.move(0.0)
    status = M.sample_x.set(2.0)
    seen = []
    status.watch(lambda **progress: seen.append(progress))
    status.wait(10)
    assert seen
    assert seen[-1]["name"] == "M.sample_x"
    assert seen[-1]["unit"] == "mm"
    assert seen[-1]["target"] == 2.0
    assert all(0 <= progress["fraction"] <= 1 for progress in seen)


def test_a_watcher_that_raises_does_not_end_the_move(M, caplog):
    status = M.sample_x.set(M.sample_x.position - 0.5)
    status.watch(lambda **_: 1 / 0)
    status.wait(10)
    assert "a watcher of its progress raised" in caplog.text
    caplog.clear()


@pytest.mark.parametrize(("target", "text"), [(99.0, "cannot go to 99 keV"), (3.9, "cannot go to 3.9 keV")])
def test_a_target_beyond_the_limits_moves_nothing(M, target, text):
    before = M.energy.position
    with pytest.raises(LimitExceeded, match=f"M.energy: {text}\n  seen: its limits are 4 to 20 keV"):
        M.energy.set(target)
    assert M.energy.position == before
    assert M.energy.limits == (4.0, 20.0)
    assert (M.energy.low_limit, M.energy.high_limit, M.energy.egu) == (4.0, 20.0, "keV")


@pytest.mark.parametrize("target", [math.nan, math.inf, "8.9", None, True, [8.9]])
def test_a_target_that_is_no_number_moves_nothing(M, target):
    with pytest.raises(BadValue, match=r"M\.energy: cannot be"):
        M.energy.set(target)


def test_stop_ends_the_move_and_fails_its_status(M):
    M.sample_x.move(0.0)
    status = M.sample_x.set(20.0)
    wait_until(lambda: M.sample_x.moving, what="it moves")
    M.sample_x.stop()
    with pytest.raises(DeviceFault, match=r"M\.sample_x: did not reach 20 mm\n  seen: stopped at"):
        status.wait(5)
    assert not M.sample_x.moving


def test_a_stop_right_after_the_order_leaves_nothing_moving(M, facility):
    """Whichever reaches the server first, the write or the stop."""
    for _ in range(20):
        status = M.sample_x.set(M.sample_x.position + 5.0 * (1 if M.sample_x.position < 0 else -1))
        M.sample_x.stop()
        with pytest.raises(DeviceFault, match="stopped at"):
            status.wait(5)
        assert not M.sample_x.moving


def test_stop_with_success_ends_the_move_well(M):
    M.sample_x.move(0.0)
    status = M.sample_x.set(20.0)
    wait_until(lambda: M.sample_x.moving, what="it moves")
    M.sample_x.stop(success=True)
    status.wait(5)
    assert M.sample_x.position < 19


def test_somebody_else_stopping_it_is_noticed(M, facility):
    M.sample_x.move(0.0)
    status = M.sample_x.set(20.0)
    wait_until(lambda: M.sample_x.moving, what="it moves")
    facility.device("vbl/axis/sample_x").Stop()
    with pytest.raises(DeviceFault, match="did not reach 20 mm"):
        status.wait(5)


@pytest.mark.alone
def test_without_events_it_is_polled(slow):
    slow.link.write("Duration", 0.2)
    began = time.monotonic()
    slow.move(1.0)
    assert 0.2 <= time.monotonic() - began < 0.35
    assert not slow.link.is_proven("State")


def test_a_fault_is_told_with_the_words_of_the_device(slow):
    slow.link.write("Mode", "fault")
    with pytest.raises(DeviceFault, match=r"M\.slow: failed to reach 1 mm\n  seen: state FAULT: the drive says no"):
        slow.move(1.0)


def test_stopping_short_is_a_fault(slow):
    slow.link.write("Mode", "short")
    with pytest.raises(DeviceFault, match=r"M\.slow: did not reach 4 mm\n  seen: is at 2 mm, state ON"):
        slow.move(4.0)


def test_a_tolerance_forgives_it(facility, slow):
    slow.link.write("Mode", "short")
    slow.tolerance = 3.0
    slow.move(4.0)


def test_a_position_that_is_older_than_its_state_is_read_again(slow):
    slow.link.write("Mode", "late")
    slow.move(4.0)
    assert slow.position == 4.0


def test_a_refused_write_fails_the_status(slow):
    slow.link.write("Mode", "refuse")
    with pytest.raises(DeviceFault, match="the interlock is open"):
        slow.set(1.0).wait(5)


def test_a_time_out_says_what_it_does_now(slow):
    slow.link.write("Duration", 2.0)
    status = slow.set(5.0, timeout=0.2)
    with pytest.raises(
        DeviceTimeout, match=r"M\.slow: did not reach 5 mm in 0\.2 s\n  seen: State MOVING, Position 0\."
    ):
        status.wait(5)
    assert not slow.moving


def test_a_move_done_at_the_last_moment_is_not_judged_late(slow):
    slow.link.write("Duration", 0.1)
    slow.set(5.0, timeout=0.1).wait(5)


def test_an_optional_attribute_that_is_missing_is_left_out(slow, M):
    assert slow.read_configuration() == slow.describe_configuration() == {}
    assert set(M.energy.describe_configuration()) == {
        "M_energy_velocity",
        "M_energy_acceleration",
        "M_energy_backlash",
    }


def test_a_scan_records_keys_and_names_expressions(M, D, run):
    M.energy.move(8.9)
    documents = run(scan([D.i0], M.energy, 8.9, 8.91, 3))
    start, descriptor = documents[0][1], documents[1][1]
    assert start["motors"] == ("M.energy",)
    assert start["hints"]["dimensions"] == [(["M_energy"], "primary")]
    assert descriptor["data_keys"]["M_energy"]["units"] == "keV"
    assert descriptor["data_keys"]["M_energy"]["object_name"] == "M_energy"
    assert descriptor["hints"]["D_i0"] == {"fields": ["D_i0"]}
    points = [doc["data"] for name, doc in documents if name == "event"]
    assert [point["M_energy"] for point in points] == pytest.approx([8.9, 8.905, 8.91], abs=1e-6)
    assert [point["M_energy_setpoint"] for point in points] == pytest.approx([8.9, 8.905, 8.91])
    assert all(point["D_i0"] > 0 for point in points)


def test_a_relative_scan_returns_to_where_it_began(M, D, run):
    M.energy.move(8.9)
    run(rel_scan([D.i0], M.energy, -0.001, 0.001, 2))
    assert M.energy.position == pytest.approx(8.9, abs=1e-6)


def test_a_state_that_the_server_polls_is_not_taken_from_its_cache(facility, slow):
    """The cache still shows the state of before the move, which would be its end."""
    server = facility.device(rig.NAME)
    slow.link.write("Duration", 0.3)
    server.poll_attribute("State", 3000)
    server.set_source(tango.DevSource.CACHE)

    def is_cached():
        try:
            return server.read_attribute("State").value.name == "ON"
        except tango.DevFailed:  # no data yet
            return False

    try:
        wait_until(is_cached, what="the cache is filled")
        slow.move(1.0)
        assert slow.position == pytest.approx(1.0)
    finally:
        server.stop_poll_attribute("State")


@pytest.fixture
def calls(slow, monkeypatch):
    """What is asked of the slow motor's server, by the words for it."""
    slow.link.write("Duration", 0.0)
    kept: list[str] = []
    tell = slow.link._tell
    monkeypatch.setattr(
        slow.link,
        "_tell",
        lambda action, request, **how: (kept.append(action.split()[0]), tell(action, request, **how))[1],
    )
    return kept


def test_a_move_that_follows_another_makes_three_calls(slow, calls):
    slow.move(0.5)
    calls.clear()
    slow.move(0.6)
    assert calls == ["write", "read", "read"]


def test_the_point_after_a_move_needs_no_call(slow, calls, monkeypatch):
    monkeypatch.setattr("mamba.devices.signal._SAME_POINT_S", 60.0)
    slow.move(0.5)
    calls.clear()
    reading = slow.read()
    assert calls == []
    assert {key: entry["value"] for key, entry in reading.items()} == {"M_slow": 0.5, "M_slow_setpoint": 0.5}
    assert reading["M_slow"]["timestamp"] == pytest.approx(time.time(), abs=30)


@pytest.mark.parametrize("change", ["write", "command", "time"])
def test_a_reading_of_before_a_change_is_no_reading_of_the_point(slow, calls, monkeypatch, change):
    monkeypatch.setattr("mamba.devices.signal._SAME_POINT_S", 0.0 if change == "time" else 60.0)
    slow.move(0.5)
    if change == "write":
        slow.link.write("Position", 0.7)
    elif change == "command":
        slow.link.call("Stop")
    calls.clear()
    assert slow.read()["M_slow"]["value"] == pytest.approx(0.7 if change == "write" else 0.5)
    assert calls == ["read"]


def test_a_motor_that_somebody_moved_since_is_read_for_the_next_move(slow, calls, monkeypatch):
    monkeypatch.setattr("mamba.devices.motor._REST_LIFE_S", 0.0)
    slow.move(0.5)
    calls.clear()
    slow.move(0.6)
    assert calls == ["read", "write", "read", "read"]


def test_bluesky_triggers_neither_motor_nor_signal(M, D):
    assert not isinstance(M.energy, protocols.Triggerable)
    assert not isinstance(D.current, protocols.Triggerable)
    assert isinstance(D.i0, protocols.Triggerable)


def test_moves_leave_no_thread(M):
    M.sample_x.move(0.1)
    M.sample_x.move(0.2)

    def are_gone():
        return not [thread for thread in threading.enumerate() if thread.name.startswith(("mamba M.", "mamba idle"))]

    wait_until(are_gone, what="the threads of the moves")
