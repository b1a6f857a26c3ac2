"""An administrator finds every attribute, property and command described."""

from __future__ import annotations

from typing import Any

import pytest
import tango

from tango_servers.axis.server import Axis
from tango_servers.camera.server import Camera
from tango_servers.ion_chamber.server import IonChamber
from tango_servers.monochromator.server import Monochromator
from tango_servers.shutter.server import Shutter
from tango_servers.storage_ring.server import StorageRing
from tango_servers.virtual_beamline import server as virtual
from tests.support.tango_facility import TangoFacility
from tests.tango.conftest import BEAMLINE, CAMERA

CLASSES = [Axis, Camera, IonChamber, Monochromator, Shutter, StorageRing]
CLASSES += [virtual.IonChamber, virtual.Monochromator, virtual.Shutter, virtual.StorageRing]

WITHOUT_UNIT = {"Mode", "IsOpen", "OverflowPolicy", "Transport", "PixelFormat", "DataEndpoint", "DataFormat"}
WITHOUT_UNIT |= {"ArmId", "FramesRequested", "Fault", "Faults"}
SETTINGS = {"Velocity", "Acceleration", "ExposureTime", "AcquisitionPeriod", "IntegrationTime", "FramesRequested"}


@pytest.fixture(params=[*BEAMLINE, *CAMERA])
def device(request: pytest.FixtureRequest, beamline: TangoFacility, camera_server: TangoFacility) -> tango.DeviceProxy:
    return beamline.device(request.param)


def test_attributes_are_described(device: tango.DeviceProxy) -> None:
    for config in device.attribute_list_query():
        if config.name in ("State", "Status"):
            continue
        assert len(config.description) > 8, config.name
        assert config.description != "No description", config.name
        assert config.label, config.name
        assert config.unit.strip() or config.name in WITHOUT_UNIT, f"{config.name}: no unit"
        if config.data_type == tango.DevDouble:
            assert config.format != "%6.2f", f"{config.name}: nobody chose a display format"
        if config.name in SETTINGS:
            assert config.min_value != "Not specified", f"{config.name}: no minimum"


def test_commands_are_described(device: tango.DeviceProxy) -> None:
    info = tango.Database(*device.get_db_host().split(":")[:1], int(device.get_db_port())).get_device_info(
        device.dev_name()
    )
    docs = {cls.__name__: cls for cls in CLASSES}[info.class_name]
    for command in device.command_list_query():
        if command.cmd_name not in ("Init", "State", "Status"):
            assert (getattr(docs, command.cmd_name).__doc__ or "").strip(), command.cmd_name


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: f"{cls.__module__.split('.')[1]}.{cls.__name__}")
def test_properties_are_described_with_defaults(cls: Any) -> None:
    properties = cls.TangoClassClass.device_property_list
    assert cls.DEVICE_CLASS_DESCRIPTION.strip()
    for name, (_, doc, default, *_rest) in properties.items():
        assert len(doc) > 8, f"{cls.__name__}.{name}: no description"
        assert default != [] or "not set" in doc, f"{cls.__name__}.{name}: no default and no word about it"
