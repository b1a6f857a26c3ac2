"""Shapes: devices of other makers' servers in plans, chosen by their Tango class."""

from __future__ import annotations

import numpy as np
import pytest
from bluesky.plans import count, scan

from mamba.config import ClassConfig, DeviceConfig
from mamba.devices import (
    Detector1D,
    Detector2D,
    GatedCounter,
    IORegister,
    LimaDetector,
    Motor,
    PseudoMotor,
    TangoSignal,
    ZeroD,
    build_devices,
)
from mamba.errors import BadValue, DeviceFault, LimitExceeded, ProfileError

TIMER = ClassConfig(
    type="gated_counter",
    options={
        "attributes": {"gate": "GateSource", "rate": None, "elapsed_time": None},
        "commands": {"start": "Go", "prepare": "Prepare"},
    },
)


def make(profile, host, classes=None, **configs):
    devices = {
        key: DeviceConfig.model_validate({**config, "tango": f"tango://{host}/{config['tango']}"})
        for key, config in configs.items()
    }
    devices = profile.devices.model_copy(update={"M": devices, "D": {}})
    return build_devices(profile.model_copy(update={"devices": devices, "classes": classes or {}}))[0]


@pytest.fixture
def M(profile, foreign_servers):
    M = make(
        profile,
        foreign_servers.host,
        {"GatedTimer": TIMER},
        motor={"tango": "pool/motor/1"},
        gap={"tango": "pool/pseudo/1"},
        ct={"tango": "pool/ct/1"},
        mca={"tango": "pool/oned/1"},
        ccd={"tango": "pool/twod/1"},
        gate={"tango": "pool/ior/1", "options": {"labels": {"open": 1, "closed": 0}}},
        timer={"tango": "pool/timer/1"},
        lima={"tango": "lima/ccd/1"},
        current={"tango": "test/zoo/1", "attribute": "Current"},
    )
    yield M
    for device in M.values():
        device.destroy()


def test_the_class_in_the_tango_database_chooses(M):
    kinds = [Motor, PseudoMotor, ZeroD, Detector1D, Detector2D, IORegister, GatedCounter, LimaDetector, TangoSignal]
    assert [type(device) for device in M.values()] == kinds


def test_a_scan_of_foreign_motors_with_foreign_detectors(M, run):
    documents = run(scan([M.ct, M.mca, M.ccd], M.gap, 0, 2, 3))
    events = [document["data"] for name, document in documents if name == "event"]
    assert [event["M_gap"] for event in events] == [0.0, 1.0, 2.0]
    assert [event["M_ct"] for event in events] == [50.0] * 3
    assert list(events[0]["M_mca"]) == list(range(16))
    assert np.shape(events[0]["M_ccd"]) == (3, 4)
    keys = next(document["data_keys"] for name, document in documents if name == "descriptor")
    assert (keys["M_mca"]["shape"], keys["M_mca"]["dtype_numpy"]) == ([16], "<i4")
    assert (keys["M_ccd"]["shape"], keys["M_ccd"]["dtype_numpy"]) == ([3, 4], "<u2")
    assert M.gap.physical_of(2.0) == [1.0, -1.0]
    assert M.gap.pseudo_of([2.0, -2.0]) == 4.0


def test_a_gated_counter_waits_for_its_gate(M, run):
    M.timer.gate.set("HARDWARE").wait(10)
    M.timer.gated = True
    documents = run(count([M.timer]))
    data = next(document["data"] for name, document in documents if name == "event")
    assert set(data) == {"M_timer", "M_timer_count_time"}
    configuration = next(document for name, document in documents if name == "descriptor")["configuration"]
    assert configuration["M_timer"]["data"] == {"M_timer_gate": "HARDWARE"}
    M.timer.gate.set("SOFTWARE").wait(10)


def test_lima_takes_its_frames_and_the_point_has_their_number(M, run):
    M.lima.frames.set(5).wait(10)
    M.lima.count_time.set(0.02).wait(10)
    documents = run(count([M.lima], num=2))
    events = [document["data"] for name, document in documents if name == "event"]
    assert [event["M_lima"] for event in events] == [4, 4]
    configuration = next(document for name, document in documents if name == "descriptor")["configuration"]
    data = configuration["M_lima"]["data"]
    assert (data["M_lima_frames"], data["M_lima_saving_directory"]) == (5, "/data")


def test_lima_that_ends_early_is_an_error_with_its_own_words(M):
    M.lima.frames.set(5).wait(10)
    M.lima.link.write("lose", True)
    with pytest.raises(DeviceFault, match=r"M\.lima: did not take 5 frames.*\n  seen: acq_status Ready, last image 0"):
        M.lima.trigger().wait(20)
    M.lima.link.write("lose", False)


def test_a_register_is_set_by_label_or_number(M):
    M.gate.set("open").wait(10)
    assert M.gate.position == "open"
    M.gate.set(0).wait(10)
    assert M.gate.position == "closed"
    with pytest.raises(BadValue, match=r"M\.gate: cannot be 'ajar'\n  do:   choose of open, closed"):
        M.gate.set("ajar")


def test_a_target_in_the_alarm_is_refused_and_one_in_the_warning_warned_of(M, caplog):
    before = M.motor.position
    with pytest.raises(LimitExceeded, match=r"M\.motor: cannot go to 95\n  seen: its alarm begins at 90"):
        M.motor.set(95.0)
    assert M.motor.position == before
    M.motor.set(85.0).wait(10)
    assert "M.motor: 85 is where its warning begins" in caplog.text


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"attributes": {"readbak": "Pos"}}, "has no component 'readbak'"),
        ({"commands": {"halt": "Abort"}}, "has no action 'halt'"),
    ],
)
def test_names_that_a_shape_does_not_have_are_an_error_of_the_profile(profile, foreign_servers, options, text):
    with pytest.raises(ProfileError, match=text):
        make(profile, foreign_servers.host, x={"tango": "pool/motor/1", "options": options})


def test_commands_of_other_names(profile, foreign_servers):
    M = make(profile, foreign_servers.host, x={"tango": "pool/motor/1", "options": {"commands": {"stop": "Abort"}}})
    status = M.x.set(10.0)
    M.x.stop(success=True)
    status.wait(10)
    assert M.x.command_of == {"stop": "Abort"}
    M.x.destroy()
