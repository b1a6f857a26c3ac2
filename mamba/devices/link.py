"""The Tango link of a device: the only place that talks to Tango.

*Connect* happens at the first use, so that a dead server is an error of the call, not of start-up. A connection that
failed is thrown away and made anew at the next use: Tango's own reconnection refuses calls for a second and brings
events back after ten. Every error leaves as one of Mamba's and begins with the device's name.

*Proven*: an event channel is trusted once an event came through it that nobody asked for.
"""

from __future__ import annotations

import atexit
import logging
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import tango

from mamba.devices.attribute import AttributeInfo, CommandInfo, Reading, command_of, info_of, plain
from mamba.devices.link_errors import translate
from mamba.devices.upstream_costs import skip_telemetry_check
from mamba.errors import DeviceError, DeviceUnreachable

log = logging.getLogger(__name__)
skip_telemetry_check()

Listener = Callable[[Reading], None]
_INFO_LIFE_S = 5.0
_CONNECT_S = 2.5
"""Tango gives a server three seconds to accept a connection, then goes on without one."""
_NO_EVENTS = {"API_AttributePollingNotStarted", "API_AttributeNotPolled", "API_EventPropertiesNotSet"}
_REFUSED_LIFE_S = 60.0
"""A device that says it sends no events is not asked again for this long: asking costs more than a move."""
_STATES = tuple(tango.DevState(number).name for number in range(len(tango.DevState.__members__)))
_links: weakref.WeakSet[TangoLink] = weakref.WeakSet()


