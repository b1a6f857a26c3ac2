"""Event channels of one connection: who listens to which attribute, and how its changes get here.

An attribute whose server sends change events comes by event; one whose server says that it sends none is *polled* for
those who asked to be kept informed. *Proven*: an event channel is trusted once an event came through it that nobody
asked for.

Tango's own re-subscription takes about ten seconds and a listener hears nothing meanwhile. As long as somebody is kept
informed, a thread asks the device once a second whether it answers, and opens again what was lost.
"""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import tango

from mamba.devices.attribute import Reading
from mamba.devices.link_errors import CallFailed
from mamba.devices.threads import pause, run_in_thread

log = logging.getLogger(__name__)

Listener = Callable[[Reading], None]
_NO_EVENTS = {"API_AttributePollingNotStarted", "API_AttributeNotPolled", "API_EventPropertiesNotSet"}
_REFUSED_LIFE_S = 60.0
"""A device that says it sends no events is not asked again for this long: asking costs more than a move."""
LOOK_S = 1.0
POLL_S = 0.5
"""How often an attribute without events is read for those who are kept informed."""


class Source(Protocol):
    """What channels need of their connection."""

    device: str
    outage: Any

    def take(self) -> Any:
        """The proxy."""

    def run(self, request: Callable[[Any], Any], *, again: bool = False) -> Any:
        """Call `request(proxy)`."""

    def reading_of(self, attribute: str, value: Any) -> Reading:
        """Tango's value as plain data."""


class Channel:
    """Changes of one attribute.

    Attributes:
        event_id: Tango's, None where no channel is open.
        proven: whether events are known to arrive.
        refused: why the device sends no events; empty when it does, or was not asked.
        events: how many came; `last` is when the last did, monotonic, 0 before.
    """

    def __init__(self, attribute: str, source: weakref.ref[Any]) -> None:
        self.attribute = attribute
        self.event_id: int | None = None
        self.proven = False
        self.refused = ""
        self.events, self.last = 0, 0.0
        self.listeners: tuple[Listener, ...] = ()
        self.polled: Reading | None = None
        self._opening = False
        self._shuts = 0
        self._refused_until = 0.0
        self._source = source

    def open(self, source: Source) -> None:
        """Subscribe, in a thread of its own: Tango asks its database, and waits for half a minute where that hangs.

        Until it is open, and where the device sends no events, the channel has no id and waiting means polling.

        Raises:
            CallFailed: the device cannot be reached at all.
        """
        if self._opening or time.monotonic() < self._refused_until:
            return
        proxy = source.take()
        self.proven, self._opening = False, True
        device, shuts = source.device, self._shuts
        run_in_thread(f"mamba subscribes {self.attribute}", lambda: self._subscribe(proxy, device, shuts))

    def _subscribe(self, proxy: Any, device: str, shuts: int) -> None:
        try:
            event_id = proxy.subscribe_event(self.attribute, tango.EventType.CHANGE_EVENT, self.take)
        except tango.DevFailed as failure:  # also of a database that is away: no word about the device
            self.refused = " ".join(str(failure.args[0].desc).split())
            if failure.args[0].reason in _NO_EVENTS:
                self._refused_until = time.monotonic() + _REFUSED_LIFE_S
            log.info("%s: no events of %s: %s", device, self.attribute, self.refused)
        else:
            self.refused, self.event_id = "", event_id
        self._opening = False
        if shuts != self._shuts:  # it was shut in the meantime, and may have been opened again since
            self.shut(proxy)

    def shut(self, proxy: Any) -> None:
        """End the subscription that was made through `proxy`."""
        self._shuts += 1
        event_id, self.event_id, self.proven = self.event_id, None, False
        if event_id is not None and proxy is not None:
            try:
                proxy.unsubscribe_event(event_id)
            except tango.DevFailed as failure:  # of a server that is gone
                log.info("unsubscribing %s: %s", self.attribute, failure.args[0].reason)

    def take(self, event: Any) -> None:
        """One event, in Tango's thread."""
        source = self._source()
        if source is None:
            return
        if event.err:
            self.proven = False
            return
        if not self._opening:
            self.proven = True
        self.events += 1
        self.last = time.monotonic()
        self._hand_on(source, event.attr_value)

    def take_polled(self, source: Source, value: Any) -> None:
        """A value that was polled for the listeners: they hear it when it changed."""
        if self.event_id is None:
            self._hand_on(source, value, changed_only=True)

    def _hand_on(self, source: Source, value: Any, *, changed_only: bool = False) -> None:
        try:
            reading = source.reading_of(self.attribute, value)
        except CallFailed as error:  # it has no value now
            log.info("%s: no value of %s: %s", source.device, self.attribute, error)
            return
        before, self.polled = self.polled, reading
        if changed_only and before is not None and _is_same(before, reading):
            return
        for listener in self.listeners:
            listener(reading)

    def forget(self, listener: Listener) -> None:
        """Hand no more events to `listener`; the channel stays open for the next one who waits."""
        self.listeners = tuple(known for known in self.listeners if known is not listener)


