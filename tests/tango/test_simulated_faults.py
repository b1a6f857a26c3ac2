"""Each fault that a simulation knows, and what the console makes of it: one clear error, and nothing hangs."""

from __future__ import annotations

import math
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tango

from mamba.cli.settings import Settings
from mamba.cli.sim import find_address
from mamba.config import BUILT_IN_PROFILE
from mamba.devices import Counter, Motor
from mamba.devices.link import close_links
from mamba.errors import BadValue, DeviceFault, DeviceTimeout, DeviceUnreachable, MambaError
from mamba.facility.simulation import read_faults, set_fault
from tango_servers.faults import MEANINGS
from tests.support.tango_facility import TangoFacility, wait_until
from tests.tango.conftest import BEAMLINE, CAMERA

AXIS, COUNTER = "sim/axis/1", "sim/counter/1"
OFFLINE_AXIS = "sim/axis/2"


@pytest.fixture(scope="module")
def simulated(facility: TangoFacility) -> Iterator[TangoFacility]:
    facility.register("Axis/sim", {AXIS: ("Axis", {"DefaultVelocity": 100, "DefaultAcceleration": 0.01})})
    facility.start("Axis/sim", "tango_servers.axis")
    facility.register("IonChamber/sim", {COUNTER: ("IonChamber", {"DefaultIntegrationTime": 0.02})})
    facility.start("IonChamber/sim", "tango_servers.ion_chamber")
    yield facility
    close_links()


@pytest.fixture
def motor(simulated: TangoFacility) -> Iterator[Motor]:
    motor = Motor(f"tango://{simulated.host}/{AXIS}", name="M.x", timeout_s=1.0)
    motor.set(0.0).wait(10)
    yield motor
    set_fault(simulated.host, AXIS, "none")
    wait_until(lambda: simulated.device(AXIS).State() != tango.DevState.MOVING, what="it stands")
    motor.set(0.0).wait(10)
    motor.destroy()


def fail_to_move(motor: Motor, error: type[MambaError]) -> str:
    began = time.monotonic()
    with pytest.raises(error) as caught:
        motor.set(1.0).wait(20)
    assert time.monotonic() - began < 15
    text = str(caught.value)
    assert text.startswith("M.x"), "the error names the device"
    assert len(text.splitlines()) <= 5
    return text


def test_stuck_motor(motor: Motor, simulated: TangoFacility) -> None:
    set_fault(simulated.host, AXIS, "stuck")
    fail_to_move(motor, DeviceTimeout)
    assert motor.position == 0.0
    assert "simulated fault: stuck" in motor.status_text()


def test_slow_motor(motor: Motor, simulated: TangoFacility) -> None:
    motor.velocity.set(5.0).wait(5)
    set_fault(simulated.host, AXIS, "slow")
    fail_to_move(motor, DeviceTimeout)
    motor.velocity.set(100.0).wait(5)


def test_following_error(motor: Motor, simulated: TangoFacility) -> None:
    set_fault(simulated.host, AXIS, "following-error")
    assert "0.9" in fail_to_move(motor, DeviceFault)
    assert motor.state == "ALARM"
    assert "following error: stands at 0.9, was ordered to 1" in motor.status_text()
    set_fault(simulated.host, AXIS, "none")
    motor.set(1.0).wait(10)
    assert motor.state == "ON"


def test_nan(motor: Motor, simulated: TangoFacility) -> None:
    set_fault(simulated.host, AXIS, "nan")
    reading = simulated.device(AXIS).read_attribute("Position")
    assert reading.quality == tango.AttrQuality.ATTR_INVALID
    fail_to_move(motor, DeviceFault)


@pytest.mark.soak
def test_timeout(motor: Motor, simulated: TangoFacility) -> None:
    set_fault(simulated.host, AXIS, "timeout")
    fail_to_move(motor, DeviceTimeout)


