"""What running servers declare, and how they are told of a new configuration of their attributes."""

from __future__ import annotations

from collections.abc import Iterable

import tango

from mamba.administration.configuration.difference import Change
from mamba.administration.configuration.entries import (
    ATTRIBUTE,
    CLASS_ATTRIBUTE,
    CLASS_PROPERTY,
    DEVICE,
    POLLING,
    PROPERTY,
)
from mamba.administration.configuration.wanted import Wanted
from mamba.administration.control_system import read_reason

_TIMEOUT_MS = 3000
_ALARMS = ["min_alarm", "max_alarm", "min_warning", "max_warning", "delta_t", "delta_val"]
_UNTELLABLE = "the server does not answer: in force when it starts"


def read_declared(database: tango.Database, host: str, wanted: Wanted) -> dict[str, dict[str, str]]:
    """Class in small letters → property → default, from one running server of each class that the file names."""
    declared: dict[str, dict[str, str]] = {}
    classes = {(e.values[1], e.values[0]) for e in wanted.entries.values() if e.kind == DEVICE}
    exported = {name.lower() for name in database.get_device_exported("dserver/*").value_string}
    for class_name, server in sorted(classes):
        if class_name.lower() in declared or f"dserver/{server}".lower() not in exported:
            continue
        try:
            words = _connect(host, f"dserver/{server}").command_inout("QueryWizardDevProperty", class_name)
        except tango.DevFailed:
            continue  # exported but dead: nothing is known of its class, and nothing checked against it
        defaults = zip(words[::3], words[2::3], strict=True)
        declared[class_name.lower()] = {n: "" if d == "Not specified" else d for n, d in defaults}
    return declared


def _connect(host: str, device: str) -> tango.DeviceProxy:
    proxy = tango.DeviceProxy(f"tango://{host}/{device}")
    proxy.set_timeout_millis(_TIMEOUT_MS)
    return proxy


def tell_servers(
    database: tango.Database, host: str, changes: list[Change], *, is_putting_back: bool = False
) -> list[str]:
    """Tell running devices what changed; returns what is not in force yet, one line a device.

    While a failed apply is put back a refusal becomes such a line: what was refused once is refused again.

    Raises:
        tango.DevFailed: a server refused a configuration; those before it have taken theirs.
    """
    notes = []
    exported = {name.lower() for name in database.get_device_exported("*").value_string}
    by_device: dict[str, list[Change]] = {}
    for change in changes:
        by_device.setdefault(change.key[1], []).append(change)
    for device, found in by_device.items():
        kinds = {change.key[0] for change in found}
        if kinds & {CLASS_PROPERTY, CLASS_ATTRIBUTE}:
            notes.append(f"class {device}: read when its servers are restarted")
        elif DEVICE in kinds:
            notes.append(f"{device}: in force when its server is restarted")
        elif device in exported:
            try:
                notes += _tell_device(host, device, found)
            except tango.DevFailed as failed:
                if not is_putting_back:
                    raise
                notes.append(f"{device}: {read_reason(failed)}")
    return notes


def _tell_device(host: str, device: str, changes: list[Change]) -> list[str]:
    proxy = _connect(host, device)
    try:
        proxy.ping()
    except tango.DevFailed:
        return [f"{device}: {_UNTELLABLE}"]
    _tell_attributes(proxy, [change for change in changes if change.key[0] == ATTRIBUTE])
    _tell_polling(host, proxy, [change for change in changes if change.key[0] == POLLING])
    if any(change.key[0] == PROPERTY for change in changes):
        return [f"{device}: properties are read at its next Init"]
    return []


def _tell_attributes(proxy: tango.DeviceProxy, changes: Iterable[Change]) -> None:
    by_attribute: dict[str, list[Change]] = {}
    for change in changes:
        by_attribute.setdefault(change.entry.names[1], []).append(change)
    for attribute, found in by_attribute.items():
        info = proxy.get_attribute_config_ex([attribute])[0]
        for change in found:
            _set_field(info, change.entry.names[2], change.after.values if change.after is not None else ())
        proxy.set_attribute_config([info])


def _set_field(info: tango.AttributeInfoEx, name: str, lines: tuple[str, ...]) -> None:
    text = ",".join(lines)  # nothing: back to what the class says
    if name in _ALARMS:
        setattr(info.alarms, name, text)
    elif name in ("abs_change", "rel_change"):
        setattr(info.events.ch_event, name, text)
    elif name == "event_period":
        info.events.per_event.period = text
    elif name.startswith("archive_"):
        setattr(info.events.arch_event, name, text)
    elif name == "enum_labels":
        info.enum_labels = list(lines)
    elif hasattr(info, name):
        setattr(info, name, text)


def _tell_polling(host: str, proxy: tango.DeviceProxy, changes: Iterable[Change]) -> None:
    admin = _connect(host, "dserver/" + proxy.adm_name().rpartition("dserver/")[2])  # it may come with its host
    for change in changes:
        _, kind, name = change.entry.names
        target = [proxy.dev_name(), kind, name]
        is_polled = proxy.is_attribute_polled(name) if kind == "attribute" else proxy.is_command_polled(name)
        if change.after is None and is_polled:
            admin.command_inout("RemObjPolling", target)
        elif change.after is not None:
            verb = "UpdObjPollingPeriod" if is_polled else "AddObjPolling"
            admin.command_inout(verb, ([int(change.after.values[0])], target))
