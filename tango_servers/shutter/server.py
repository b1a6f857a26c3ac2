"""Tango class `Shutter`."""

from __future__ import annotations

from tango import DevState
from tango.server import attribute, command, device_property

from tango_servers.face import Face
from tango_servers.launch import run_server
from tango_servers.pacer import Pacer
from tango_servers.shutter.model import ShutterModel


class Shutter(Face):
    """A photon shutter: State is OPEN, CLOSE, or MOVING on the way between them."""

    DEVICE_CLASS_DESCRIPTION = __doc__

    InitiallyOpen = device_property(
        dtype=bool, default_value=False, doc="Whether the shutter is open when its server starts."
    )
    TravelTime = device_property(dtype=float, default_value=0.05, doc="How long it takes to open or to close (s).")

    def init_device(self) -> None:
        """Stay as it is; at the start of the server as InitiallyOpen says."""
        super().init_device()
        self.announces("IsOpen")
        if not hasattr(self, "model"):
            self.model = self.make_model()
            self.model.name = self.get_name()
            self.model.place(opens=self.InitiallyOpen)
        self.model.travel_s = self.TravelTime
        self._pacer = Pacer(self.get_name(), self._tick, self.fail)
        self._show_now()
        self._pacer.wake()

    def delete_device(self) -> None:
        """Forget the thread; the shutter carries out its last order."""
        self._pacer.close()
        super().delete_device()

    def make_model(self) -> ShutterModel:
        """The model of this device; a virtual beamline gives the one of its world."""
        return ShutterModel()

    def _show_now(self) -> None:
        if self.model.moving:
            self._show_moving()
        elif self.model.opens:
            self.show(DevState.OPEN, "open, the beam passes")
        else:
            self.show(DevState.CLOSE, "closed, no beam")

    def _show_moving(self) -> None:
        self.show(DevState.MOVING, "is opening" if self.model.opens else "is closing")

    def _tick(self) -> float | None:
        with self.deciding:
            if self.model.moving:
                return self.model.end_s
            arrived = self.get_state() == DevState.MOVING
            if arrived:
                self._show_now()
        if arrived:
            self.push_state()
            self.push_change_event("IsOpen", self.model.is_open)
        return None

    def _order(self, *, opens: bool) -> None:
        with self.deciding:
            ordered = self.model.open() if opens else self.model.close()
            if not ordered:
                return
            end_s = self.model.end_s
            self.truth.write(
                "shutter", device=self.get_name(), opens=opens, start=end_s - self.model.travel_s, end=end_s
            )
            self._show_moving()  # even if it has arrived meanwhile: the tick that finds MOVING tells of the arrival
        self.push_state()
        self.push_change_event("IsOpen", False)
        self._pacer.wake()

    @command
    def Open(self) -> None:
        """Open; returns at once, State is OPEN when it is. Refused while it is closing."""
        with self.refusing("Open"):
            self._order(opens=True)

    @command
    def Close(self) -> None:
        """Close, even while it is opening; returns at once, State is CLOSE when it is."""
        self._order(opens=False)

    @attribute(dtype=bool, label="Open", unit="", doc="Whether the beam passes: false while it opens or closes.")
    def IsOpen(self) -> bool:
        """Whether the beam passes."""
        return self.model.is_open


def run() -> None:
    """Run a server of shutters."""
    run_server("Shutter", [Shutter])
