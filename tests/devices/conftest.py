"""A virtual beamline of real Tango servers, its devices, and a run engine."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bluesky import RunEngine

from mamba.config import BUILT_IN_PROFILE, DeviceConfig, Profile, load_profile
from mamba.devices import Group, build_devices, iter_devices
from mamba.devices.link import close_links
from tests.devices.support import foreign, rig
from tests.devices.support.cameras import camera, camera_facility  # noqa: F401  # fixtures
from tests.support.engines import ending
from tests.support.tango_facility import TangoFacility, running_facility

BEAMLINE = "VirtualBeamline/demo"
RIG = "Rig/test"
FOREIGN = "Foreign/test"


@pytest.fixture(scope="session")
def facility() -> Iterator[TangoFacility]:
    with (
        tempfile.TemporaryDirectory(prefix="mb-dev-", dir="/tmp") as folder,
        running_facility(Path(folder)) as facility,
    ):
        server = load_profile(BUILT_IN_PROFILE).servers[BEAMLINE]
        facility.register(BEAMLINE, {n: (d.class_name, dict(d.properties)) for n, d in server.devices.items()})
        facility.start(BEAMLINE, server.module)
        facility.register(RIG, {rig.NAME: ("Rig", {})})
        facility.start(RIG, "tests.devices.support.rig")
        yield facility
        close_links()


@pytest.fixture(scope="session")
def foreign_servers(facility: TangoFacility) -> TangoFacility:
    """The facility with servers that were not written here: C++ TangoTest, and those of other makers' shape."""
    facility.start_tango_test()
    facility.register(FOREIGN, {name: (class_name, {}) for name, class_name in foreign.HOST_NAMES.items()})
    facility.start(FOREIGN, "tests.devices.support.foreign")
    return facility


def _point_at(facility: TangoFacility, profile: Profile) -> Profile:
    """The profile with the full names of its devices, whatever TANGO_HOST says."""

    def full(devices: dict[str, DeviceConfig]) -> dict[str, DeviceConfig]:
        return {
            name: device.model_copy(update={"tango": f"tango://{facility.host}/{device.tango}"})
            for name, device in devices.items()
        }

    devices = profile.devices.model_copy(update={"M": full(profile.devices.M), "D": full(profile.devices.D)})
    return profile.model_copy(update={"servers": {}, "devices": devices})


@pytest.fixture
def profile(facility: TangoFacility, tmp_path: Path) -> Profile:
    profile = _point_at(facility, load_profile(BUILT_IN_PROFILE))
    return profile.model_copy(update={"data": profile.data.model_copy(update={"directory": tmp_path})})


@pytest.fixture
def beamline(profile: Profile) -> Iterator[tuple[Group, Group]]:
    M, D = build_devices(profile)
    yield M, D
    for _, device in iter_devices(M, "M") + iter_devices(D, "D"):
        device.destroy()


@pytest.fixture
def M(beamline: tuple[Group, Group]) -> Group:
    return beamline[0]


@pytest.fixture
def D(beamline: tuple[Group, Group]) -> Group:
    return beamline[1]


@pytest.fixture(scope="session")
def engine() -> Iterator[RunEngine]:
    """An unmodified engine; its loop is ended, so that nothing of it is left."""
    with ending(RunEngine({}, call_returns_result=False)) as engine:
        yield engine


@pytest.fixture
def run(engine: RunEngine) -> Callable[[Any], list[tuple[str, dict[str, Any]]]]:
    """Run a plan; returns its documents."""

    def execute(plan: Any) -> list[tuple[str, dict[str, Any]]]:
        documents: list[tuple[str, dict[str, Any]]] = []
        engine(plan, lambda name, document: documents.append((name, document)))
        return documents

    return execute
