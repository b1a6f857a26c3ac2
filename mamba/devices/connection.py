"""The connection of this process to one Tango device: the only place that makes proxies and says what became of them.

*Outage*: from the first call that found the server gone (*lost*) or got no answer in time (*silent*), until the device
has answered again. Meanwhile no call costs its time-out: it fails at once with what was seen last, and one thread asks,
at growing pauses, whether the device is back. That ends the outage within a second of the server's return; Tango's own
reconnection refuses calls for a second and brings events back after ten.

Devices of one process with the same Tango address and time-out share one connection.
"""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any, Literal, NamedTuple

import numpy as np
import tango

from mamba.devices.attribute import AttributeInfo, Reading, info_of, plain
from mamba.devices.channels import Channels
from mamba.devices.link_errors import CallFailed, is_silence, is_unreachable
from mamba.devices.threads import pause, run_in_thread
from mamba.devices.upstream_costs import skip_telemetry_check

log = logging.getLogger(__name__)
skip_telemetry_check()

_INFO_LIFE_S = 5.0
_CONNECT_S = 2.5
"""Tango gives a server three seconds to accept a connection, then goes on without one."""
_DATABASE_S = 4.0
_STATES = tuple(tango.DevState(number).name for number in range(len(tango.DevState.__members__)))
_PAUSE_FIRST_S, _PAUSE_LAST_S, _PAUSE_UNWANTED_S = 0.05, 1.0, 10.0
_WANTED_S = 60.0
"""A device that nobody asked for this long is looked for less often."""
_CHEAP_S = 0.1
"""Where a try takes less, a call that comes in an outage waits for the next one instead of failing at once."""


class Known(NamedTuple):
    """The configuration of an attribute and when it was asked for; `config` is Tango's own."""

    when: float
    config: Any
    info: AttributeInfo


@dataclass
class Outage:
    """One time without the device.

    Attributes:
        kind: "lost" (no connection) or "silent" (connected, no answer).
        problems: what was seen last.
        since_s: when it began, Unix time.
        tries: how often it was looked for since.
        try_took_s: how long the last look took.
        asked: when a call last asked, monotonic.
        wake: set to end the pause between two looks.
    """

    kind: Literal["lost", "silent"]
    problems: Any
    since_s: float = field(default_factory=time.time)
    tries: int = 0
    try_took_s: float = 0.0
    asked: float = field(default_factory=time.monotonic)
    wake: threading.Event = field(default_factory=threading.Event)


