"""Which class of ours stands for which Tango class: the shapes that beamlines have.

*Shape*: a word of the profile (`type: motor`). *Auto*: the shape follows from the device's Tango class, which the Tango
database knows without the server; a class without a shape is wrapped as its server describes it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import tango

from mamba.config import ClassConfig, Profile
from mamba.devices.camera import Camera
from mamba.devices.counter import Counter
from mamba.devices.detectors import Detector1D, Detector2D, GatedCounter, LimaDetector, ZeroD
from mamba.devices.motor import Motor
from mamba.devices.positioners import IORegister, PseudoMotor
from mamba.devices.shutter import Shutter

log = logging.getLogger(__name__)

SHAPES: Mapping[str, Callable[..., Any]] = {
    "motor": Motor,
    "pseudo_motor": PseudoMotor,
    "counter": Counter,
    "gated_counter": GatedCounter,
    "zero_d": ZeroD,
    "detector_1d": Detector1D,
    "detector_2d": Detector2D,
    "lima": LimaDetector,
    "camera": Camera,
    "shutter": Shutter,
    "io_register": IORegister,
}

WELL_KNOWN: Mapping[str, ClassConfig] = {
    name: ClassConfig.model_validate(config)
    for name, config in {
        "Axis": "motor",
        "Monochromator": {"type": "motor", "attribute": "Energy"},
        "IonChamber": "counter",
        "Shutter": "shutter",
        # Sardana's pool (its manual, "Sardana device Tango API")
        "Motor": "motor",
        "PseudoMotor": "pseudo_motor",
        "CTExpChannel": "zero_d",
        "ZeroDExpChannel": "zero_d",
        "OneDExpChannel": "detector_1d",
        "TwoDExpChannel": "detector_2d",
        "IORegister": "io_register",
        # Lima (its manual, "LimaCCDs Tango device")
        "LimaCCDs": "lima",
    }.items()
}
"""Tango class → shape, where the profile's `classes` say nothing."""


class ClassFinder:
    """Asks the Tango database for classes; a database that does not answer is asked once."""

    def __init__(self, profile: Profile) -> None:
        self._shapes = {**WELL_KNOWN, **profile.classes}
        self._databases: dict[str, Any] = {}

    def shape_of(self, tango_class: str) -> ClassConfig | None:
        """The shape of a Tango class; None for one that is wrapped."""
        return self._shapes.get(tango_class)

    def class_of(self, device: str) -> str | None:
        """Tango class by the database; None where it cannot say: an alias, an unknown name, no database."""
        host, _, name = device.removeprefix("tango://").partition("/") if "://" in device else ("", "", device)
        try:
            return str(self._database(host).get_class_for_device(name)) if self._database(host) else None
        except tango.DevFailed as failure:
            log.info("class of %s: %s", device, failure.args[0].reason)
            return None

    def _database(self, host: str) -> Any:
        if host not in self._databases:
            name, _, port = host.rpartition(":")
            try:
                self._databases[host] = tango.Database(name, int(port)) if name else tango.Database()
            except tango.DevFailed as failure:
                log.info("Tango database %s: %s", host, failure.args[0].reason)
                self._databases[host] = None
        return self._databases[host]