def test_offline_is_a_crash_of_the_server(simulated: TangoFacility) -> None:
    simulated.register("Axis/off", {OFFLINE_AXIS: ("Axis", {})})
    process = simulated.start("Axis/off", "tango_servers.axis")
    motor = Motor(f"tango://{simulated.host}/{OFFLINE_AXIS}", name="M.x", timeout_s=1.0)
    assert motor.position == 0.0
    set_fault(simulated.host, OFFLINE_AXIS, "offline")
    assert process.wait() == -9
    simulated.servers.pop("Axis/off")
    fail_to_move(motor, DeviceUnreachable)
    simulated.start("Axis/off", "tango_servers.axis")
    assert read_faults(simulated.host, OFFLINE_AXIS).now == "none"
    motor.destroy()


@pytest.mark.parametrize("fault", ["stuck", "nan"])
def test_counter(simulated: TangoFacility, fault: str) -> None:
    counter = Counter(f"tango://{simulated.host}/{COUNTER}", name="D.i0")
    counter.trigger().wait(10)
    set_fault(simulated.host, COUNTER, fault)
    if fault == "stuck":
        simulated.device(COUNTER).Start()
        assert simulated.device(COUNTER).State() == tango.DevState.RUNNING
        set_fault(simulated.host, COUNTER, "none")
        assert simulated.device(COUNTER).State() == tango.DevState.ON
    else:
        with pytest.raises(DeviceFault, match=r"^D\.i0.*has no value now"):
            counter.read()
        set_fault(simulated.host, COUNTER, "none")
        assert not math.isnan(next(iter(counter.read().values()))["value"])
    counter.destroy()


@pytest.mark.parametrize("device", [*BEAMLINE, *CAMERA])
def test_every_server_has_the_knob(beamline: TangoFacility, camera_server: TangoFacility, device: str) -> None:
    found = read_faults(beamline.host, device)
    assert found.now == "none"
    assert {"timeout", "offline"} <= set(found.known) <= set(MEANINGS)
    config = beamline.device(device).get_attribute_config("Fault")
    assert config.disp_level == tango.DispLevel.EXPERT


def test_fault_that_a_device_does_not_have_is_refused(beamline: TangoFacility) -> None:
    with pytest.raises(BadValue, match=r"vbl/shutter/1: cannot simulate the fault 'slow'"):
        set_fault(beamline.host, "vbl/shutter/1", "slow")
    assert read_faults(beamline.host, "vbl/shutter/1").now == "none"


def test_device_that_is_no_simulation_is_refused(beamline: TangoFacility) -> None:
    with pytest.raises(BadValue, match="no simulation"):
        set_fault(beamline.host, "dserver/VirtualBeamline/test", "stuck")


def test_devices_are_named_as_in_the_console(tmp_path: Path) -> None:
    settings = Settings(tmp_path, BUILT_IN_PROFILE)
    assert find_address(settings, "M.energy") == "vbl/mono/energy"
    assert find_address(settings, "some/tango/name") == "some/tango/name"


def run_sim(facility: TangoFacility, *arguments: str) -> Any:
    command = [sys.executable, "-m", "mamba.cli", "--runtime", str(facility.folder / "rt"), "sim", "fault", *arguments]
    return subprocess.run([*command, "--host", facility.host], capture_output=True, text=True, timeout=60)


def test_the_command(simulated: TangoFacility, motor: Motor) -> None:
    assert run_sim(simulated, AXIS, "stuck").stdout == f"{AXIS}: simulates stuck\n"
    assert "* stuck" in run_sim(simulated, AXIS).stdout
    assert run_sim(simulated, AXIS, "none").stdout == f"{AXIS}: behaves again\n"
    unknown = run_sim(simulated, "M.enrgy", "stuck")
    assert (unknown.returncode, unknown.stderr.splitlines()[0]) == (1, "M.enrgy: no such device in the profile")
    assert "M.energy" in unknown.stderr
