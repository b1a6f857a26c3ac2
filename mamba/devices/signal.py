"""Signals: one Tango attribute each, as an ophyd signal.

A signal stands alone (`D.current`) or is a component of a device, whose link it shares. Its `.name` is its expression,
`key` what it is recorded under.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
from ophyd import Kind
from ophyd.signal import Signal

from mamba.config import Role
from mamba.devices.attribute import AttributeInfo, Reading, is_close
from mamba.devices.descriptors import record_objects_by_key
from mamba.devices.link import TangoLink
from mamba.devices.names import key_of
from mamba.devices.role_limits import check_role_limits
from mamba.devices.waiting import Status, finish_now, run_for_status
from mamba.errors import BadValue, DeviceFault, DeviceTimeout, LimitExceeded

log = logging.getLogger(__name__)

_POLL_S = 0.02
_SAME_POINT_S = 0.01
"""A reading so young, with its own time, is as good as one of now: a call takes as long where the network is slow."""


def is_of_now(link: TangoLink, when_s: float) -> bool:
    """Whether a reading of that time (monotonic clock) is as one of now: nothing was told to the device since."""
    return time.monotonic() - when_s < _SAME_POINT_S and not link.told_since(when_s)


class TangoSignal(Signal):
    """One Tango attribute.

    Args:
        attribute: its name; a signal without a parent may give `tango` for the device, or `a/b/c/Attribute` here.
        name: expression.
        tango: Tango device of a signal that stands alone; a component uses its parent's link.
        part: "read" for the measured value, "set" for what was last written.
        tolerance: how far a reading may be from what was written; None: one part in a million.
        timeout_s: longest time between writing and reading it back.
        skip_unchanged: `set` writes nothing when the last reading shows the value is there already.
    """

    trigger: Any = None  # ophyd's does nothing, and bluesky would send it and wait for it at every point

    def __init__(
        self,
        attribute: str,
        *,
        name: str,
        tango: str = "",
        part: Literal["read", "set"] = "read",
        tolerance: float | None = None,
        timeout_s: float = 5.0,
        skip_unchanged: bool = False,
        parent: Any = None,
        kind: Any = Kind.hinted,
        **kwargs: Any,
    ) -> None:
        record_objects_by_key()
        if not tango and parent is None:
            tango, _, attribute = attribute.rpartition("/")
        self.attribute = attribute
        self.role_limits: Mapping[Role, tuple[float, float]] = {}
        self.part = part
        self.timeout_s = timeout_s
        self.skip_unchanged = skip_unchanged
        self.link: TangoLink = parent.link if parent is not None else TangoLink(tango, name=name)
        self.key = key_of(name)
        self._last: Reading | None = None
        self._last_from = 0
        self._offered: tuple[float, Reading] | None = None
        self._stop_listening: Callable[[], None] | None = None
        super().__init__(name=name, parent=parent, kind=kind, tolerance=tolerance, **kwargs)

    def record_as(self, expression: str, key: str) -> None:
        """Take the name `expression`, and record under `key`."""
        self.name, self.key = expression, key
        if self.parent is None:
            self.link.name = expression

    @property
    def info(self) -> AttributeInfo:
        """Unit, limits, format and description, from the server."""
        return self.link.info(self.attribute)

    @property
    def limits(self) -> tuple[float, float]:
        """Lowest and highest value that may be written; (0, 0) for no limits, as ophyd has it."""
        low, high = self.info.low, self.info.high
        if low is None and high is None:
            return (0.0, 0.0)
        return (-math.inf if low is None else low, math.inf if high is None else high)

    @property
    def egu(self) -> str:
        """Unit."""
        return self.info.unit

    def get(self, **_: Any) -> Any:
        """Read the value now.

        Raises:
            DeviceUnreachable, DeviceTimeout, DeviceFault: naming the device.
        """
        return self.value_of(self.link.read(self.attribute)[self.attribute])

    def value_of(self, reading: Reading) -> Any:
        """The signal's value out of a reading of its attribute, which is remembered.

        Raises:
            DeviceFault: the device says that it has no value now (quality INVALID): nothing that could be recorded.
        """
        if reading.value is None and reading.quality == "ATTR_INVALID":
            raise DeviceFault(
                f"{self.name}: has no value now",
                seen=f"{self.link.device} gives {self.attribute} the quality INVALID",
                remedy=f"look at {self.link.device} and what it says in Status",
            )
        self._last, self._last_from = reading, self.link.generation
        self._readback = reading.set_value if self.part == "set" else reading.value
        self._metadata["timestamp"] = reading.time_s
        return self._readback

    def remembered(self) -> Any:
        """The value last read or written; reads it where nothing is known."""
        return self._last.value if self._last is not None else self.get()

    def offer(self, reading: Reading) -> None:
        """Have the next `read` take this reading, which was made with those of other signals, if it comes at once."""
        self._offered = (time.monotonic(), reading)

    def read(self) -> dict[str, dict[str, Any]]:
        """Value and time under the signal's key."""
        offered, self._offered = self._offered, None
        if offered is not None and is_of_now(self.link, offered[0]):
            return self.reading_of(offered[1])
        return self.reading_of(self.link.read(self.attribute)[self.attribute])

    def reading_of(self, reading: Reading) -> dict[str, dict[str, Any]]:
        """What `read` returns, out of a reading that was made for several signals at once."""
        return {self.key: {"value": self.value_of(reading), "timestamp": reading.time_s}}

    def describe(self) -> dict[str, dict[str, Any]]:
        """Data key: source, dtype, shape, units, precision, limits."""
        info = self.info
        shape = list(np.shape(self.get())) if info.rank else []
        described: dict[str, Any] = {"source": self.link.source(self.attribute), "dtype": info.dtype, "shape": shape}
        if info.rank and info.dtype_numpy:
            described["dtype_numpy"] = info.dtype_numpy
        if info.unit:
            described["units"] = info.unit
        if info.precision is not None:
            described["precision"] = info.precision
        if info.labels:
            described["choices"] = list(info.labels)
        if info.low is not None:
            described["lower_ctrl_limit"] = info.low
        if info.high is not None:
            described["upper_ctrl_limit"] = info.high
        return {self.key: described}

    @property
    def hints(self) -> dict[str, list[str]]:
        """The key, where the signal is of kind hinted."""
        return {"fields": [self.key] if self.kind & ~Kind.normal & Kind.hinted else []}

    def check_value(self, value: Any) -> None:
        """Refuse what the attribute cannot take, before anything is written.

        Raises:
            BadValue: read only, not finite, of the wrong type, or not one of the choices.
            LimitExceeded: naming value and limits with their unit.
        """
        info = self.info
        if not info.writable:
            raise BadValue(f"{self.name}: is read only", remedy="set something else")
        if info.rank:
            check_array(self.name, value, info)
            return
        if info.labels:
            if value not in info.labels:
                raise BadValue(f"{self.name}: cannot be {value!r}", remedy=f"choose of {', '.join(info.labels)}")
            return
        if info.dtype in ("number", "integer"):
            check_number(self.name, value, info)
            check_role_limits(self.name, float(value), self.role_limits, info.unit)
        elif info.type_name == "DevString" and not isinstance(value, str):
            raise BadValue(f"{self.name}: cannot be {value!r}", remedy="give a text")
        elif info.dtype == "boolean" and not isinstance(value, (bool, np.bool_)):
            raise BadValue(f"{self.name}: cannot be {value!r}", remedy="give True or False")

    def put(self, value: Any, **_: Any) -> None:
        """Check and write; returns when the server took it.

        Raises:
            BadValue, LimitExceeded: nothing was written.
            DeviceUnreachable, DeviceTimeout, DeviceFault: naming the device.
        """
        self.check_value(value)
        warn_of(self.name, value, self.info)
        self._last = None
        self.link.write(self.attribute, value)

    def set(self, value: Any, *, timeout: float | None = None, settle_time: float | None = None) -> Status:
        """Write, and finish when it is read back within the tolerance.

        Raises (through the status):
            DeviceTimeout: naming the device, what was written and what is read.
        """
        # a server that was restarted may have forgotten what it was set to
        known = self._last if self._last_from == self.link.generation and not self.link.is_down else None
        if self.skip_unchanged and known is not None and is_close(known.set_value, value, 0.0):
            return finish_now(self)
        status = Status(self)
        wait_s = self.timeout_s if timeout is None else timeout

        def write_and_see() -> None:
            try:
                self.put(value)
            except DeviceTimeout as late:  # what is read says whether it was taken
                self._wait_for(value, wait_s, late)
            else:
                self._wait_for(value, wait_s)
            if settle_time:
                time.sleep(settle_time)  # the caller asked for this pause

        return run_for_status(status, write_and_see, name=self.name)

    def subscribe(self, callback: Callable[..., None], event_type: str | None = None, run: bool = True) -> int:  # noqa: FBT001, FBT002  # ophyd's signature
        """Call `callback(value=, old_value=, timestamp=, obj=, …)` at every change event; returns its id."""
        if event_type in (None, self.SUB_VALUE) and self._stop_listening is None:
            self._stop_listening = self.link.listen(self.attribute, self._take_event, keep=True)
        return int(super().subscribe(callback, event_type=event_type, run=run))

    def clear_sub(self, cb: Callable[..., None], event_type: str | None = None) -> None:
        """Call `cb` no more."""
        super().clear_sub(cb, event_type=event_type)
        self._listen_no_more_if_alone()

    def unsubscribe(self, cid: int) -> None:
        """End the subscription with this id."""
        super().unsubscribe(cid)
        self._listen_no_more_if_alone()

    def destroy(self) -> None:
        """Give up events, and the link where it is the signal's own."""
        super().destroy()
        self._listen_no_more_if_alone()
        if self.parent is None:
            self.link.close()

    def _listen_no_more_if_alone(self) -> None:
        if self._stop_listening is not None and not self._callbacks[self.SUB_VALUE]:
            self._stop_listening()
            self._stop_listening = None

    def _take_event(self, reading: Reading) -> None:
        old = self._readback
        value = self.value_of(reading)
        self._run_subs(sub_type=self.SUB_VALUE, old_value=old, value=value, timestamp=reading.time_s)

    def _wait_for(self, value: Any, wait_s: float, late: DeviceTimeout | None = None) -> None:
        """Return when `value` is read; after a write that timed out (`late`) a device may be silent for a while."""
        deadline = time.monotonic() + wait_s
        while True:
            try:
                seen = self.link.read(self.attribute)[self.attribute]
            except DeviceTimeout:
                if late is None or time.monotonic() > deadline:
                    raise
                time.sleep(_POLL_S)
                continue
            self._last, self._last_from = seen, self.link.generation
            if is_close(seen.value, value, self.tolerance):
                return
            if time.monotonic() > deadline:
                raise DeviceTimeout(
                    f"{self.name}: did not become {self.info.show(value)} in {wait_s:g} s",
                    seen=f"reads {self.info.show(seen.value)}",
                    remedy=f"look at {self.link.device}; a slow one needs the option timeout_s",
                )
            time.sleep(_POLL_S)


