"""Signals against real servers: read, describe, set with readback, limits, events."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from bluesky.plan_stubs import mv
from bluesky.plans import count

from mamba.devices import TangoSignal
from mamba.errors import BadValue, DeviceError, DeviceFault, DeviceTimeout, LimitExceeded
from tests.devices.support import rig
from tests.support.tango_facility import wait_until


@pytest.fixture
def rig_signal(facility):
    made = []

    def make(attribute, **options):
        signal = TangoSignal(
            attribute, name=f"D.{attribute.lower()}", tango=f"tango://{facility.host}/{rig.NAME}", **options
        )
        made.append(signal)
        return signal

    yield make
    for signal in made:
        signal.destroy()


def test_it_reads_and_describes_itself(D):
    reading = D.current.read()["D_current"]
    assert 150 < reading["value"] < 250
    described = D.current.describe()["D_current"]
    assert described["source"].endswith("/vbl/source/ring/Current")
    assert described["source"].startswith("tango://127.0.0.1:")
    assert (described["units"], described["dtype"], described["shape"], described["precision"]) == (
        "mA",
        "number",
        [],
        3,
    )
    assert D.current.hints == {"fields": ["D_current"]}
    assert D.current.name == "D.current"


def test_limits_are_described(M):
    described = M.energy.describe()["M_energy"]
    assert (described["lower_ctrl_limit"], described["upper_ctrl_limit"]) == (4.0, 20.0)


def test_it_can_be_named_by_the_whole_attribute(facility):
    signal = TangoSignal(f"tango://{facility.host}/vbl/source/ring/Current", name="D.ring")
    assert signal.get() > 0
    signal.destroy()


def test_set_finishes_when_it_is_read_back(rig_signal):
    level = rig_signal("Level")
    level.set(0.5).wait(5)
    assert level.get() == 0.5


def test_what_does_not_arrive_is_a_time_out(rig_signal):
    with pytest.raises(DeviceTimeout, match=r"D\.level: did not become 3 V in 0\.1 s\n  seen: reads 1 V"):
        rig_signal("Level").set(3.0, timeout=0.1).wait(5)


def test_an_unchanged_value_is_not_written_again(rig_signal):
    level, writes = rig_signal("Level", skip_unchanged=True), rig_signal("Writes")
    level.set(0.25).wait(5)
    before = writes.get()
    level.set(0.25).wait(5)
    assert writes.get() == before
    level.set(0.5).wait(5)
    assert writes.get() == before + 1


def test_an_enum_goes_by_its_labels(rig_signal):
    gain = rig_signal("Gain")
    gain.set("high").wait(5)
    assert gain.get() == "high"
    assert gain.describe()["D_gain"]["choices"] == ["low", "high"]
    assert gain.describe()["D_gain"]["dtype"] == "string"
    with pytest.raises(BadValue, match=r"D\.gain: cannot be 'medium'\n  do:   choose of low, high"):
        gain.put("medium")
    with pytest.raises(BadValue, match=r"D\.gain: cannot be 1\n  do:   choose of low, high"):
        gain.put(1)


def test_an_array_has_a_shape(rig_signal):
    trace = rig_signal("Trace")
    trace.set([1.0, 2.0, 3.0]).wait(5)
    np.testing.assert_array_equal(trace.get(), [1.0, 2.0, 3.0])
    assert trace.describe()["D_trace"]["shape"] == [3]
    assert trace.describe()["D_trace"]["dtype"] == "array"


def test_read_only_out_of_limits_and_nonsense_are_refused(rig_signal, D):
    with pytest.raises(BadValue, match=r"D\.current: is read only"):
        D.current.put(1.0)
    with pytest.raises(LimitExceeded, match=r"cannot go to 7 mm"):
        rig_signal("Position").put(7.0)
    with pytest.raises(BadValue, match=r"D\.level: cannot be 'loud'"):
        rig_signal("Level").put("loud")
    with pytest.raises(BadValue):
        rig_signal("Trace").put("no list")


def test_the_server_has_the_last_word_on_limits(rig_signal):
    position = rig_signal("Position")
    with pytest.raises(LimitExceeded, match=r"D\.position: cannot write 7\.0 to Position"):
        position.link.write("Position", 7.0)


def test_a_broken_attribute_is_a_fault_of_the_device(rig_signal):
    with pytest.raises(DeviceFault, match=r"D\.broken: cannot read Broken\n  seen: .*the sensor is not plugged in"):
        rig_signal("Broken").get()


def test_a_missing_attribute_is_named(rig_signal):
    with pytest.raises(DeviceError, match=r"D\.nothing: cannot read Nothing"):
        rig_signal("Nothing").get()


def test_changes_reach_subscribers(M):
    seen, arrived = [], threading.Event()

    def take(value, **_):
        seen.append(value)
        if abs(value - 1.0) < 1e-3:
            arrived.set()

    M.sample_y.move(0.0)
    M.sample_y.readback.subscribe(take)
    M.sample_y.move(1.0)
    assert arrived.wait(5), seen
    M.sample_y.readback.clear_sub(take)
    assert not M.sample_y.link.has_listeners()
    wait_until(
        lambda: "mamba event channels" not in [t.name for t in threading.enumerate()],
        what="the keeper of channels ends",
    )


def test_a_plan_reads_and_sets_it(rig_signal, run):
    level = rig_signal("Level")
    run(mv(level, 0.75))
    documents = run(count([level], num=2))
    assert [doc["data"]["D_level"] for name, doc in documents if name == "event"] == [0.75, 0.75]