class TangoLink:
    """One Tango device, by its name in the Tango database or as `tango://host:port/a/b/c`.

    Args:
        device: Tango name.
        name: expression that errors begin with; the Tango name until adopted.
        timeout_s: longest time one call may take.
    """

    def __init__(self, device: str, *, name: str = "", timeout_s: float = 2.5) -> None:
        self.device = device
        self.name = name or device
        self.timeout_s = timeout_s
        self._proxy: Any = None
        self._lock = threading.RLock()
        self._known: dict[str, _Known] = {}
        self._channels: dict[str, _Channel] = {}
        _links.add(self)

    def read(self, *attributes: str) -> dict[str, Reading]:
        """Read several attributes in one call.

        Raises:
            DeviceUnreachable, DeviceTimeout, DeviceFault: the call, or one of the attributes, failed.
        """
        action = f"read {', '.join(attributes)}"
        values = self._ask(action, lambda proxy: proxy.read_attributes(list(attributes)))
        return {name: self._reading(name, value) for name, value in zip(attributes, values, strict=True)}

    def write(self, attribute: str, value: Any) -> None:
        """Write one attribute; an enum takes its label.

        Raises:
            LimitExceeded, BadValue, DeviceUnreachable, DeviceTimeout, DeviceFault: nothing was written, except that
                after DeviceTimeout nobody knows.
        """
        known = self._know(attribute)
        labels = known.info.labels
        sent = labels.index(value) if isinstance(value, str) and value in labels else value
        # Given the name alone, PyTango asks for the configuration itself, and takes a lost server for a wrong type.
        self._tell(f"write {value!r} to {attribute}", lambda proxy: proxy.write_attribute(known.config, sent))

    def call(self, command: str, argument: Any = None) -> Any:
        """Execute one command.

        Raises:
            DeviceUnreachable, DeviceTimeout, DeviceFault, BadValue: as for `write`.
        """
        arguments = () if argument is None else (argument,)
        return self._tell(f"execute {command}", lambda proxy: proxy.command_inout(command, *arguments))

    def state(self) -> str:
        """The state's name, such as "ON" or "MOVING"."""
        return str(self.read("State")["State"].value)

    def status_text(self) -> str:
        """What the device says of its state, on one line."""
        return " ".join(str(self.read("Status")["Status"].value).split())

    def ping(self) -> None:
        """Return when the device answers.

        Raises:
            DeviceUnreachable, DeviceTimeout: it does not.
        """
        self._ask("reach it", lambda proxy: proxy.ping())

    def attributes(self) -> list[str]:
        """Names of all attributes."""
        return [str(name) for name in self._ask("list its attributes", lambda proxy: proxy.get_attribute_list())]

    def configurations(self) -> list[AttributeInfo]:
        """What the server says of all attributes, by one call; remembered as if each had been asked for."""
        configs = self._ask("ask about its attributes", lambda proxy: proxy.attribute_list_query_ex())
        now = time.monotonic()
        for config in configs:
            self._known[config.name] = _remember(now, config)
        return [self._known[config.name].info for config in configs]

    def commands(self) -> list[CommandInfo]:
        """What the server says of all commands."""
        return [command_of(config) for config in self._ask("ask about its commands", lambda p: p.command_list_query())]

    def class_name(self) -> str:
        """Tango class, from the server."""
        return str(self._ask("ask for its class", lambda proxy: proxy.info().dev_class))

    def try_read(self, *attributes: str) -> dict[str, Reading | DeviceError]:
        """Read several attributes in one call; one that fails has its error in the place of a reading.

        Raises:
            DeviceUnreachable, DeviceTimeout, DeviceFault: the call itself failed.
        """
        values = self._ask("read its attributes", lambda proxy: proxy.read_attributes(list(attributes)))
        found: dict[str, Reading | DeviceError] = {}
        for name, value in zip(attributes, values, strict=True):
            try:
                found[name] = self._reading(name, value)
            except DeviceError as error:
                found[name] = error
        return found

    def info(self, attribute: str) -> AttributeInfo:
        """Configuration of one attribute, at most some seconds old: limits may be moved while we run."""
        return self._know(attribute).info

    def source(self, attribute: str) -> str:
        """Where an attribute is: `tango://host:port/a/b/c/Attribute`, as documents name it."""
        return f"{self.address}/{attribute}"

    @property
    def address(self) -> str:
        """Where the device is, for other processes too: `tango://host:port/a/b/c`."""
        if self.device.startswith("tango://"):
            return self.device
        return f"tango://{tango.ApiUtil.get_env_var('TANGO_HOST') or 'localhost'}/{self.device}"

    def listen(self, attribute: str, listener: Listener) -> Callable[[], None]:
        """Hand every change event to `listener`, in Tango's thread; returns the function that ends it.

        A device that cannot send events now is asked again by `mend_channels`.
        """
        with self._lock:
            channel = self._channels.setdefault(attribute, _Channel(attribute, weakref.ref(self)))
            channel.listeners = (*channel.listeners, listener)
            if channel.event_id is None:
                self._open(channel)
        return lambda: channel.forget(listener)

    def is_proven(self, attribute: str) -> bool:
        """Whether events of the attribute are known to arrive, so that polling may be slow."""
        channel = self._channels.get(attribute)
        return channel is not None and channel.proven

    def doubt_events(self, attribute: str) -> None:
        """An event that should have come did not: poll quickly until one does, and subscribe anew."""
        with self._lock:
            channel = self._channels.get(attribute)
            if channel is not None and channel.proven:
                self._shut(channel)

    def has_listeners(self) -> bool:
        """Whether somebody waits for events of this device."""
        return any(channel.listeners for channel in self._channels.values())

    def mend_channels(self) -> None:
        """Find out whether the device still answers, and subscribe again to what lost its channel."""
        try:
            self.ping()
        except DeviceError:
            return
        with self._lock:
            for channel in self._channels.values():
                if channel.listeners and channel.event_id is None:
                    self._open(channel)

    def close(self) -> None:
        """Give up the connection and its events; the next use connects again."""
        with self._lock:
            for channel in self._channels.values():
                self._shut(channel)
            self._proxy = None

    def _know(self, attribute: str) -> _Known:
        known = self._known.get(attribute)
        now = time.monotonic()
        if known is None or now - known.when > _INFO_LIFE_S:
            config = self._ask(f"ask about {attribute}", lambda proxy: proxy.get_attribute_config(attribute))
            known = self._known[attribute] = _remember(now, config)
        return known

    def _ask(self, action: str, request: Callable[[Any], Any]) -> Any:
        """A request without side effects: a connection that broke since its last use is made anew, once."""
        fresh = self._proxy is None
        try:
            return self._tell(action, request)
        except DeviceUnreachable:
            if fresh:
                raise
            return self._tell(action, request)

    def _tell(self, action: str, request: Callable[[Any], Any]) -> Any:
        try:
            return request(self._connect())
        except tango.DevFailed as failure:
            error = translate(failure.args, name=self.name, device=self.device, action=action)
        except TypeError as failure:  # PyTango refuses a value that does not fit the attribute in this way
            raise translate(
                [_Problem("API_IncompatibleAttrArgumentType", str(failure))],
                name=self.name,
                device=self.device,
                action=action,
            ) from None
        if isinstance(error, DeviceUnreachable):
            self.close()
        raise error from None

    def _connect(self) -> Any:
        proxy = self._proxy
        if proxy is None:
            with self._lock:
                if self._proxy is None:
                    self._proxy = self._make_proxy()
                proxy = self._proxy
        return proxy

    def _make_proxy(self) -> Any:
        began = time.monotonic()
        proxy = tango.DeviceProxy(self.device)
        if time.monotonic() - began > _CONNECT_S:  # it waited in vain, and would again for every call
            raise translate(
                [_Problem("API_DeviceTimedOut", "its server is there but does not answer")],
                name=self.name, device=self.device, action="connect",
            )  # fmt: skip
        # Tango tries a call twice when its time is over; its own reconnection would wait three seconds more.
        proxy.set_timeout_millis(int(self.timeout_s * 1000 / 2))
        proxy.set_transparency_reconnection(False)
        return proxy

    def _reading(self, attribute: str, value: Any) -> Reading:
        if value.has_failed:
            raise translate(value.get_err_stack(), name=self.name, device=self.device, action=f"read {attribute}")
        labels: tuple[str, ...] = ()
        if value.type == tango.CmdArgType.DevEnum:
            known = self._known.get(attribute)
            labels = known.info.labels if known else self.info(attribute).labels
        elif value.type == tango.CmdArgType.DevState and isinstance(value.value, np.ndarray):
            labels = _STATES  # PyTango gives a spectrum of states as numbers
        return Reading(
            plain(value.value, labels), plain(value.w_value, labels), value.time.totime(), value.quality.name
        )

    def _open(self, channel: _Channel) -> None:
        """Subscribe; where the device cannot, the channel stays without an id and waiting means polling."""
        if time.monotonic() < channel.refused_until:
            return
        try:
            proxy = self._connect()
            channel.proven = False
            channel.opening = True
            channel.event_id = proxy.subscribe_event(channel.attribute, tango.EventType.CHANGE_EVENT, channel.take)
        except (tango.DevFailed, DeviceError) as failure:
            if getattr(failure.args[0], "reason", "") in _NO_EVENTS:
                channel.refused_until = time.monotonic() + _REFUSED_LIFE_S
            log.info("%s: no events of %s: %s", self.name, channel.attribute, failure.args[0])
        finally:
            channel.opening = False

    def _shut(self, channel: _Channel) -> None:
        event_id, channel.event_id, channel.proven = channel.event_id, None, False
        if event_id is not None and self._proxy is not None:
            try:
                self._proxy.unsubscribe_event(event_id)
            except tango.DevFailed as failure:  # of a server that is gone
                log.info("%s: unsubscribing %s: %s", self.name, channel.attribute, failure.args[0].reason)