class Channels:
    """All channels of one connection, whose lock they share, and the thread that keeps them."""

    def __init__(self, source: weakref.ref[Any], lock: threading.Condition) -> None:
        self.by_attribute: dict[str, Channel] = {}
        self._source = source
        self._kept = False
        self._lock = lock  # the connection's own: two would be taken in two orders

    def listen(self, attribute: str, listener: Listener) -> Channel:
        """Hand every change event to `listener`, in Tango's thread; opens the channel where it is not.

        Of a device that cannot be reached the listener hears when it can.
        """
        with self._lock:
            channel = self.by_attribute.setdefault(attribute, Channel(attribute, self._source))
            channel.listeners = (*channel.listeners, listener)
            source = self._source()
            if channel.event_id is None and source is not None:
                try:
                    channel.open(source)
                except CallFailed as failure:
                    log.info("%s: no events of %s yet: %s", source.device, attribute, failure)
        return channel

    def is_proven(self, attribute: str) -> bool:
        """Whether events of the attribute are known to arrive, so that polling may be slow."""
        channel = self.by_attribute.get(attribute)
        return channel is not None and channel.proven

    def doubt(self, attribute: str, proxy: Any) -> None:
        """An event that should have come did not: poll quickly until one does, and subscribe anew."""
        with self._lock:
            channel = self.by_attribute.get(attribute)
            if channel is not None and channel.proven:
                channel.shut(proxy)

    def has_listeners(self) -> bool:
        """Whether somebody waits for changes."""
        return any(channel.listeners for channel in self.by_attribute.values())

    def shut(self, proxy: Any) -> None:
        """Close all; who listens is remembered."""
        with self._lock:
            for channel in self.by_attribute.values():
                channel.shut(proxy)

    def mend(self) -> None:
        """Subscribe again to what lost its channel.

        Raises:
            CallFailed: the device cannot be reached.
        """
        source = self._source()
        with self._lock:
            for channel in self.by_attribute.values():
                if source is not None and channel.listeners and channel.event_id is None:
                    channel.open(source)

    def keep(self) -> None:
        """Look after the channels as long as somebody listens."""
        with self._lock:
            if not self._kept:
                self._kept = True
                source = self._source
                run_in_thread("mamba event channels", lambda: _keep(source))

    def look(self, source: Source) -> bool:
        """Find out whether the device answers, mend what was lost, poll what sends no events; False: nobody listens."""
        with self._lock:
            if not self.has_listeners():
                self._kept = False
                return False
        silent = [c for c in self.by_attribute.values() if c.listeners and c.event_id is None and c.refused]
        attributes = ["State", *(channel.attribute for channel in silent)]
        values = source.run(lambda proxy: proxy.read_attributes(attributes), again=True)
        for channel, value in zip(silent, values[1:], strict=True):
            channel.take_polled(source, value)
        self.mend()
        return True

    @property
    def pause_s(self) -> float:
        """Until the next look: shorter where it is also a poll."""
        polls = any(c.listeners and c.event_id is None for c in self.by_attribute.values())
        return POLL_S if polls else LOOK_S


def _keep(reference: weakref.ref[Any]) -> None:
    while True:
        source = reference()
        if source is None:
            return
        try:
            if source.outage is None and not source.channels.look(source):
                return
        except CallFailed as failure:
            log.info("%s: does not answer: %s", source.device, failure)
        pause_s = source.channels.pause_s
        del source
        if pause(pause_s):
            return


def _is_same(before: Reading, now: Reading) -> bool:
    return before.quality == now.quality and bool(np.all(np.asarray(before.value) == np.asarray(now.value)))
