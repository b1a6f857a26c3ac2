"""Any Tango device as an ophyd device, made from what its running server says of itself.

`tango("sys/tg_test/1")` asks at once. A device of the profile is a `LateDevice` until somebody uses it: start-up asks
no server, and one that is down is an error of that use, not of the session.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from ophyd import Component
from ophyd.device import DEVICE_INSTANCE_ATTRS, DEVICE_RESERVED_ATTRS

from mamba.devices.attribute import CommandInfo
from mamba.devices.base import Documents, TangoDevice
from mamba.devices.link import TangoLink
from mamba.devices.names import adopt_device
from mamba.devices.outline import Outline, describe_attribute, describe_command, draw_outline
from mamba.devices.signal import TangoSignal
from mamba.errors import DeviceError

Choice = tuple[type, dict[str, Any]]
"""A class of devices, and the keyword arguments to make one with."""


class WrappedDevice(TangoDevice):
    """A Tango device as its server describes it: attributes are components, commands are methods."""

    tango_class: ClassVar[str] = ""
    attribute_names: ClassVar[Mapping[str, str]] = {}
    """Component → attribute, as Tango names it."""
    command_names: ClassVar[Mapping[str, str]] = {}
    """Method → command, as Tango names it."""
    left_out: ClassVar[Mapping[str, str]] = {}
    """Components that could not be read when the device was made, and why: they are not recorded unless asked for."""

    def __init__(self, tango: str, *, name: str, **kwargs: Any) -> None:
        super().__init__(tango, name=name, **kwargs)
        for part in self.attribute_names:
            getattr(self, part).__doc__ = getattr(type(self), part).doc  # what `D.tt.x?` shows

    def stop(self, *, success: bool = False) -> None:
        """Give the command Stop, where the server has one."""
        for command in self.command_names.values():
            if command.lower() == "stop":
                self.link.call(command)


def tango(
    device: str, *, name: str = "", read: Sequence[str] | None = None, config: Sequence[str] | None = None
) -> WrappedDevice:
    """An ophyd device from what the running server of `device` says of itself.

    Args:
        device: Tango name, "sys/tg_test/1" or "tango://host:port/sys/tg_test/1".
        name: until it is put into M or D; left out: the Tango name with `_` for `/`.
        read: attributes recorded at every point; None: all scalar numbers, booleans and enums that are not for experts.
        config: attributes recorded once per run.

    Raises:
        UnknownDevice, DeviceUnreachable, DeviceTimeout: naming the device.
        BadValue: `read` or `config` name what the server does not have.
    """
    name = name or "_".join(device.rpartition("//")[2].split("/")[-3:]).replace("-", "_").replace(".", "_")
    link = TangoLink(device, name=name)
    try:
        kind, options = describe_itself(link, read=read, config=config)
    finally:
        link.close()
    made: WrappedDevice = kind(device, name=name, **options)
    return made


def describe_itself(
    link: TangoLink, *, read: Sequence[str] | None = None, config: Sequence[str] | None = None, **options: Any
) -> Choice:
    """A class of its own for the device of `link`; `options` are handed on to it.

    Raises:
        UnknownDevice, DeviceUnreachable, DeviceTimeout, BadValue: as `tango`.
    """
    attributes = link.configurations()
    tried = link.try_read(*(info.name for info in attributes if not info.rank))
    failing = {key: error.seen or error.what for key, error in tried.items() if isinstance(error, DeviceError)}
    failing |= {key: "it has no value now" for key, value in tried.items() if getattr(value, "value", 0) is None}
    outline = draw_outline(
        attributes, link.commands(), taken=_taken(), failing=failing, read=read, config=config, name=link.name
    )  # fmt: skip
    return _make_class(link.class_name(), outline), options


def _taken() -> set[str]:
    own = {"link", "key", "command_of", "lazy_wait_for_connection"}
    return {*dir(WrappedDevice), *DEVICE_RESERVED_ATTRS, *DEVICE_INSTANCE_ATTRS, *own}


def _make_class(tango_class: str, outline: Outline) -> type[WrappedDevice]:
    body: dict[str, Any] = {
        part: Component(TangoSignal, info.name, kind=outline.kinds[part], doc=describe_attribute(info))
        for part, info in outline.attributes.items()
    }
    body |= {method: _make_method(method, info) for method, info in outline.commands.items()}
    return type(
        tango_class if tango_class.isidentifier() else "Wrapped",
        (WrappedDevice,),
        body
        | {
            "__doc__": f"A Tango device of class {tango_class}, as its server describes it.",
            "tango_class": tango_class,
            "attribute_names": {part: info.name for part, info in outline.attributes.items()},
            "command_names": {method: info.name for method, info in outline.commands.items()},
            "left_out": dict(outline.left_out),
        },
    )


def _make_method(name: str, info: CommandInfo) -> Callable[..., Any]:
    if info.takes_argument:

        def execute_with(self: WrappedDevice, argument: Any) -> Any:
            return self.link.call(info.name, argument)

        method: Callable[..., Any] = execute_with
    else:

        def execute(self: WrappedDevice) -> Any:
            return self.link.call(info.name)

        method = execute
    method.__name__, method.__qualname__, method.__doc__ = name, name, describe_command(info)
    return method


class NotYetKnown(DeviceError, AttributeError):
    """A device that could not be asked what it is: also what `hasattr` expects to be raised."""


class LateDevice(TangoDevice):
    """A device of the profile whose kind is asked for at its first use; from then on it is of that kind.

    Args:
        tango: Tango device name.
        name: expression.
        choose: asks the device behind the link and returns what it is.
    """

    def __init__(self, tango: str, *, name: str, choose: Callable[[TangoLink], Choice]) -> None:
        self._choose = choose
        self._becoming = threading.RLock()
        super().__init__(tango, name=name)

    def become(self) -> Any:
        """Ask what the device is and turn into that; returns the device itself.

        Raises:
            UnknownDevice, DeviceUnreachable, DeviceTimeout: nobody could say; the next use asks again.
            BadValue: an option names what the server does not have.
        """
        with self._becoming:
            if type(self) is not LateDevice:
                return self
            kind, options = self._choose(self.link)
            before, name, tango_name = dict(self.__dict__), self.name, self.link.device
            self.__class__ = kind
            self.__dict__.clear()  # ophyd copies the kinds of components from what it finds here
            try:
                kind.__init__(self, tango_name, name=name, **options)  # type: ignore[misc]
                adopt_device(self, name)
            except BaseException:
                self.__class__ = LateDevice
                self.__dict__.clear()
                self.__dict__.update(before)
                raise
            before["link"].close()
            return self

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or type(self) is not LateDevice or "_choose" not in self.__dict__:
            raise AttributeError(name)
        try:
            return getattr(self.become(), name)
        except DeviceError as error:
            raise NotYetKnown(error.what, seen=error.seen, remedy=error.remedy) from None

    def read(self) -> Documents:
        """As the device that it becomes."""
        documents: Documents = self.become().read()
        return documents

    def describe(self) -> Documents:
        """As the device that it becomes."""
        documents: Documents = self.become().describe()
        return documents

    def read_configuration(self) -> Documents:
        """As the device that it becomes."""
        documents: Documents = self.become().read_configuration()
        return documents

    def describe_configuration(self) -> Documents:
        """As the device that it becomes."""
        documents: Documents = self.become().describe_configuration()
        return documents

    @property
    def hints(self) -> Any:
        """As the device that it becomes."""
        return self.become().hints

    def stage(self) -> Any:
        """As the device that it becomes."""
        return self.become().stage()

    def trigger(self) -> Any:
        """As the device that it becomes."""
        return self.become().trigger()

    def stop(self, *, success: bool = False) -> None:
        """As the device that it becomes."""
        self.become().stop(success=success)