def check_number(name: str, value: Any, info: AttributeInfo) -> None:
    """Refuse a value that is no finite number, or outside the limits of `info`.

    Raises:
        BadValue, LimitExceeded: naming device, value and limits with units.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise BadValue(f"{name}: cannot be {value!r}", remedy=f"give a number in {info.unit or 'its unit'}")
    if not math.isfinite(value):
        raise BadValue(f"{name}: cannot be {value}", remedy="give a finite number")
    if info.dtype == "integer":
        _check_integer(name, value, info)
    low, high = info.low, info.high
    if (low is not None and value < low) or (high is not None and value > high):
        limits = f"{'-∞' if low is None else f'{low:.10g}'} to {'∞' if high is None else f'{high:.10g}'} {info.unit}"
        raise LimitExceeded(
            f"{name}: cannot go to {info.show(float(value))}",
            seen=f"its limits are {limits.rstrip()}",
            remedy="nothing moved; choose a value inside",
        )
    low, high = info.alarm
    if (low is not None and value <= low) or (high is not None and value >= high):
        raise LimitExceeded(
            f"{name}: cannot go to {info.show(float(value))}",
            seen=f"its alarm begins at {info.show(high if high is not None and value >= high else low)}",
            remedy="nothing moved; choose a value before that",
        )


def warn_of(name: str, value: Any, info: AttributeInfo) -> None:
    """Log a warning where `value` is allowed but lies where the attribute's quality becomes WARNING."""
    low, high = info.warning
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return
    if (low is not None and value <= low) or (high is not None and value >= high):
        log.warning("%s: %s is where its warning begins", name, info.show(float(value)))


def check_array(name: str, value: Any, info: AttributeInfo) -> None:
    """Refuse what does not fit a spectrum or an image: rank, size, and numbers that are not finite.

    Raises:
        BadValue: naming shapes; nothing was written.
    """
    shape = np.shape(value)
    if len(shape) != info.rank or any(size > most for size, most in zip(shape, info.max_shape, strict=True)):
        raise BadValue(
            f"{name}: cannot take a value of shape {shape}",
            seen=f"it holds at most {info.max_shape}",
            remedy="give a list" if info.rank == 1 else "give a list of rows of equal length",
        )
    if info.dtype_numpy and not (np.asarray(value).dtype.kind in "biuf" and np.isfinite(value).all()):
        raise BadValue(f"{name}: cannot take this array", remedy="give finite numbers only")


def _check_integer(name: str, value: Any, info: AttributeInfo) -> None:
    if value != int(value):
        raise BadValue(f"{name}: cannot be {value}", remedy="give a whole number")
    kind = np.iinfo(info.dtype_numpy or "<i8")
    if not kind.min <= int(value) <= kind.max:
        raise BadValue(
            f"{name}: cannot be {value}", seen=f"a {info.type_name}", remedy=f"give {kind.min} to {kind.max}"
        )
