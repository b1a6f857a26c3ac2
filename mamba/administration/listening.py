"""Listening to the change events of a device's attributes for a while."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import tango

from mamba.administration.control_system import read_reason


@dataclass
class Listener:
    """What came of one attribute. The value that Tango sends with the subscription is no event and is not counted.

    Attributes:
        refused: (reason, first line of the text) when the server takes no subscription; None when it does.
        count: events that came since.
        last_s: when the last one came (monotonic s); None when none came.
        errors: what events with an error said.
        values: values of the events, in order.
    """

    refused: tuple[str, str] | None = None
    count: int = 0
    last_s: float | None = None
    errors: list[str] = field(default_factory=list)
    values: list[object] = field(default_factory=list)
    _first: bool = True
    _came: threading.Condition = field(default_factory=threading.Condition)

    def take(self, event: tango.EventData) -> None:
        """Called by Tango for each event, in a thread of its own."""
        with self._came:
            if self._first:
                self._first = False
            elif event.err:
                self.errors.append(str(event.errors[0].desc).strip().splitlines()[0])
            else:
                self.count += 1
                self.last_s = time.monotonic()
                self.values.append(event.attr_value.value)
            self._came.notify_all()

    def wait_for_value(self, value: object, timeout_s: float) -> bool:
        """Whether the last event carries this value, now or within the time."""
        with self._came:
            return self._came.wait_for(lambda: bool(self.values) and self.values[-1] == value, timeout_s)


@contextmanager
def listen(device: tango.DeviceProxy, attributes: Iterable[str]) -> Iterator[dict[str, Listener]]:
    """Subscribed to change events of these attributes within the block."""
    listeners = {name: Listener() for name in attributes}
    numbers = []
    try:
        for name, listener in listeners.items():
            try:
                numbers.append(device.subscribe_event(name, tango.EventType.CHANGE_EVENT, listener.take))
            except tango.DevFailed as failed:
                listener.refused = (str(failed.args[0].reason), read_reason(failed))
        yield listeners
    finally:
        for number in numbers:
            device.unsubscribe_event(number)
