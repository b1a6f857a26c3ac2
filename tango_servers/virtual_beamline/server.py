"""All devices of the virtual beamline in one server, around one world.

The classes are those of the single servers; here they share the light.
"""

from __future__ import annotations

import functools

from tango.server import device_property

from mamba.errors import find_nearest
from tango_servers.axis.server import Axis
from tango_servers.ion_chamber import server as ion_chamber
from tango_servers.ion_chamber.model import Expectation
from tango_servers.launch import run_server
from tango_servers.monochromator import server as monochromator
from tango_servers.monochromator.model import MonochromatorModel
from tango_servers.shutter import server as shutter
from tango_servers.shutter.model import ShutterModel
from tango_servers.storage_ring import server as storage_ring
from tango_servers.storage_ring.model import StorageRingModel
from tango_servers.virtual_beamline.model import World


@functools.cache
def get_world() -> World:
    """The world of this process."""
    return World()


class StorageRing(storage_ring.StorageRing):
    """The storage ring that feeds the virtual beamline: current, lifetime and mode, read only."""

    DEVICE_CLASS_DESCRIPTION = __doc__

    def make_model(self) -> StorageRingModel:
        """The ring of the world."""
        return get_world().ring


class Monochromator(monochromator.Monochromator):
    """The monochromator of the virtual beamline: its energy decides what the ion chambers see of the copper foil.

    Writing Energy starts a move and returns at once; State is MOVING until the crystals stand. Velocity, Acceleration
    and Backlash belong to the Bragg axis (deg).
    """

    DEVICE_CLASS_DESCRIPTION = __doc__

    def make_model(self) -> MonochromatorModel:
        """The monochromator of the world."""
        return get_world().monochromator


class Shutter(shutter.Shutter):
    """The photon shutter of the virtual beamline: State is OPEN, CLOSE, or MOVING on the way between them."""

    DEVICE_CLASS_DESCRIPTION = __doc__

    InitiallyOpen = device_property(
        dtype=bool, default_value=True, doc="Whether the shutter is open when its server starts."
    )

    def make_model(self) -> ShutterModel:
        """The shutter of the world."""
        return get_world().shutter


class IonChamber(ion_chamber.IonChamber):
    """An ion chamber of the virtual beamline: Start counts for IntegrationTime; State is RUNNING meanwhile."""

    DEVICE_CLASS_DESCRIPTION = __doc__

    Position = device_property(
        dtype=str, default_value="incoming", doc="Where it stands: 'incoming' before the foil, 'transmitted' behind it."
    )

    def make_expectation(self) -> Expectation:
        """The light where this chamber stands; BadValue where it cannot stand."""
        places = {"incoming": get_world().expect_incoming, "transmitted": get_world().expect_transmitted}
        if self.Position not in places:
            raise self.bad_property("Position", self.Position, find_nearest(str(self.Position), list(places)))
        return places[self.Position]

    def read_energy(self) -> float | None:
        """Energy of the monochromator (keV) at the end of the last count."""
        return get_world().monochromator.energy_at(self.model.end_s)


def run() -> None:
    """Run the virtual beamline."""
    run_server("VirtualBeamline", [StorageRing, Monochromator, Shutter, Axis, IonChamber])
