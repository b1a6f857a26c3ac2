"""The Tango link of a device: how everything here talks to its server.

*Connect* happens at the first use, so that a dead server is an error of the call, not of start-up. The connection
belongs to the Tango device: two devices of this console that stand for the same one share it (`connection.py` says
what happens when it is lost). The link adds the device's own name, with which every error begins.
"""

from __future__ import annotations

import atexit
import time
from collections.abc import Callable
from typing import Any

import tango

from mamba.devices.attribute import AttributeInfo, CommandInfo, Reading, command_of
from mamba.devices.channels import Listener
from mamba.devices.connection import Connection, Known, connect_to, list_connections
from mamba.devices.link_errors import CallFailed, Problem, translate
from mamba.devices.link_report import LinkReport, report_on
from mamba.devices.threads import end_threads
from mamba.devices.workers import end_idle_workers
from mamba.errors import DeviceError

_NAMED = 3
"""How many attributes the message of a failed call names."""


class TangoLink:
    """One Tango device, by its name in the Tango database or as `tango://host:port/a/b/c`.

    Its repr says how it does: connected or lost since when, the last error, and how each attribute's changes get here.

    Args:
        device: Tango name.
        name: expression that errors begin with; the Tango name until adopted.
        timeout_s: longest time one call may take.
    """

    def __init__(self, device: str, *, name: str = "", timeout_s: float = 2.5) -> None:
        self.device = device
        self.name = name or device
        self.timeout_s = timeout_s
        self._connection: Connection | None = None

    def read(self, *attributes: str) -> dict[str, Reading]:
        """Read several attributes in one call.

        Raises:
            DeviceUnreachable, DeviceTimeout, DeviceFault: the call, or one of the attributes, failed.
        """
        connection = self._connection or self._attach()
        action = f"read {_name_some(attributes)}"
        values = self._tell(action, lambda proxy: proxy.read_attributes(attributes), again=True)
        try:
            readings = {
                name: connection.reading_of(name, value) for name, value in zip(attributes, values, strict=True)
            }
        except CallFailed as failure:
            raise self._explain(failure, action) from None
        connection.count_read(attributes)
        return readings

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
        self._note_told()
        self._tell(f"write {value!r} to {attribute}", lambda proxy: proxy.write_attribute(known.config, sent))

    def call(self, command: str, argument: Any = None) -> Any:
        """Execute one command.

        Raises:
            DeviceUnreachable, DeviceTimeout, DeviceFault, BadValue: as for `write`.
        """
        self._note_told()
        arguments = () if argument is None else (argument,)
        return self._tell(f"execute {command}", lambda proxy: proxy.command_inout(command, *arguments))

    def told_since(self, when_s: float) -> bool:
        """Whether anything was written or commanded from here since that time of the monotonic clock."""
        return self._connection is not None and self._connection.told_s > when_s

    def state(self) -> str:
        """The state's name now, such as "ON" or "MOVING"; two thirds of what it costs to read the attribute."""
        return str(self._tell("read State", lambda proxy: proxy.state(), again=True).name)

    def status_text(self) -> str:
        """What the device says of its state, on one line."""
        return " ".join(str(self.read("Status")["Status"].value).split())

    def ping(self) -> None:
        """Return when the device answers.

        Raises:
            DeviceUnreachable, DeviceTimeout: it does not.
        """
        self._tell("reach it", lambda proxy: proxy.ping(), again=True)

    def attributes(self) -> list[str]:
        """Names of all attributes."""
        names = self._tell("list its attributes", lambda proxy: proxy.get_attribute_list(), again=True)
        return [str(name) for name in names]

    def configurations(self) -> list[AttributeInfo]:
        """What the server says of all attributes, by one call; remembered as if each had been asked for."""
        try:
            return (self._connection or self._attach()).know_all()
        except CallFailed as failure:
            raise self._explain(failure, "ask about its attributes") from None

    def commands(self) -> list[CommandInfo]:
        """What the server says of all commands."""
        configs = self._tell("ask about its commands", lambda proxy: proxy.command_list_query(), again=True)
        return [command_of(config) for config in configs]

    def class_name(self) -> str:
        """Tango class, from the server."""
        return str(self._tell("ask for its class", lambda proxy: proxy.info().dev_class, again=True))

    def try_read(self, *attributes: str) -> dict[str, Reading | DeviceError]:
        """Read several attributes in one call; one that fails has its error in the place of a reading.

        Raises:
            DeviceUnreachable, DeviceTimeout, DeviceFault: the call itself failed.
        """
        values = self._tell("read its attributes", lambda proxy: proxy.read_attributes(list(attributes)), again=True)
        connection = self._connection or self._attach()
        found: dict[str, Reading | DeviceError] = {}
        for name, value in zip(attributes, values, strict=True):
            try:
                found[name] = connection.reading_of(name, value)
            except CallFailed as failure:
                found[name] = self._explain(failure, f"read {name}")
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

    @property
    def is_down(self) -> bool:
        """Whether the last call found nobody, and the device has not answered since; asks nobody."""
        return self._connection is not None and self._connection.outage is not None

    @property
    def generation(self) -> int:
        """Which connection this is, by number: after a change the server may be another one than before."""
        return (self._connection or self._attach()).generation

    def listen(self, attribute: str, listener: Listener, *, keep: bool = False) -> Callable[[], None]:
        """Hand every change event to `listener`, in Tango's thread; returns the function that ends it.

        Args:
            attribute: its name.
            listener: called with each reading.
            keep: look after it for as long as it lasts: subscribe again to a server that comes back, and poll an
                attribute whose server sends no events.
        """
        channels = (self._connection or self._attach()).channels
        channel = channels.listen(attribute, listener)
        if keep:
            channels.keep()
        return lambda: channel.forget(listener)

    def has_listeners(self) -> bool:
        """Whether somebody waits for changes of this device."""
        return self._connection is not None and self._connection.channels.has_listeners()

    def is_proven(self, attribute: str) -> bool:
        """Whether events of the attribute are known to arrive, so that polling may be slow."""
        return self._connection is not None and self._connection.channels.is_proven(attribute)

    def doubt_events(self, attribute: str) -> None:
        """An event that should have come did not: poll quickly until one does, and subscribe anew."""
        (self._connection or self._attach()).doubt_events(attribute)

    def describe(self) -> LinkReport:
        """How the link does, as data; asks nobody."""
        return report_on(self.name, self.device, self._connection)

    def __repr__(self) -> str:
        return str(self.describe())

    def close(self) -> None:
        """Give up the connection, and its events where nobody else uses it; the next use connects again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.users.discard(self)
            if not connection.users:
                connection.close()

    def _note_told(self) -> None:
        (self._connection or self._attach()).told_s = time.monotonic()

    def _attach(self) -> Connection:
        connection = connect_to(self.device, self.timeout_s)
        connection.users.add(self)
        self._connection = connection
        return connection

    def _know(self, attribute: str) -> Known:
        try:
            return (self._connection or self._attach()).know(attribute)
        except CallFailed as failure:
            raise self._explain(failure, f"ask about {attribute}") from None

    def _tell(self, action: str, request: Callable[[Any], Any], *, again: bool = False) -> Any:
        """Without `again`, what has side effects: it is sent once, over a connection that is believed to be good."""
        try:
            return (self._connection or self._attach()).run(request, again=again)
        except CallFailed as failure:
            raise self._explain(failure, action) from None
        except (TypeError, OverflowError) as failure:  # PyTango refuses a value that does not fit in this way
            problem = Problem("API_IncompatibleAttrArgumentType", str(failure))
            raise self._explain(CallFailed([problem]), action) from None

    def _explain(self, failure: CallFailed, action: str) -> DeviceError:
        error = translate(failure.problems, name=self.name, device=self.device, action=action)
        if failure.contact_lost:
            error.link = self
        return error


def _name_some(attributes: tuple[str, ...]) -> str:
    """As many as a line takes."""
    few = ", ".join(attributes[:_NAMED])
    return few if len(attributes) <= _NAMED else f"{few} and {len(attributes) - _NAMED} more"


def close_links() -> None:
    """End all event channels: Tango's threads must not outlive the interpreter."""
    for connection in list_connections():
        connection.close()


@atexit.register
def _end() -> None:
    close_links()
    end_idle_workers()
    end_threads()
