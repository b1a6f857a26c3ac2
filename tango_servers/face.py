"""What all our Tango device classes share: states with a text, events, attribute configuration, refusals that explain.

A refusal is a Tango error whose reason is one of Tango's own (`API_WAttrOutsideLimit`, `API_CommandNotAllowed`,
`API_InvalidArgs`) and whose text says what was attempted, what was seen and what to do.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, cast

import tango
from tango import AttrQuality, AttrWriteType, DevState, DispLevel
from tango.server import Device, attribute

from mamba.errors import BadValue, LimitExceeded, MambaError
from tango_servers.faults import ANSWER_S, NONE, check_fault, end_process
from tango_servers.launch import get_truth, memory
from tango_servers.truth import TruthRecord

EVENT_PERIOD_S = 0.2
"""Shortest time between two events of a value that keeps changing (s): windows starve above 5 Hz."""
_GIVEN = "__given"  # attribute property: the fields of the configuration that our properties gave last

__all__ = ["EVENT_PERIOD_S", "Face", "memory"]


class Face(Device):
    """Base of our device classes.

    Attributes:
        deciding: held while the model and State change together: commands and the pacer both do that. Events are
            pushed only after it is free again, because pushing waits for the lock that commands hold.
        faults: the faults that this class can simulate, by their words in `tango_servers.faults`.
    """

    faults: ClassVar[tuple[str, ...]] = ("timeout", "offline")
    _fault = NONE
    _said = ""

    def init_device(self) -> None:
        """Read the properties, announce that State and Status are pushed."""
        super().init_device()
        if not hasattr(self, "deciding"):
            self.deciding = threading.Lock()
        self.announces("State", "Status")

    def always_executed_hook(self) -> None:
        """Before every call: with the fault `timeout`, keep the client waiting for longer than it does."""
        if self._fault == "timeout":
            time.sleep(ANSWER_S)

    def delete_device(self) -> None:
        """End of the server, Init, or restart: save the set points now."""
        memory.save()

    @property
    def truth(self) -> TruthRecord:
        """The truth record of this process."""
        return get_truth()

    def announces(self, *attributes: str) -> None:
        """Declare attributes whose change events this device pushes itself, without polling and without criteria."""
        for name in attributes:
            self.set_change_event(name, True, False)

    def show(self, state: DevState, text: str) -> None:
        """Set State and Status; `push_state` tells the clients."""
        self.set_state(state)
        prefix = f"{self.get_name()}: "
        self._said = text.removeprefix(prefix)
        simulated = "" if self._fault == NONE else f"; simulated fault: {self._fault}"
        self.set_status(prefix + self._said + simulated)

    def push_state(self) -> None:
        """Send State and Status to who subscribed."""
        self.push_change_event("State")
        self.push_change_event("Status")

    def push_change_event(self, *event: Any) -> None:
        """As Tango's, but while a long call holds the device it waits for its end: Tango gives up after three seconds.

        An event of our own that was given up would be lost, and with it the end of a move.
        """
        while True:
            try:
                super().push_change_event(*event)
            except tango.DevFailed as failure:
                if failure.args[0].reason != "API_CommandTimedOut":
                    raise
            else:
                return

    def fail(self, error: Exception) -> None:
        """Show FAULT with the error: something failed that no client is waiting for."""
        self.error_stream("%s", f"{type(error).__name__}: {error}")
        self.show(DevState.FAULT, f"failed: {error}; call Init")
        self.push_state()

    def configure(self, attribute: str, **wanted: str | float) -> None:
        """Give fields of an attribute's configuration (unit, min_value, max_value, …) what the properties say.

        What an administrator wrote there since is kept until the property itself changes, as in the profile.

        Raises:
            BadValue: Tango does not take it, such as a maximum below the administrator's minimum.
        """
        texts = {key: value if isinstance(value, str) else f"{value:.10g}" for key, value in wanted.items()}
        database = tango.Database()
        found = database.get_device_attribute_property(self.get_name(), attribute)[attribute]
        before = dict(line.partition("=")[::2] for line in found.get(_GIVEN, []))
        target = self.get_device_attr().get_attr_by_name(attribute)
        now = target.get_properties(tango.MultiAttrProp())
        given = {key: text for key, text in texts.items() if key not in found or before.get(key) != text}
        withdrawn = (key for key, text in before.items() if key not in texts and list(found.get(key, [])) == [text])
        given |= dict.fromkeys(withdrawn, "Not specified")
        changes = {key: text for key, text in given.items() if str(getattr(now, key)) != text}
        if changes:
            for key, text in changes.items():
                setattr(now, key, text)
            try:
                target.set_properties(now)
            except tango.DevFailed as failure:
                raise BadValue(
                    f"{self.get_name()}: {attribute} cannot have {', '.join(f'{k} {t}' for k, t in changes.items())}",
                    seen=failure.args[0].desc.strip(),
                    remedy=f"correct the properties or the configuration of {attribute}, and call Init",
                ) from None
        if before != texts:
            database.put_device_attribute_property(
                self.get_name(), {attribute: {_GIVEN: [f"{key}={text}" for key, text in texts.items()]}}
            )

    def show_set_point(self, attribute: str, value: float | int) -> None:
        """Give the attribute a set point without a write: at start-up, and where a stopped move ended."""
        try:
            self.get_device_attr().get_w_attr_by_name(attribute).set_write_value(value)
        except tango.DevFailed as failure:
            # Tango shows no set point outside the limits; they were narrowed since, and State says so.
            self.warn_stream("%s", f"{attribute}: no set point shown: {failure.args[0].desc}")

    # Faults on purpose.

    @attribute(
        dtype=str,
        access=AttrWriteType.READ_WRITE,
        display_level=DispLevel.EXPERT,
        label="Simulated fault",
        unit="",
        doc="How this simulation misbehaves on purpose: one word of Faults, or none. Forgotten with the server.",
    )
    def Fault(self) -> str:
        """The simulated fault; `none` if there is none."""
        return self._fault

    @Fault.write  # type: ignore[no-redef]  # PyTango's way to write the setter
    def Fault(self, fault: str) -> None:
        """Misbehave from now on, or behave again."""
        with self.refusing("write_Fault"):
            check_fault(self.get_name(), fault, self.faults)
        before, self._fault = self._fault, fault
        self.apply_fault(before)
        with self.deciding:
            self.show(self.get_state(), self._said)
        self.warn_stream("%s", f"simulated fault: {fault}")
        self.push_state()
        if fault == "offline":
            end_process()

    @attribute(
        dtype=(str,),
        max_dim_x=16,
        display_level=DispLevel.EXPERT,
        label="Faults",
        unit="",
        doc="Faults that this device can simulate.",
    )
    def Faults(self) -> list[str]:
        """Faults that this device can simulate."""
        return list(self.faults)

    def apply_fault(self, before: str) -> None:
        """Hand the new fault to the model; `before` ended just now."""

    def as_read(self, value: float) -> float | tuple[float, float, AttrQuality]:
        """`value` for the client, or with the fault `nan` not a number of quality INVALID."""
        return (math.nan, time.time(), AttrQuality.ATTR_INVALID) if self._fault == "nan" else value

    @contextmanager
    def refusing(self, what: str) -> Iterator[None]:
        """Turn an error of the model into a Tango error for the client; `what` was asked: "Start", "write_Position"."""
        try:
            yield
        except MambaError as error:
            raise self.refuse(_find_reason(error), error, what) from None

    def refuse(self, reason: str, error: MambaError, what: str) -> Exception:
        """The Tango error to raise for ours."""
        # The text may hold a '%', which Tango's logging would take for a format.
        self.warn_stream("%s", f"refused {what}: {error}")
        told = tango.DevError()
        told.reason, told.desc, told.origin = reason, str(error), f"{type(self).__name__}.{what}"
        told.severity = tango.ErrSeverity.ERR
        return cast(Exception, tango.DevFailed(told))

    def check_above_zero(self, **properties: float) -> None:
        """Raise BadValue for the first of these properties that is not above zero."""
        for name, value in properties.items():
            if not value > 0:
                raise self.bad_property(name, value, "not above 0")

    def bad_property(self, name: str, value: object, seen: str) -> BadValue:
        """The error for a property that cannot be used; State is FAULT with it, since the server must still start."""
        return BadValue(
            f"{self.get_name()}: property {name} is {value!r}", seen=seen, remedy="correct the property and call Init"
        )


def _find_reason(error: MambaError) -> str:
    if isinstance(error, LimitExceeded):
        return "API_WAttrOutsideLimit"
    if isinstance(error, BadValue):
        return "API_InvalidArgs"
    return "API_CommandNotAllowed"