class Connection:
    """One Tango device; made by `connect_to`.

    Attributes:
        generation: how many connections were made; another number means that the server may have been restarted.
        outage: the present one, None when all is well.
        outages: how many there were.
        last_error: what was seen in the last outage, with its Unix time; None when there was none.
        since_s: when the present connection was made, Unix time; 0 before the first use.
        round_trip_s: of the last call; `last_good` is its time, monotonic, 0 before.
        told_s: when something was last written or commanded, monotonic.
        reads: attributes that were read together → how often, and when last with success (monotonic).
    """

    def __init__(self, device: str, timeout_s: float) -> None:
        self.device, self.timeout_s = device, timeout_s
        self.generation = self.outages = 0
        self.outage: Outage | None = None
        self.last_error: tuple[float, str] | None = None
        self.since_s = self.round_trip_s = self.last_good = self.told_s = 0.0
        self.reads: dict[tuple[str, ...], tuple[int, float]] = {}
        self.users: weakref.WeakSet[Any] = weakref.WeakSet()
        self._known: dict[str, Known] = {}
        self._proxy: Any = None
        self._lock = threading.Condition(threading.RLock())
        self.channels = Channels(weakref.ref(self), self._lock)

    def run(self, request: Callable[[Any], Any], *, again: bool = False) -> Any:
        """Call `request(proxy)`. With `again`, one that found a broken connection is repeated over a new one.

        Raises:
            CallFailed: it failed, or the device is out.
        """
        proxy = self._proxy if self.outage is None else None
        fresh = proxy is None
        if proxy is None:
            proxy = self.take()
        began = time.monotonic()
        try:
            result = request(proxy)
        except tango.DevFailed as failure:
            lost = self._judge(failure, proxy)
            if lost and again and not fresh:
                return self.run(request)
            raise CallFailed(failure.args, contact_lost=lost) from None
        now = self.last_good = time.monotonic()
        self.round_trip_s = now - began
        return result

    def know(self, attribute: str) -> Known:
        """What is known of an attribute, at most some seconds old: limits may be moved while we run."""
        known = self._known.get(attribute)
        now = time.monotonic()
        if known is None or now - known.when > _INFO_LIFE_S:
            config = self.run(lambda proxy: proxy.get_attribute_config(attribute), again=True)
            known = self._known[attribute] = _remember(now, config)
        return known

    def know_all(self) -> list[AttributeInfo]:
        """What is known of all attributes, asked by one call."""
        configs = self.run(lambda proxy: proxy.attribute_list_query_ex(), again=True)
        now = time.monotonic()
        known = {config.name: _remember(now, config) for config in configs}
        self._known.update(known)
        return [each.info for each in known.values()]

    def count_read(self, attributes: tuple[str, ...]) -> None:
        """Note a good read of these attributes."""
        self.reads[attributes] = (self.reads.get(attributes, (0, 0.0))[0] + 1, self.last_good)

    def reading_of(self, attribute: str, value: Any) -> Reading:
        """Tango's value of `attribute` as plain data.

        Raises:
            CallFailed: the device had none to give.
        """
        if value.has_failed:
            raise CallFailed(value.get_err_stack())
        labels: tuple[str, ...] = ()
        if value.type == tango.CmdArgType.DevEnum:
            known = self._known.get(attribute)
            labels = (known or self.know(attribute)).info.labels
        elif value.type == tango.CmdArgType.DevState and isinstance(value.value, np.ndarray):
            labels = _STATES  # PyTango gives a spectrum of states as numbers
        return Reading(
            plain(value.value, labels), plain(value.w_value, labels), value.time.totime(), value.quality.name
        )

    def doubt_events(self, attribute: str) -> None:
        """An event that should have come did not: poll quickly until one does, and subscribe anew."""
        self.channels.doubt(attribute, self._proxy)

    def close(self) -> None:
        """Give up the proxy and its events; the next use connects again."""
        with self._lock:
            outage, self.outage = self.outage, None
            if outage is not None:
                outage.wake.set()
            proxy, self._proxy = self._proxy, None
            self._lock.notify_all()
            self.channels.shut(proxy)

    def take(self) -> Any:
        """The proxy, made now if there is none; in an outage, after at most a short wait for the device.

        Raises:
            CallFailed: the device cannot be reached.
        """
        with self._lock:
            outage = self.outage
            if outage is not None:
                self._wait_for_a_try(outage)
                if self.outage is outage:
                    raise CallFailed(outage.problems, contact_lost=True)
            if self._proxy is None:
                try:
                    self._connect(self._make_proxy_in_time())
                except tango.DevFailed as failure:
                    if is_unreachable(failure.args) or is_silence(failure.args):
                        self._begin_outage("lost", failure.args)
                        raise CallFailed(failure.args, contact_lost=True) from None
                    raise CallFailed(failure.args) from None
            return self._proxy

    def _wait_for_a_try(self, outage: Outage) -> None:
        """Where a try is cheap, have one made: what is told then is of now, not of a second ago."""
        outage.asked = time.monotonic()
        if outage.kind == "silent" or outage.try_took_s > _CHEAP_S:
            return
        tries = outage.tries
        outage.wake.set()
        self._lock.wait_for(lambda: self.outage is not outage or outage.tries > tries, 2 * _CHEAP_S)

    def _make_proxy(self) -> Any:
        """A proxy whose device answers.

        Raises:
            tango.DevFailed: it cannot be reached.
        """
        began = time.monotonic()
        proxy = tango.DeviceProxy(self.device)
        if time.monotonic() - began > _CONNECT_S:  # it waited in vain, and would again for every call
            tango.Except.throw_exception("API_DeviceTimedOut", "its server is there but does not answer", "connect")
        # Tango tries a call twice when its time is over; its own reconnection would wait three seconds more.
        proxy.set_timeout_millis(int(self.timeout_s * 1000 / 2))
        proxy.set_transparency_reconnection(False)
        # What a server polls is answered out of its cache otherwise: the state of before a move, as the end of it.
        proxy.set_source(tango.DevSource.DEV)
        return proxy

    def _make_proxy_in_time(self) -> Any:
        """As `_make_proxy`, whose caller does not wait for a database that hangs: Tango would, for half a minute."""
        made: SimpleQueue[Any] = SimpleQueue()

        def make() -> None:
            try:
                made.put(self._make_proxy())
            except tango.DevFailed as failure:
                made.put(failure)

        run_in_thread(f"mamba connects {self.device}", make)
        try:
            proxy = made.get(timeout=_DATABASE_S)
        except Empty:
            tango.Except.throw_exception("API_CantConnectToDatabase", "the database does not answer", "connect")
        if isinstance(proxy, tango.DevFailed):
            raise proxy
        return proxy

    def _connect(self, proxy: Any) -> None:
        self._proxy = proxy
        self.generation += 1
        self.since_s = time.time()
        self._known.clear()

    def _judge(self, failure: tango.DevFailed, proxy: Any) -> bool:
        """Whether nobody answered; then an outage has begun. An error that the device sent is an answer."""
        if not _is_contact_lost(failure):
            self.last_good = time.monotonic()
            return False
        with self._lock:
            if proxy is self._proxy and self.outage is None:
                self._begin_outage("silent" if is_silence(failure.args) else "lost", failure.args)
        return True

    def _begin_outage(self, kind: Literal["lost", "silent"], problems: Any) -> None:
        outage = self.outage = Outage(kind, problems)
        self.outages += 1
        self.last_error = (outage.since_s, " ".join(str(problems[0].desc).split()))
        if kind == "lost":
            proxy, self._proxy = self._proxy, None
            self.channels.shut(proxy)
        connection = weakref.ref(self)
        run_in_thread(f"mamba looks for {self.device}", lambda: _look_for(connection, outage))

    def look(self, outage: Outage) -> bool:
        """Ask once whether the device is back; whether that ended the outage, or it ended otherwise."""
        if self.outage is not outage:
            return True
        began = time.monotonic()
        proxy = self._proxy
        try:
            if proxy is None:
                proxy = self._make_proxy()
            proxy.state()  # not ping: that is answered by a server whose device is too busy to be read
        except tango.DevFailed as failure:
            if proxy is None or _is_contact_lost(failure):
                return self._note_try(outage, failure.args, time.monotonic() - began)
        with self._lock:
            if self.outage is outage:
                if proxy is not self._proxy:
                    self._connect(proxy)
                self.outage = None
                self.last_good = time.monotonic()
                self._lock.notify_all()
        try:
            self.channels.mend()
        except CallFailed as failure:  # gone again: the next outage has begun
            log.info("%s: lost again: %s", self.device, failure)
        return True

    def _note_try(self, outage: Outage, problems: Any, took_s: float) -> bool:
        """A look in vain; whether the outage ended otherwise meanwhile."""
        with self._lock:
            if self.outage is outage and outage.kind == "silent" and not is_silence(problems):
                outage.kind = "lost"
                proxy, self._proxy = self._proxy, None
                self.channels.shut(proxy)
            outage.problems = problems
            outage.tries += 1
            outage.try_took_s = took_s
            self._lock.notify_all()
            return self.outage is not outage


