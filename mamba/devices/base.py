"""What all Tango devices of the console share: one link, components that are read together, names by expression."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from ophyd import Device, Kind

from mamba.devices.descriptors import record_objects_by_key
from mamba.devices.link import TangoLink
from mamba.devices.names import key_of
from mamba.devices.signal import TangoSignal
from mamba.errors import BadValue, DeviceFault, UnknownDevice, find_nearest

Documents = dict[str, dict[str, Any]]
"""Readings or data keys by recorded key."""


class NoSuchComponent(UnknownDevice, AttributeError):
    """A name that a device does not have, also what `hasattr` expects; bluesky asks often, so the text is made late."""

    def __init__(self, device: Device, name: str) -> None:
        self._class, self._name = type(device), name
        super().__init__(f"{device.name}.{name}: no such component or method")

    def __str__(self) -> str:
        known = [known for known in dir(self._class) if not known.startswith("_")]
        return f"{self.what}\n  do:   {find_nearest(self._name, known)}"

    def __reduce__(self) -> tuple[object, ...]:
        return (UnknownDevice, (str(self),))


class TangoDevice(Device):
    """A device behind one Tango link; its components are attributes of that Tango device.

    Components of kind normal and hinted are read in one call per point. A component of kind config whose attribute
    the server does not have is left out of the configuration.

    Args:
        tango: Tango device name.
        name: expression that reaches it.
        call_timeout_s: longest time one call to the server may take.
        attributes: component → attribute, where the server names it otherwise; None: it has no such attribute.
        commands: what the device does ("stop") → command, where the server names it otherwise.

    Raises:
        BadValue: `attributes` or `commands` name what this class does not have.
    """

    whole: str = ""
    """Name of the component that is recorded under the device's own key, such as a motor's readback."""

    trigger: Any = None  # ophyd's does nothing, and bluesky would send it and wait for it at every point

    commands: ClassVar[Mapping[str, str]] = {}
    """What devices of this class do → the Tango command for it."""

    def __init__(
        self,
        tango: str,
        *,
        name: str,
        call_timeout_s: float = 2.5,
        attributes: Mapping[str, str | None] | None = None,
        commands: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        _refuse_unknown(name, "component", attributes or {}, self.component_names)
        _refuse_unknown(name, "action", commands or {}, type(self).commands)
        self.command_of = {**type(self).commands, **(commands or {})}
        record_objects_by_key()
        self.link = TangoLink(tango, name=name, timeout_s=call_timeout_s)
        super().__init__("", name=name, **kwargs)
        for attribute in self.component_names:
            key = name if attribute == self.whole else f"{name}.{attribute}"
            getattr(self, attribute).record_as(f"{name}.{attribute}", key_of(key))
        for component, named in (attributes or {}).items():
            signal = getattr(self, component)
            if named is None:
                signal.kind = Kind.omitted
            else:
                signal.attribute = named

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name.startswith("_") or "." in name:
                raise
            raise NoSuchComponent(self, name) from None

    def record_as(self, expression: str, key: str) -> None:
        """Take the name `expression`; `key` belongs to the component that stands for the whole."""
        self.name = self.link.name = expression
        self.key = key

    def read(self) -> Documents:
        """Readings of all normal components, by one call."""
        return self._read_together(self._signals_of(Kind.normal))

    def describe(self) -> Documents:
        """Data keys of all normal components."""
        return merge(signal.describe() for signal in self._signals_of(Kind.normal))

    def read_configuration(self) -> Documents:
        """Readings of the configuration, by one call."""
        return self._read_together(self._configuration())

    def describe_configuration(self) -> Documents:
        """Data keys of the configuration."""
        return merge(signal.describe() for signal in self._configuration())

    def status_text(self) -> str:
        """What the device says of its state."""
        return self.link.status_text()

    @property
    def state(self) -> str:
        """Tango state now, such as "ON" or "MOVING"."""
        return self.link.state()

    def destroy(self) -> None:
        """Give up the connection."""
        super().destroy()
        self.link.close()

    def _signals_of(self, kind: Any) -> list[TangoSignal]:
        return [component for _, component in self._get_components_of_kind(kind)]

    def _configuration(self) -> list[TangoSignal]:
        known = {name.lower() for name in self.link.attributes()}
        return [signal for signal in self._signals_of(Kind.config) if signal.attribute.lower() in known]

    def _read_together(self, signals: list[TangoSignal]) -> Documents:
        if not signals:
            return {}
        readings = self.link.read(*dict.fromkeys(signal.attribute for signal in signals))
        return merge(signal.reading_of(readings[signal.attribute]) for signal in signals)

    def _refuse_fault(self, state: str, action: str) -> None:
        """Raise when the device ended in FAULT or UNKNOWN; ALARM is a warning of its own, not the end of an action."""
        if state in ("FAULT", "UNKNOWN"):
            raise DeviceFault(
                f"{self.name}: failed to {action}",
                seen=f"state {state}: {self.link.status_text()}",
                remedy=f"look at {self.link.device}, then give it the command Init",
            )


def _refuse_unknown(name: str, what: str, given: Mapping[str, Any], known: Any) -> None:
    for key in given:
        if key not in known:
            raise BadValue(f"{name}: has no {what} {key!r}", remedy=find_nearest(key, list(known)))


def merge(parts: Iterable[Documents]) -> Documents:
    """One document of several that share no key."""
    merged: Documents = {}
    for part in parts:
        merged.update(part)
    return merged
