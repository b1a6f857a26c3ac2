"""Counters, shutter and ring of the virtual beamline through Tango, and the record of what really happened."""

from __future__ import annotations

import json
import math
import time

import pytest
import tango
from tango import DevState

from tango_servers.virtual_beamline.foil import load_foil
from tests.support.tango_events import collect_events
from tests.support.tango_facility import TangoFacility, wait_until
from tests.tango.conftest import refusal, wait_for_state


@pytest.fixture
def i0(beamline: TangoFacility) -> tango.DeviceProxy:
    device = beamline.device("vbl/counter/i0")
    device.Abort()
    device.IntegrationTime = 0.02
    return device


@pytest.fixture
def i1(beamline: TangoFacility) -> tango.DeviceProxy:
    device = beamline.device("vbl/counter/i1")
    device.Abort()
    device.IntegrationTime = 0.02
    return device


@pytest.fixture
def shutter(beamline: TangoFacility) -> tango.DeviceProxy:
    device = beamline.device("vbl/shutter/1")
    wait_for_state(device, DevState.OPEN, DevState.CLOSE)
    device.Open()
    wait_for_state(device, DevState.OPEN)
    return device


def count(*counters: tango.DeviceProxy) -> list[float]:
    for counter in counters:
        counter.Start()
    for counter in counters:
        wait_for_state(counter, DevState.ON)
    return [counter.Value for counter in counters]


@pytest.mark.alone
def test_a_count_is_told_by_events(i0: tango.DeviceProxy, shutter: tango.DeviceProxy) -> None:
    with collect_events(i0, "State") as states, collect_events(i0, "Value") as values:
        i0.Start()
        states.wait_for(DevState.RUNNING, DevState.ON)
        ended_s = states.seen[-1][0] - states.seen[0][0]
        values.wait_for(i0.Value)
    assert 0.015 < ended_s < 0.2
    assert i0.ElapsedTime == pytest.approx(0.02)
    assert i0.Rate == pytest.approx(i0.Value / 0.02)
    assert i0.Value > 1e6


def test_the_chambers_see_the_foil(
    i0: tango.DeviceProxy, i1: tango.DeviceProxy, shutter: tango.DeviceProxy, beamline: TangoFacility
) -> None:
    mono = beamline.device("vbl/mono/energy")
    for energy_kev in (8.85, 8.9805, 9.4):
        mono.Energy = energy_kev
        wait_for_state(mono, DevState.ON)
        incoming, transmitted = count(i0, i1)
        expected = load_foil().absorption_at(1000 * energy_kev)
        assert math.log(incoming / transmitted) == pytest.approx(expected, abs=0.01)


def test_no_light_behind_a_closed_shutter(i0: tango.DeviceProxy, shutter: tango.DeviceProxy) -> None:
    assert shutter.IsOpen
    with collect_events(shutter, "State") as states, collect_events(shutter, "IsOpen") as opens:
        shutter.Close()
        states.wait_for(DevState.MOVING, DevState.CLOSE)
        opens.wait_for(False)
        assert count(i0)[0] < 60
        shutter.Open()
        states.wait_for(DevState.MOVING, DevState.OPEN)
        opens.wait_for(True)
    assert count(i0)[0] > 1e6


def test_a_shutter_that_needs_no_time_tells_that_it_is_open(shutter: tango.DeviceProxy) -> None:
    shutter.Close()
    wait_for_state(shutter, DevState.CLOSE)
    shutter.put_property({"TravelTime": 0.0})
    try:
        shutter.Init()
        with collect_events(shutter, "State") as states, collect_events(shutter, "IsOpen") as opens:
            shutter.Open()
            states.wait_for(DevState.MOVING, DevState.OPEN)
            opens.wait_for(False, True)
    finally:
        shutter.delete_property("TravelTime")
        shutter.Init()


def test_the_shutter_closes_while_it_opens_but_not_the_other_way(shutter: tango.DeviceProxy) -> None:
    shutter.Close()
    with pytest.raises(tango.DevFailed) as failure:
        shutter.Open()
    assert refusal(failure)[0] == "API_CommandNotAllowed"
    assert "it is closing" in refusal(failure)[1]
    wait_for_state(shutter, DevState.CLOSE)
    shutter.Open()
    shutter.Close()
    wait_for_state(shutter, DevState.CLOSE)
    assert not shutter.IsOpen


