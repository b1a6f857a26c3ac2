"""From a profile to M and D, and what requests are told about a device."""

from __future__ import annotations

import json
import time

import pytest
from ophyd.sim import SynAxis

from mamba.config import BUILT_IN_PROFILE, DeviceConfig, load_profile
from mamba.devices import (
    Camera,
    Counter,
    Motor,
    Shutter,
    TangoSignal,
    build_devices,
    describe_device,
    iter_devices,
    limits_of,
    read_device,
)
from mamba.errors import NameClash, ProfileError


def with_device(group, key, **config):
    profile = load_profile(BUILT_IN_PROFILE)
    devices = profile.devices.model_copy(update={group: {key: DeviceConfig.model_validate(config)}})
    return profile.model_copy(update={"devices": devices})


@pytest.mark.alone
def test_the_built_in_profile_makes_its_devices_without_any_server(tmp_path):
    began = time.monotonic()
    M, D = build_devices(load_profile(BUILT_IN_PROFILE))
    assert time.monotonic() - began < 1
    kinds = {expression: type(device) for expression, device in iter_devices(M, "M") + iter_devices(D, "D")}
    assert kinds == {
        "M.energy": Motor,
        "M.sample_x": Motor,
        "M.sample_y": Motor,
        "M.shutter": Shutter,
        "D.i0": Counter,
        "D.i1": Counter,
        "D.current": TangoSignal,
        "D.camera": Camera,
    }
    assert all(device.name == device.link.name == expression for expression, device in iter_devices(M, "M"))
    assert D.camera.graph == BUILT_IN_PROFILE.parent / "regions.yaml"


def test_options_reach_the_device():
    profile = with_device("M", "stage.x", tango="a/b/c", type="motor", options={"tolerance": 0.5})
    M, _ = build_devices(profile)
    assert M.stage.x.tolerance == 0.5
    assert M.stage.x.name == "M.stage.x"


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({"type": "motor", "options": {"speed": 1}}, "device M.x: an option does not fit a motor"),
        ({"type": "signal"}, "device M.x: a signal needs 'attribute'"),
        ({"type": "camera"}, "device M.x: a camera needs the option 'graph'"),
    ],
)
def test_a_device_that_cannot_be_made_is_an_error_of_the_profile(config, text):
    with pytest.raises(ProfileError, match=text):
        build_devices(with_device("M", "x", tango="a/b/c", **config))


def test_clashing_keys_are_refused():
    profile = load_profile(BUILT_IN_PROFILE)
    motor = {"tango": "a/b/c", "type": "motor"}
    devices = {key: DeviceConfig.model_validate(motor) for key in ("a.b", "a_b")}
    profile = profile.model_copy(update={"devices": profile.devices.model_copy(update={"M": devices})})
    with pytest.raises(NameClash):
        build_devices(profile)


def test_a_description_says_what_a_window_needs(M, D):
    described = describe_device(M.energy)
    assert described["class"] == "Motor"
    assert described["unit"] == "keV"
    assert described["limits"] == {"low": 4.0, "high": 20.0, "unit": "keV"}
    assert described["state"] == "ON"
    assert described["movable"] is True
    assert described["components"] == ["readback", "setpoint", "velocity", "acceleration", "backlash"]
    assert "Photon energy" in described["description"]
    assert describe_device(D.i0)["movable"] is False
    assert describe_device(D.current)["movable"] is False
    for device in (M.energy, M.shutter, D.i0, D.current, D.camera):
        json.dumps(describe_device(device))


def test_values_are_read_by_expression(M, D):
    assert read_device(M.energy) == {
        "M.energy": pytest.approx(M.energy.position),
        "M.energy.setpoint": pytest.approx(M.energy.position),
    }
    assert set(read_device(D.i0)) == {"D.i0", "D.i0.count_time"}
    assert set(read_device(D.current)) == {"D.current"}
    assert set(read_device(M.energy.velocity)) == {"M.energy.velocity"}
    json.dumps(read_device(M.energy))


def test_limits_are_none_where_there_are_none(D):
    assert limits_of(D.i0) == {"low": None, "high": None, "unit": ""}


def test_stock_devices_are_described_and_read_too():
    motor = SynAxis(name="plain")
    described = describe_device(motor)
    assert (described["class"], described["movable"]) == ("SynAxis", True)
    assert read_device(motor)["plain"] == 0
    assert limits_of(motor)["low"] is None
