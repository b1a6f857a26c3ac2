"""Tango class `IonChamber`."""

from __future__ import annotations

import time
from typing import ClassVar

from tango import AttrQuality, AttrWriteType, DevState
from tango.server import attribute, command, device_property

from mamba.errors import BadValue
from tango_servers.face import EVENT_PERIOD_S, Face, memory
from tango_servers.ion_chamber.model import Expectation, IonChamberModel
from tango_servers.launch import run_server
from tango_servers.pacer import Pacer


class IonChamber(Face):
    """An ion chamber with its counter: Start counts for IntegrationTime; State is RUNNING meanwhile."""

    DEVICE_CLASS_DESCRIPTION = __doc__

    faults: ClassVar[tuple[str, ...]] = ("stuck", "timeout", "nan", "offline")

    SteadyRate = device_property(
        dtype=float, default_value=1e5, doc="Counts per second of a chamber that stands in no virtual beamline."
    )
    DefaultIntegrationTime = device_property(
        dtype=float, default_value=0.1, doc="Integration time (s) until IntegrationTime is written."
    )

    def init_device(self) -> None:
        """Stand idle, with the integration time kept from the last time."""
        super().init_device()
        self.announces("Value", "Rate", "ElapsedTime")
        name = self.get_name()
        if not hasattr(self, "model"):
            self.model = IonChamberModel(name=name)
            self.model.integration_s = memory.recall_number(name, "IntegrationTime", self.DefaultIntegrationTime)
        self._pushed_s = 0.0
        self._pacer = Pacer(name, self._tick, self.fail)
        self.show_set_point("IntegrationTime", self.model.integration_s)
        self._unusable: BadValue | None = None
        try:
            self.check_above_zero(DefaultIntegrationTime=self.DefaultIntegrationTime)
            self.model.expect = self.make_expectation()
            self.show(DevState.ON, "ready")
        except BadValue as error:
            self._unusable = error
            self.show(DevState.FAULT, str(error))

    def delete_device(self) -> None:
        """End a running count."""
        self.model.abort()
        self._pacer.close()
        super().delete_device()

    def make_expectation(self) -> Expectation:
        """Where the counts come from; a virtual beamline gives its light. BadValue for a wrong property."""
        rate = float(self.SteadyRate)
        return lambda start_s, end_s: rate * (end_s - start_s)

    def apply_fault(self, before: str) -> None:
        """A stuck counter counts without end; let go, it is idle with what it counted."""
        self.model.stuck = self._fault == "stuck"
        if before == "stuck":
            self.Stop()

    def read_energy(self) -> float | None:
        """Energy (keV) at the end of the last count, for the truth record; None where there is no monochromator."""
        return None

    def _tick(self) -> float | None:
        if self._finish():
            self._push_end()
            return None
        if not self.model.counting:
            return None
        now = time.monotonic()
        if now >= self._pushed_s + EVENT_PERIOD_S:
            self._push_values()
            self._pushed_s = now
        return min(self.model.end_s, self._pushed_s + EVENT_PERIOD_S)

    def _finish(self) -> bool:
        """Close the books of a count that is due."""
        with self.deciding:
            if not self.model.finish():
                return False
            self._close_books("ready")
            return True

    def _close_books(self, text: str) -> None:
        self.truth.write(
            "count",
            device=self.get_name(),
            energy=self.read_energy(),
            exposure=self.model.elapsed_s,
            counts=self.model.counts,
            start=self.model.start_s,
            end=self.model.end_s,
        )
        self.show(DevState.ON, text)

    def _push_end(self) -> None:
        self.push_change_event("State")
        self._push_values()
        self.push_change_event("Status")

    def _push_values(self) -> None:
        self.push_change_event("Value", float(self.model.counts))
        self.push_change_event("Rate", self.model.rate)
        self.push_change_event("ElapsedTime", self.model.elapsed_s)

    @command
    def Start(self) -> None:
        """Start a count of IntegrationTime seconds; returns at once. Refused while one is running."""
        self._finish()
        with self.refusing("Start"), self.deciding:
            if self._unusable is not None:
                raise self._unusable
            self.model.start()
            self._pushed_s = time.monotonic()
            self.show(DevState.RUNNING, f"counts for {self.model.integration_s:g} s")
        self.push_change_event("State")
        self._pacer.wake()
        self.push_change_event("Status")

    @command
    def Stop(self) -> None:
        """End the count now and keep what was counted. Does nothing while idle."""
        with self.deciding:
            stopped = self.model.stop()
            if stopped:
                self._close_books("the last count was ended early; ready")
        if stopped:
            self._push_end()

    @command
    def Abort(self) -> None:
        """End the count now and throw it away: Value stays that of the count before. Does nothing while idle."""
        with self.deciding:
            aborted = self.model.abort()
            if aborted:
                self.show(DevState.ON, "the last count was aborted; ready")
        if aborted:
            self.push_state()

    @attribute(
        dtype=float,
        access=AttrWriteType.READ_WRITE,
        label="Integration time",
        unit="s",
        format="%.4f",
        min_value="1e-6",
        max_value="3600",
        doc="How long the next count takes. Kept over a restart.",
    )
    def IntegrationTime(self) -> float:
        """Integration time (s)."""
        return self.model.integration_s

    @IntegrationTime.write  # type: ignore[no-redef]  # PyTango's way to write the setter
    def IntegrationTime(self, seconds: float) -> None:
        """Set the integration time; refused while counting."""
        self._finish()
        with self.refusing("write_IntegrationTime"):
            self.model.set_integration(seconds)
        memory.keep(self.get_name(), "IntegrationTime", seconds)

    @attribute(
        dtype=float,
        label="Counts",
        unit="counts",
        format="%.0f",
        doc="Counts of the last count, or of the running one.",
    )
    def Value(self) -> float | tuple[float, float, AttrQuality]:
        """Counts."""
        return self.as_read(float(self.model.counts))

    @attribute(dtype=float, label="Rate", unit="1/s", format="%.4e", doc="Value divided by ElapsedTime.")
    def Rate(self) -> float:
        """Mean rate (1/s)."""
        return self.model.rate

    @attribute(
        dtype=float, label="Elapsed time", unit="s", format="%.4f", doc="Time counted, so far or in the last count."
    )
    def ElapsedTime(self) -> float:
        """Time counted (s)."""
        return self.model.elapsed_s


def run() -> None:
    """Run a server of ion chambers."""
    run_server("IonChamber", [IonChamber])
