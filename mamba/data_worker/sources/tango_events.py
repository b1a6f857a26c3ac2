"""Source: the events of a Tango attribute, of any device, as rows of numbers.

Row i is the i-th event: `time` (the attribute's time stamp, s since 1970), `missed`, and the value or values. The first
row is the value at the start, which Tango sends to every new subscriber.

What cannot be known: Tango says *that* events were lost on the way (row's `missed` is 1: some were, before this row),
not how many. A change that the server made no event of (smaller than the attribute's `abs_change`, or between two
polls of a polled attribute) leaves no trace at all. Where every value counts, let the server push it, or use `points`.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Any, Literal

import numpy as np
import tango
from numpy.typing import NDArray
from pydantic import Field

from mamba.data_worker.frame import End
from mamba.data_worker.nodes import Flow, Job, NodeParameters, Rows, Source
from mamba.errors import StreamBroken

_BLOCK_ROWS = 1000
_MISSED = "API_MissedEvents"
_TYPES = {
    "change": tango.EventType.CHANGE_EVENT,
    "archive": tango.EventType.ARCHIVE_EVENT,
    "periodic": tango.EventType.PERIODIC_EVENT,
    "user": tango.EventType.USER_EVENT,
}


class TangoEventsParameters(NodeParameters):
    """Which attribute, and which of its events."""

    device: str = Field(
        pattern=r"^(tango://[^\s/]+/)?[^\s/]+/[^\s/]+/[^\s/]+$", description="Tango name; tango://HOST:PORT/… elsewhere"
    )
    attribute: str = Field(pattern=r"^\w+$", description="a number, or a spectrum of numbers")
    event: Literal["change", "archive", "periodic", "user"] = Field("change", description="what the server announces")
    length: int = Field(
        0, ge=0, le=100_000, json_schema_extra={"units": "values"}, description="of a spectrum; 0: a number"
    )
    units: str = Field("", description="of the values")
    rows: int = Field(0, ge=0, description="events after which it ends; 0: with the run")
    most_waiting: int = Field(
        100_000,
        ge=1,
        le=10_000_000,
        json_schema_extra={"units": "events"},
        description="more than that ends the stream",
    )


class TangoEvents(Source):
    """The events of an attribute of any Tango device: one row of numbers each, numbered as they come."""

    takes = TangoEventsParameters

    @property
    def settings(self) -> TangoEventsParameters:
        """The parameters."""
        assert isinstance(self.parameters, TangoEventsParameters)
        return self.parameters

    def plan(self, inputs: dict[str, Flow]) -> Flow:
        """Rows of time, missed and values, float64."""
        told = self.settings
        names = [f"{told.attribute}_{at}" for at in range(told.length)] if told.length else [told.attribute]
        columns = ("time", "missed", *names)
        return Flow((len(columns),), "float64", _BLOCK_ROWS, units=told.units, columns=columns)

    def open(self, job: Job, inputs: dict[str, Flow]) -> None:
        """Subscribe.

        Raises:
            StreamBroken: no such device or attribute, of another kind than set, or without such events; or the actor
                died, since nobody knows how many events went with it.
        """
        told = self.settings
        if job.resume:
            raise StreamBroken(
                f"node {self.name!r}: events of {told.device}/{told.attribute} were lost with its actor",
                seen="how many cannot be known, so that the rows after them have no numbers",
                remedy="acquire again",
            )
        self._arm, self._count, self._missed = job.arm, 0, False
        self._events: deque[NDArray[np.float64]] = deque()
        self._came = threading.Condition()
        self._failure: StreamBroken | None = None
        self._subscription: int | None = None
        try:
            self._device = tango.DeviceProxy(told.device)
            self._check(self._device.get_attribute_config(told.attribute))
            self._subscription = self._device.subscribe_event(told.attribute, _TYPES[told.event], self._take)
        except tango.DevFailed as error:
            raise self._explain(f"no {told.event} events of it", error) from None

    def _explain(self, what: str, error: tango.DevFailed) -> StreamBroken:
        told = self.settings
        return StreamBroken(
            f"node {self.name!r}: {told.device}/{told.attribute}: {what}",
            seen=f"{error.args[0].reason}: {error.args[0].desc}".replace("\n", " ")[:300],
            remedy="check the name and the server; events need a server that pushes them, or polling and a criterion",
        )

    def _check(self, config: Any) -> None:
        wanted = tango.AttrDataFormat.SPECTRUM if self.settings.length else tango.AttrDataFormat.SCALAR
        if config.data_format != wanted or config.data_type in (tango.DevString, tango.DevEncoded):
            raise StreamBroken(
                f"node {self.name!r}: {self.settings.device}/{self.settings.attribute} cannot be taken so",
                seen=f"{config.data_format} of {tango.CmdArgType.values[config.data_type]}, "
                f"length {self.settings.length} is set",
                remedy="it takes numbers: a scalar with length 0, a spectrum with its length",
            )

    def _take(self, event: Any) -> None:
        """In a thread of Tango's."""
        with self._came:
            if event.err:
                self._take_error(event.errors[0])
            elif self._failure is None:
                self._take_value(event.attr_value)
            self._came.notify_all()

    def _take_error(self, error: Any) -> None:
        if error.reason == _MISSED:
            self._missed = True
        elif self._failure is None:
            self._failure = self._explain("its events have stopped", tango.DevFailed(error))

    def _take_value(self, reading: Any) -> None:
        told = self.settings
        values = np.atleast_1d(np.asarray(np.nan if reading.value is None else reading.value, np.float64))
        row = np.full(2 + (told.length or 1), np.nan)
        if len(values) > len(row) - 2:
            self._failure = StreamBroken(
                f"node {self.name!r}: {told.device}/{told.attribute} sent {len(values)} values",
                seen=f"length {told.length} is set",
                remedy="set length to the longest spectrum it has; a shorter one is filled up with NaN",
            )
            return
        if len(self._events) >= told.most_waiting:
            self._failure = StreamBroken(
                f"node {self.name!r}: the graph is too slow for the events of {told.device}/{told.attribute}",
                seen=f"{len(self._events)} wait",
                remedy="have the server send fewer, or take out what is slow",
            )
            return
        row[0], row[1] = reading.time.totime(), self._missed
        row[2 : 2 + len(values)] = values
        self._missed = False
        self._events.append(row)

    def fill(self, out: Rows, timeout_s: float) -> tuple[int, int] | End | None:
        """The events that have come.

        Raises:
            StreamBroken: the server is gone, or sent what does not fit; what came before is given first.
        """
        rows = self.settings.rows
        if rows and self._count >= rows:
            return End(self._arm, rows)
        with self._came:
            self._came.wait_for(lambda: self._events or self._failure, timeout_s)
            count = min(len(self._events), len(out), rows - self._count if rows else len(out))
            for at in range(count):
                out[at] = self._events.popleft()
            if not count and self._failure is not None:
                raise self._failure
        first, self._count = self._count, self._count + count
        return (first, count) if count else None

    def stop(self) -> None:
        """Unsubscribe."""
        subscription: int | None = getattr(self, "_subscription", None)
        if subscription is not None:
            self._subscription = None
            with tango.EnsureOmniThread():
                self._device.unsubscribe_event(subscription)