def test_what_cannot_be_done_while_counting_is_refused(i0: tango.DeviceProxy) -> None:
    i0.IntegrationTime = 5.0
    i0.Start()
    with pytest.raises(tango.DevFailed) as failure:
        i0.Start()
    assert refusal(failure)[0] == "API_CommandNotAllowed"
    assert "vbl/counter/i0: cannot start a count" in refusal(failure)[1]
    with pytest.raises(tango.DevFailed, match="cannot change the integration time"):
        i0.IntegrationTime = 1.0
    i0.Abort()
    assert i0.State() == DevState.ON


def test_stop_keeps_what_was_counted_and_abort_does_not(i0: tango.DeviceProxy, shutter: tango.DeviceProxy) -> None:
    i0.IntegrationTime = 5.0
    i0.Start()
    wait_until(lambda: i0.ElapsedTime > 0.03, what="counting")
    i0.Stop()
    assert i0.State() == DevState.ON
    kept, elapsed_s = i0.Value, i0.ElapsedTime
    assert 0.03 < elapsed_s < 5.0
    i0.Start()
    i0.Abort()
    assert (i0.State(), i0.Value, i0.ElapsedTime) == (DevState.ON, kept, elapsed_s)


def test_a_long_count_tells_its_value_at_most_five_times_a_second(
    i0: tango.DeviceProxy, shutter: tango.DeviceProxy
) -> None:
    i0.IntegrationTime = 0.7
    with collect_events(i0, "Value") as values, collect_events(i0, "State") as states:
        i0.Start()
        states.wait_for(DevState.ON)
        values.wait_for(i0.Value)
    assert 3 <= len(values.values) <= 5
    assert values.values == sorted(values.values)


def test_init_ends_a_count(i0: tango.DeviceProxy) -> None:
    i0.IntegrationTime = 5.0
    i0.Start()
    i0.Init()
    assert i0.State() == DevState.ON
    assert i0.IntegrationTime == 5.0
    i0.IntegrationTime = 0.02
    count(i0)


def test_a_wrong_property_shows_fault_and_says_what_to_correct(i0: tango.DeviceProxy, beamline: TangoFacility) -> None:
    try:
        beamline.database.put_device_property("vbl/counter/i0", {"Position": ["incomming"]})
        i0.Init()
        assert i0.State() == DevState.FAULT
        assert "did you mean 'incoming'?" in i0.Status()
        with pytest.raises(tango.DevFailed, match="correct the property and call Init"):
            i0.Start()
    finally:
        beamline.database.put_device_property("vbl/counter/i0", {"Position": ["incoming"]})
        i0.Init()
    assert i0.State() == DevState.ON


def test_the_ring_tells_its_current(beamline: TangoFacility) -> None:
    ring = beamline.device("vbl/source/ring")
    assert 190 < ring.Current <= 200
    assert ring.Lifetime == 10.0
    assert ring.Mode == "top-up"
    assert ring.State() == DevState.ON
    with collect_events(ring, "Current") as currents:
        wait_until(lambda: currents.values, what="the current decays", timeout_s=15)


def test_the_truth_is_recorded(i0: tango.DeviceProxy, shutter: tango.DeviceProxy, beamline: TangoFacility) -> None:
    mono = beamline.device("vbl/mono/energy")
    origin = mono.Energy
    began = time.monotonic()
    mono.Energy = 9.1
    wait_for_state(mono, DevState.ON)
    value = count(i0)[0]
    acts = [json.loads(line) for line in (beamline.truth / "VirtualBeamline-test.jsonl").read_text().splitlines()]
    move = [act for act in acts if act["act"] == "move"][-1]
    assert (move["device"], move["origin"], move["stopped"]) == ("vbl/mono/energy", origin, False)
    assert move["to"] == pytest.approx(9.1)
    assert began <= move["start"] < move["end"] <= time.monotonic()
    counted = [act for act in acts if act["act"] == "count"][-1]
    assert (counted["device"], counted["counts"], counted["exposure"]) == ("vbl/counter/i0", value, pytest.approx(0.02))
    assert counted["energy"] == pytest.approx(9.1)
    assert counted["start"] >= move["end"]
