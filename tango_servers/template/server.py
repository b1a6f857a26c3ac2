"""Tango class `Heater`."""

from __future__ import annotations

from tango import AttrWriteType, DevState
from tango.server import attribute, command, device_property

from tango_servers.face import EVENT_PERIOD_S, Face, memory
from tango_servers.pacer import Pacer
from tango_servers.template.model import HeaterModel


class Heater(Face):
    """A heater: writing Temperature returns at once; State is MOVING until the temperature is reached."""

    DEVICE_CLASS_DESCRIPTION = __doc__
    TimeConstant = device_property(dtype=float, default_value=0.2, doc="Time constant of the heater (s).")

    def init_device(self) -> None:
        """Read the properties, and take up the temperature kept from the last time."""
        super().init_device()
        self.announces("Temperature")
        if not hasattr(self, "model"):
            self.model = HeaterModel(tau_s=self.TimeConstant)
            self.model.place(memory.recall_number(self.get_name(), "Temperature", 20.0))
        self.show_set_point("Temperature", self.model.target)
        self._pacer = Pacer(self.get_name(), self._tick, self.fail)
        self._show_now()
        self._pacer.wake()

    def delete_device(self) -> None:
        """Let the thread go; the set point is saved."""
        self._pacer.close()
        super().delete_device()

    def _tick(self) -> float | None:
        with self.deciding:
            heating = self._show_now()
        self.push_change_event("Temperature", self.model.temperature)
        self.push_state()
        return self.model.clock() + EVENT_PERIOD_S if heating else None

    def _show_now(self) -> bool:
        heating = self.model.heating
        state, text = (DevState.MOVING, "heats") if heating else (DevState.ON, "ready")
        self.show(state, f"{text}, set point {self.model.target:g} degC")
        return heating

    @attribute(dtype=float, access=AttrWriteType.READ_WRITE, label="Temperature", unit="degC", format="%.2f",
               min_value="0", max_value="300", doc="Temperature; kept over a restart.")  # fmt: skip
    def Temperature(self) -> float:
        """Temperature (°C)."""
        return self.model.temperature

    @Temperature.write  # type: ignore[no-redef]  # PyTango's way to write the setter
    def Temperature(self, target: float) -> None:
        """Begin to heat."""
        with self.deciding:
            self.model.set_target(target)
            self._show_now()
        memory.keep(self.get_name(), "Temperature", target)
        self._pacer.wake()

    @command
    def Stop(self) -> None:
        """Stay at the temperature of this moment. Does nothing while it is reached."""
        if self.model.heating:
            with self.deciding:
                self.model.place(self.model.temperature)
            memory.keep(self.get_name(), "Temperature", self.model.target)
            self.show_set_point("Temperature", self.model.target)
            self._pacer.wake()