class _Channel:
    """Events of one attribute: who listens, and whether they are proven to come."""

    def __init__(self, attribute: str, link: weakref.ref[TangoLink]) -> None:
        self.attribute = attribute
        self.event_id: int | None = None
        self.proven = False
        self.opening = False
        self.refused_until = 0.0
        self.listeners: tuple[Listener, ...] = ()
        self._link = link

    def take(self, event: Any) -> None:
        """One event, in Tango's thread."""
        link = self._link()
        if link is None:
            return
        if event.err:
            self.proven = False
            return
        if not self.opening:
            self.proven = True
        try:
            reading = link._reading(self.attribute, event.attr_value)
        except DeviceError as error:
            log.info("event of %s: %s", self.attribute, error.what)
            return
        for listener in self.listeners:
            listener(reading)

    def forget(self, listener: Listener) -> None:
        """Hand no more events to `listener`; the channel stays open for the next one who waits."""
        self.listeners = tuple(known for known in self.listeners if known is not listener)


@dataclass(frozen=True)
class _Known:
    """The configuration of an attribute and when it was asked for; `config` is Tango's own."""

    when: float
    config: Any
    info: AttributeInfo


def _remember(when: float, config: Any) -> _Known:
    return _Known(when, config, info_of(config, type_name=tango.CmdArgType(config.data_type).name))


class _Problem(NamedTuple):
    """An error that we saw ourselves, in the form of Tango's."""

    reason: str
    desc: str


def run_in_thread(name: str, function: Callable[[], None]) -> threading.Thread:
    """Run `function` in a thread that may use Tango; it ends by itself."""

    def run() -> None:
        with tango.EnsureOmniThread():
            function()

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    return thread


@atexit.register
def close_links() -> None:
    """End all event channels: Tango's threads must not outlive the interpreter."""
    for link in tuple(_links):
        link.close()
