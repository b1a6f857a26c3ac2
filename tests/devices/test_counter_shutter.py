"""Counters and shutters against the virtual beamline."""

from __future__ import annotations

import threading
import time

import pytest
from bluesky import protocols
from bluesky.plan_stubs import mv
from bluesky.plans import count
from bluesky.utils import RunEngineInterrupted

from mamba.errors import BadValue


@pytest.mark.alone
def test_a_counter_counts_for_its_preset(D, M):
    M.shutter.open()
    D.i0.count_time.set(0.1).wait(5)
    began = time.monotonic()
    D.i0.trigger().wait(5)
    assert 0.1 <= time.monotonic() - began < 0.3
    reading = D.i0.read()
    assert set(reading) == {"D_i0", "D_i0_count_time"}
    assert reading["D_i0"]["value"] > 0
    assert reading["D_i0_count_time"]["value"] == 0.1
    assert isinstance(D.i0, protocols.Triggerable)
    assert D.i0.preset is D.i0.count_time


@pytest.mark.alone
def test_counters_count_at_the_same_time(D):
    for counter in (D.i0, D.i1):
        counter.count_time.set(0.15).wait(5)
    began = time.monotonic()
    statuses = [counter.trigger() for counter in (D.i0, D.i1)]
    for status in statuses:
        status.wait(5)
    assert time.monotonic() - began < 0.28


def test_the_count_time_may_change_from_point_to_point(D, run):
    def plan():
        from bluesky import plan_stubs as bps

        yield from bps.open_run()
        for seconds in (0.01, 0.01, 0.02):
            yield from bps.mv(D.i0.count_time, seconds)
            yield from bps.trigger_and_read([D.i0])
        yield from bps.close_run()

    documents = run(plan())
    times = [doc["data"]["D_i0_count_time"] for name, doc in documents if name == "event"]
    assert times == [0.01, 0.01, 0.02]


def test_counting_can_be_ended_early(D):
    D.i0.count_time.set(20.0).wait(5)
    status = D.i0.trigger()
    deadline = time.monotonic() + 5
    while D.i0.state != "RUNNING":
        assert time.monotonic() < deadline
    D.i0.stop()
    status.wait(5)
    D.i0.count_time.set(0.1).wait(5)


def test_a_pause_ends_the_count_and_the_run_counts_anew_when_it_goes_on(D, engine):
    D.i0.count_time.set(3.0).wait(5)
    documents = []
    engine.subscribe(lambda name, document: documents.append((name, document)))
    pausing = threading.Thread(target=lambda: (wait_for_state(D.i0, "RUNNING"), engine.request_pause(defer=False)))
    pausing.start()
    with pytest.raises(RunEngineInterrupted):
        engine(count([D.i0]))
    pausing.join(5)
    assert D.i0.state == "ON"
    D.i0.count_time.set(0.2).wait(5)
    engine.resume()
    events = [document for name, document in documents if name == "event"]
    assert [event["data"]["D_i0_count_time"] for event in events] == [0.2]


@pytest.mark.error_logged  # bluesky's own engine logs every abort as one
def test_a_run_that_is_aborted_leaves_no_counter_counting(D, engine):
    D.i0.count_time.set(20.0).wait(5)
    ending = threading.Thread(target=lambda: (wait_for_state(D.i0, "RUNNING"), engine.abort("enough")))
    ending.start()
    with pytest.raises(RunEngineInterrupted):
        engine(count([D.i0]))
    ending.join(5)
    assert D.i0.state == "ON"
    D.i0.count_time.set(0.1).wait(5)


def wait_for_state(device, state):
    deadline = time.monotonic() + 20
    while device.state != state:
        assert time.monotonic() < deadline


def test_a_negative_time_is_refused(D):
    with pytest.raises(ValueError, match=r"D\.i0\.count_time: cannot go to -1 s"):
        D.i0.count_time.put(-1.0)


def test_the_shutter_opens_and_closes(M, D, run):
    run(mv(M.shutter, "closed"))
    assert M.shutter.position == "closed"
    assert M.shutter.read()["M_shutter"]["value"] == "closed"
    D.i0.count_time.set(0.05).wait(5)
    D.i0.trigger().wait(5)
    dark = D.i0.counts.get()
    run(mv(M.shutter, "open"))
    D.i0.trigger().wait(5)
    assert D.i0.counts.get() > 100 * max(dark, 1)
    assert M.shutter.locate() == {"setpoint": "open", "readback": "open"}


@pytest.mark.parametrize("value", ["ajar", "Open", True, 1, None])
def test_the_shutter_knows_two_words(M, value):
    with pytest.raises(BadValue, match='set it to "open" or "closed"'):
        M.shutter.set(value)


def test_the_shutter_is_recorded_as_a_word(M, run):
    documents = run(count([M.shutter]))
    assert documents[1][1]["data_keys"]["M_shutter"]["dtype"] == "string"
    assert documents[2][1]["data"]["M_shutter"] == "open"
