"""One facility per test module: an embedded database and the real servers."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import tango

from tests.support.tango_facility import TangoFacility, running_facility, wait_until

BEAMLINE = {
    "vbl/source/ring": ("StorageRing", {}),
    "vbl/mono/energy": ("Monochromator", {}),
    "vbl/shutter/1": ("Shutter", {}),
    "vbl/axis/sample_x": ("Axis", {"Unit": "mm", "UpperLimit": 25.0, "LowerLimit": -25.0}),
    "vbl/counter/i0": ("IonChamber", {"Position": "incoming"}),
    "vbl/counter/i1": ("IonChamber", {"Position": "transmitted"}),
}
BEAMLINE_SERVER = ("VirtualBeamline/test", "tango_servers.virtual_beamline")

CAMERA = {"vbl/camera/1": ("Camera", {"Width": 160, "Height": 128, "RingMiB": 64})}
CAMERA_SERVER = ("Camera/test", "tango_servers.camera")


@pytest.fixture(scope="module")
def facility() -> Iterator[TangoFacility]:
    """A database without servers."""
    with tempfile.TemporaryDirectory(prefix="mb-tango-") as folder, running_facility(Path(folder)) as facility:
        yield facility


@pytest.fixture(scope="module")
def beamline(facility: TangoFacility) -> TangoFacility:
    """The virtual beamline runs."""
    facility.register(BEAMLINE_SERVER[0], BEAMLINE)
    facility.start(*BEAMLINE_SERVER)
    return facility


@pytest.fixture(scope="module")
def camera_server(facility: TangoFacility) -> TangoFacility:
    """A server with a small camera runs."""
    facility.register(CAMERA_SERVER[0], CAMERA)
    facility.start(*CAMERA_SERVER)
    return facility


def wait_for_state(device: tango.DeviceProxy, *states: tango.DevState, timeout_s: float = 10.0) -> None:
    """Until the device shows one of the states."""
    wait_until(lambda: device.State() in states, what=f"{device.dev_name()} is one of {states}", timeout_s=timeout_s)


def refusal(failure: pytest.ExceptionInfo[tango.DevFailed]) -> tuple[str, str]:
    """Reason and text of a Tango error."""
    return failure.value.args[0].reason, failure.value.args[0].desc
