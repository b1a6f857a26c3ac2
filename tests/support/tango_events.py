"""Collects the events of a Tango attribute."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import tango


@dataclass
class Events:
    """Values that came as change events, with their time (monotonic s); errors are kept apart."""

    seen: list[tuple[float, Any]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    _came: threading.Condition = field(default_factory=threading.Condition)

    def take(self, event: tango.EventData) -> None:
        with self._came:
            if event.err:
                self.errors.append(event.errors[0].desc)
            else:
                self.seen.append((time.monotonic(), event.attr_value.value))
            self._came.notify_all()

    @property
    def values(self) -> list[Any]:
        return [value for _, value in self.seen]

    def clear(self) -> None:
        with self._came:
            self.seen.clear()

    def wait_for(self, *wanted: Any, timeout_s: float = 5.0) -> None:
        """Until the values, without what came before them, end like `wanted`."""
        came = self._look_for(wanted, timeout_s)
        assert came, f"wanted {wanted}, came {self.values}, errors {self.errors}"

    def _look_for(self, wanted: tuple[Any, ...], timeout_s: float) -> bool:
        with self._came:
            return self._came.wait_for(lambda: self.values[-len(wanted) :] == list(wanted), timeout_s)

    def await_connection(self, act: Callable[[int], None], *wanted: Any) -> None:
        """Act until its events come: what a publisher sends before its reader has connected is lost.

        Args:
            act: called with 0, 1, 2, …; publishes what makes the server push `wanted`.
            wanted: as for `wait_for`.
        """
        for number in range(20):
            self.clear()
            act(number)
            if self._look_for(wanted, 1.0):
                self.clear()
                return
        raise AssertionError(f"no events: {self.values}, errors {self.errors}")


@contextmanager
def collect_events(device: tango.DeviceProxy, attribute: str) -> Iterator[Events]:
    """Subscribed and connected within the block; the first value is taken out."""
    events = Events()
    number = device.subscribe_event(attribute, tango.EventType.CHANGE_EVENT, events.take)
    try:
        _await_events(device, attribute)
        with events._came:
            assert events._came.wait_for(lambda: bool(events.seen or events.errors), 5.0), "no first event"
        events.clear()
        yield events
    finally:
        device.unsubscribe_event(number)


def _await_events(device: tango.DeviceProxy, attribute: str) -> None:
    """Until the server's events come here: Tango connects after it has subscribed, what is pushed meanwhile is lost.

    Writing the configuration as it is makes the server push an event, and subscriptions reach it in their order.
    """
    came: queue.SimpleQueue[tango.AttrConfEventData] = queue.SimpleQueue()
    number = device.subscribe_event(attribute, tango.EventType.ATTR_CONF_EVENT, came.put)
    try:
        came.get(timeout=5.0)  # subscribing itself gives one
        for _ in range(20):
            device.set_attribute_config(device.get_attribute_config(attribute))
            try:
                came.get(timeout=0.5)
                return
            except queue.Empty:
                continue
        raise AssertionError(f"{device.dev_name()}: no events of the configuration of {attribute}")
    finally:
        device.unsubscribe_event(number)