def _remember(when: float, config: Any) -> Known:
    return Known(when, config, info_of(config, type_name=tango.CmdArgType(config.data_type).name))


def _is_contact_lost(failure: tango.DevFailed) -> bool:
    """Whether nobody answered. What a server says of *its* lost devices is an answer: its outermost error says so."""
    outermost = failure.args[-1:]
    by_client = isinstance(failure, (tango.ConnectionFailed, tango.CommunicationFailed))
    return by_client or is_unreachable(outermost) or is_silence(outermost)


def _look_for(connection: weakref.ref[Connection], outage: Outage) -> None:
    """Look for a device until it is back or nobody has a device of it any more."""
    pause_s = _PAUSE_FIRST_S
    while True:
        found = connection()
        if found is None or found.look(outage):
            return
        del found
        wanted = time.monotonic() - outage.asked < _WANTED_S
        if pause(_PAUSE_FIRST_S):  # the least time between two tries, whoever asks
            return
        outage.wake.wait(pause_s)
        outage.wake.clear()
        pause_s = min(2 * pause_s, _PAUSE_LAST_S if wanted else _PAUSE_UNWANTED_S)


_connections: weakref.WeakValueDictionary[tuple[str, float], Connection] = weakref.WeakValueDictionary()
_registry_lock = threading.Lock()


def connect_to(device: str, timeout_s: float) -> Connection:
    """The connection that this process has, or will have at its first use, with the device at this address."""
    key = (device.lower(), timeout_s)
    with _registry_lock:
        connection = _connections.get(key)
        if connection is None:
            connection = _connections[key] = Connection(device, timeout_s)
    return connection


def list_connections() -> list[Connection]:
    """All connections of this process."""
    with _registry_lock:
        return list(_connections.values())
