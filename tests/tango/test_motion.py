"""Axis and monochromator through Tango: moves, events, limits, stops, restarts."""

from __future__ import annotations

import itertools
import math
import signal
import statistics
import time

import pytest
import tango
from tango import DevState

from tests.support.tango_events import collect_events
from tests.support.tango_facility import TangoFacility, wait_until
from tests.tango.conftest import BEAMLINE_SERVER, refusal, wait_for_state


@pytest.fixture
def axis(beamline: TangoFacility) -> tango.DeviceProxy:
    device = beamline.device("vbl/axis/sample_x")
    device.Init()
    device.write_attribute("Velocity", 50.0)
    device.write_attribute("Acceleration", 0.05)
    device.write_attribute("Backlash", 0.0)
    device.Position = 0.0
    wait_for_state(device, DevState.ON)
    return device


@pytest.fixture
def mono(beamline: TangoFacility) -> tango.DeviceProxy:
    device = beamline.device("vbl/mono/energy")
    device.Energy = 8.9
    wait_for_state(device, DevState.ON)
    return device


def test_a_move_is_told_by_events(axis: tango.DeviceProxy) -> None:
    axis.Velocity = 4.0
    with collect_events(axis, "State") as states, collect_events(axis, "Position") as positions:
        axis.Position = 2.0
        states.wait_for(DevState.MOVING, DevState.ON)
        positions.wait_for(2.0)
    assert axis.Position == 2.0
    assert axis.Encoder == pytest.approx(2.0)
    times = [time_s for time_s, _ in positions.seen]
    assert positions.values == sorted(positions.values)
    assert 3 <= len(times) <= 5  # half a second at 5 Hz, and the end
    assert min(b - a for a, b in itertools.pairwise(times[:-1])) > 0.15
    assert "stands at 2" in axis.Status()


@pytest.mark.parametrize(("target", "reason"), [(25.1, "API_WAttrOutsideLimit"), (math.nan, "API_WAttrOutsideLimit")])
def test_a_refused_set_point_moves_nothing(axis: tango.DeviceProxy, target: float, reason: str) -> None:
    with collect_events(axis, "State") as states, pytest.raises(tango.DevFailed) as failure:
        axis.Position = target
    assert refusal(failure)[0] == reason
    assert axis.State() == DevState.ON
    assert axis.Position == 0.0
    assert states.values == []


def test_an_administrators_limits_are_kept_until_the_property_changes(
    axis: tango.DeviceProxy, beamline: TangoFacility
) -> None:
    def limits() -> tuple[str, str, str]:
        config = axis.get_attribute_config("Position")
        return config.min_value, config.max_value, config.format

    def set_up(**properties: str) -> None:
        beamline.database.put_device_property(axis.dev_name(), {name: [value] for name, value in properties.items()})
        axis.Init()

    config = axis.get_attribute_config("Position")
    config.min_value, config.max_value, config.format = "-12", "10", "%7.3f"
    axis.set_attribute_config(config)
    axis.Init()
    assert limits() == ("-12", "10", "%7.3f")
    assert beamline.stop(BEAMLINE_SERVER[0]) == 0
    beamline.start(*BEAMLINE_SERVER)
    assert limits() == ("-12", "10", "%7.3f")
    with pytest.raises(tango.DevFailed) as failure:
        axis.Position = 11.0
    assert refusal(failure)[0] == "API_WAttrOutsideLimit"
    set_up(UpperLimit="-15")
    assert axis.State() == DevState.FAULT  # below the administrator's minimum
    assert "Position cannot have max_value -15" in axis.Status()
    set_up(UpperLimit="20")
    assert limits() == ("-12", "20", "%7.3f")
    beamline.database.delete_device_property(axis.dev_name(), "UpperLimit")
    axis.Init()
    assert limits() == ("-12", "Not specified", "%7.3f")
    config.min_value, config.max_value, config.format = "", "", ""  # back to the default: the property's
    axis.set_attribute_config(config)
    set_up(UpperLimit="25")
    assert limits() == ("-25", "25", "%.4f")


def test_limits_are_the_attribute_s_limits(axis: tango.DeviceProxy) -> None:
    config = axis.get_attribute_config("Position")
    assert (config.min_value, config.max_value, config.unit) == ("-25", "25", "mm")
    assert axis.get_attribute_config("Velocity").unit == "mm/s"


def test_a_second_move_is_refused_with_what_to_do(axis: tango.DeviceProxy) -> None:
    axis.Velocity = 5.0
    axis.Position = 20.0
    with pytest.raises(tango.DevFailed) as failure:
        axis.Position = 1.0
    reason, text = refusal(failure)
    assert reason == "API_CommandNotAllowed"
    assert "vbl/axis/sample_x: cannot start a move to 1" in text
    assert "seen: it is moving to 20" in text
    assert "call Stop first" in text
    axis.Abort()
    wait_for_state(axis, DevState.ON)


@pytest.mark.parametrize("command", ["Stop", "Abort"])
def test_stop_in_a_move(axis: tango.DeviceProxy, command: str) -> None:
    with collect_events(axis, "State") as states, collect_events(axis, "Position") as positions:
        axis.Position = 20.0
        wait_until(lambda: axis.Position > 5.0, what="on its way")
        axis.command_inout(command)
        states.wait_for(DevState.ON)
        place = axis.Position
        positions.wait_for(place)
    assert 5.0 < place < 15.0
    assert axis.read_attribute("Position").w_value == place  # no old set point waits to be applied again
    assert "was stopped" in axis.Status()
    assert axis.Position == place
    axis.command_inout(command)  # nothing to stop
    assert axis.State() == DevState.ON


def test_backlash_is_taken_up(axis: tango.DeviceProxy, beamline: TangoFacility) -> None:
    axis.Backlash = 0.5
    axis.Velocity = 2.0
    with collect_events(axis, "Position") as positions:
        axis.Position = -1.0
        positions.wait_for(-1.0)
    assert min(positions.values) < -1.05


def test_init_in_a_move_stops_and_keeps_the_place(axis: tango.DeviceProxy) -> None:
    axis.Position = 20.0
    wait_until(lambda: axis.Position > 2.0, what="on its way")
    axis.Init()
    assert axis.State() == DevState.ON
    place = axis.Position
    assert 2.0 < place < 20.0
    assert axis.Velocity == 50.0
    axis.Position = 0.0
    wait_for_state(axis, DevState.ON)
    assert axis.Position == 0.0


def test_limits_come_from_properties_at_init(axis: tango.DeviceProxy, beamline: TangoFacility) -> None:
    name = "vbl/axis/sample_x"
    axis.Position = 3.0
    wait_for_state(axis, DevState.ON)
    try:
        beamline.database.put_device_property(name, {"UpperLimit": ["2.0"]})
        axis.Init()
        assert axis.State() == DevState.ALARM
        assert "outside its limits" in axis.Status()
        axis.Position = 1.0  # back between the limits is the way out
        wait_for_state(axis, DevState.ON)
        beamline.database.put_device_property(name, {"UpperLimit": ["-30"]})
        axis.Init()
        assert axis.State() == DevState.FAULT
        assert "not below UpperLimit" in axis.Status()
        with pytest.raises(tango.DevFailed, match="correct the property"):
            axis.Position = 0.5
    finally:
        beamline.database.put_device_property(name, {"UpperLimit": ["25"]})
        axis.Init()
    assert axis.State() == DevState.ON


def test_polling_can_be_set(axis: tango.DeviceProxy) -> None:
    axis.poll_attribute("Position", 100)
    try:
        assert axis.get_attribute_poll_period("Position") == 100
        axis.Position = 1.5
        wait_for_state(axis, DevState.ON)
        wait_until(lambda: axis.Position == 1.5, what="the polled value follows")
    finally:
        axis.stop_poll_attribute("Position")


def test_energy_angle_and_wavelength_belong_together(mono: tango.DeviceProxy) -> None:
    mono.Energy = 8.979
    wait_for_state(mono, DevState.ON)
    assert mono.Energy == pytest.approx(8.979, rel=1e-12)
    assert mono.BraggAngle == pytest.approx(12.7199, abs=1e-4)
    assert mono.Wavelength == pytest.approx(12.39842 / 8.979)
    with pytest.raises(tango.DevFailed):
        mono.Energy = 99.0
    assert mono.Energy == pytest.approx(8.979, rel=1e-12)


@pytest.mark.soak
@pytest.mark.alone
def test_a_step_of_a_scan_takes_less_than_8_ms(mono: tango.DeviceProxy) -> None:
    """Median over 40 steps of 0.25 eV, from the write to the event that State is ON; other programs may run."""
    taken_s = []
    with collect_events(mono, "State") as states:
        for step in range(1, 41):
            states.clear()
            began = time.monotonic()
            mono.Energy = 8.9 + 0.00025 * step
            states.wait_for(DevState.MOVING, DevState.ON)
            taken_s.append(states.seen[-1][0] - began)
    assert statistics.median(taken_s) < 0.008


def test_set_points_survive_a_restart_without_a_move(
    axis: tango.DeviceProxy, mono: tango.DeviceProxy, beamline: TangoFacility
) -> None:
    axis.Position = 4.25
    mono.Energy = 9.25
    axis.Velocity = 12.5
    counter = beamline.device("vbl/counter/i0")
    counter.IntegrationTime = 0.123
    for device in (axis, mono):
        wait_for_state(device, DevState.ON)
    assert beamline.stop(BEAMLINE_SERVER[0]) == 0
    moves = sum('"act": "move"' in line for line in _truth_lines(beamline))
    beamline.start(*BEAMLINE_SERVER)
    assert (axis.State(), mono.State()) == (DevState.ON, DevState.ON)
    place = axis.read_attribute("Position")
    assert (place.value, place.w_value, axis.Velocity) == (4.25, 4.25, 12.5)
    assert mono.Energy == pytest.approx(9.25)
    assert counter.IntegrationTime == 0.123
    assert sum('"act": "move"' in line for line in _truth_lines(beamline)) == moves


@pytest.mark.alone
def test_a_server_that_ends_stops_its_axes(axis: tango.DeviceProxy, beamline: TangoFacility) -> None:
    axis.Velocity = 5.0
    axis.Position = 20.0
    wait_until(lambda: axis.Position > 0.5, what="on its way")
    began = time.monotonic()
    beamline.servers[BEAMLINE_SERVER[0]].send_signal(signal.SIGTERM)
    assert beamline.stop(BEAMLINE_SERVER[0]) == 0
    assert time.monotonic() - began < 2.0
    beamline.start(*BEAMLINE_SERVER)
    assert 0.5 < axis.Position < 10.0
    assert axis.State() == DevState.ON


def _truth_lines(facility: TangoFacility) -> list[str]:
    return (facility.truth / "VirtualBeamline-test.jsonl").read_text().splitlines()


@pytest.mark.parametrize("name", ["vbl/axis/sample_x", "vbl/mono/energy"])
def test_settings_that_nobody_wrote_yet_show_their_value_as_set_point(beamline: TangoFacility, name: str) -> None:
    device = beamline.device(name)
    for attribute in ("Velocity", "Acceleration", "Backlash"):
        read = device.read_attribute(attribute)
        assert read.w_value == read.value, attribute
