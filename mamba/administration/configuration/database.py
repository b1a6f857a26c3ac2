"""The thin face to a Tango database: everything in five requests, and one change at a time back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

import tango

from mamba.administration.configuration.difference import Change
from mamba.administration.configuration.entries import (
    ALIAS,
    ATTRIBUTE,
    CLASS_ATTRIBUTE,
    CLASS_PROPERTY,
    DEVICE,
    POLLING,
    PROPERTY,
    STARTER,
    Entry,
    Snapshot,
    make_key,
    make_snapshot,
)
from mamba.administration.control_system import read_reason
from mamba.errors import ConfigurationError

POLLED = {"attribute": "polled_attr", "command": "polled_cmd"}
"""The device properties in which Tango keeps polling periods: name, ms, name, ms, …"""

_KIND_OF_POLLED = {name: kind for kind, name in POLLED.items()}
_ORDER = (ALIAS, POLLING, PROPERTY, ATTRIBUTE, CLASS_PROPERTY, CLASS_ATTRIBUTE, STARTER)


def read_snapshot(database: tango.Database) -> Snapshot:
    """Everything that the database keeps and a file can say; the database's own server is left out.

    `DbMySqlSelect` is used since both databases have it: one request for a table instead of several for each device.

    Raises:
        ConfigurationError: the database does not answer.
    """
    try:
        return make_snapshot(_read_entries(database))
    except tango.DevFailed as failed:
        raise ConfigurationError(
            "Tango database: cannot be read", seen=read_reason(failed), remedy="see its log"
        ) from None


def _read_entries(database: tango.Database) -> Iterator[Entry]:
    own: set[str] = set()
    for name, server, class_name, alias in _select(database, "name, server, class, alias", "device"):
        if server.lower().startswith("databaseds/"):
            own.add(name.lower())
            continue
        yield Entry(DEVICE, (name,), (server, class_name))
        if alias:
            yield Entry(ALIAS, (name,), (alias,))
    for (device, name), lines in _group(_select(database, "device, name, count, value", "property_device")):
        if device.lower() not in own:
            yield from split_polling(device, name, lines)
    rows = _select(database, "device, attribute, name, count, value", "property_attribute_device")
    yield from (Entry(ATTRIBUTE, (*names,), lines) for names, lines in _group(rows) if names[0].lower() not in own)
    rows = _select(database, "class, name, count, value", "property_class")
    yield from (Entry(CLASS_PROPERTY, (*names,), lines) for names, lines in _group(rows))
    rows = _select(database, "class, attribute, name, count, value", "property_attribute_class")
    yield from (Entry(CLASS_ATTRIBUTE, (*names,), lines) for names, lines in _group(rows))
    for name, host, mode, level in _select(database, "name, host, mode, level", "server"):
        if mode == "1":
            yield Entry(STARTER, (name,), (host, level))


def split_polling(device: str, name: str, lines: tuple[str, ...]) -> Iterator[Entry]:
    """The entries of a device property; polling periods become one entry each."""
    kind = _KIND_OF_POLLED.get(name.lower())
    if kind is None or len(lines) % 2:
        yield Entry(PROPERTY, (device, name), lines)
        return
    for polled, period in zip(lines[::2], lines[1::2], strict=True):
        yield Entry(POLLING, (device, kind, polled), (period,))


def _select(database: tango.Database, columns: str, table: str) -> Iterator[tuple[str, ...]]:
    _, texts = database.command_inout("DbMySqlSelect", f"SELECT {columns} FROM {table}")  # noqa: S608  fixed words
    width = columns.count(",") + 1
    for start in range(0, len(texts), width):
        yield tuple(_decode(text) for text in texts[start : start + width])


def _decode(text: str) -> str:
    """PyTango writes properties as UTF-8, and reads this command's answer as Latin-1."""
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text


def _group(rows: Iterable[tuple[str, ...]]) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Names → lines, in the order of the rows' `count`."""

    def fold(row: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(name.lower() for name in row[:-2])

    for _, group in groupby(sorted(rows, key=lambda row: (fold(row), int(row[-2]))), key=fold):
        found = list(group)
        yield found[0][:-2], tuple(row[-1] for row in found)


def write_changes(database: tango.Database, changes: list[Change], live: Snapshot) -> None:
    """Make the database keep what the changes say; `live` is what it keeps now.

    Raises:
        tango.DevFailed: it refused one; those before it are written.
    """
    gone = {c.key[1] for c in changes if c.key[0] == DEVICE and c.after is None}
    placed = {c.key[1] for c in changes if c.key[0] == DEVICE and c.after is not None}
    rest = [change for change in changes if change.key[1] not in gone or change.key[0] in (CLASS_PROPERTY, STARTER)]
    for change in changes:  # first, so that an alias can go from one device to another
        if change.key[0] == ALIAS and change.before is not None:
            database.delete_device_alias(change.before.values[0])
    for change in changes:
        if change.key[0] == DEVICE:
            _write_device(database, change)
    for kind in _ORDER:
        found = [change for change in rest if change.key[0] == kind]
        for _, group in groupby(sorted(found, key=lambda c: c.key[1]), key=lambda c: c.key[1]):
            _WRITERS[kind](database, list(group), live)
    changed = {c.key[1] for c in changes if c.key[0] == ALIAS}
    for device in placed - changed:  # a device that is entered anew loses its alias
        if (alias := live.get(make_key(ALIAS, device))) is not None:
            database.put_device_alias(device, alias.values[0])
    _drop_empty_servers(database, changes)


def _write_device(database: tango.Database, change: Change) -> None:
    name = change.entry.names[0]
    if change.after is None:
        database.delete_device(name)
        return
    info = tango.DbDevInfo()
    info.name, info.server, info._class = name, *change.after.values
    database.add_device(info)


def _drop_empty_servers(database: tango.Database, changes: list[Change]) -> None:
    """A server whose last device went has only its admin device left, which was entered by the database itself."""
    servers = {c.before.values[0] for c in changes if c.key[0] == DEVICE and c.before is not None}
    for server in sorted(servers):
        if len(database.get_device_class_list(server).value_string) <= 2:
            database.delete_server(server)


def _write_aliases(database: tango.Database, changes: list[Change], live: Snapshot) -> None:
    for change in changes:
        if change.after is not None:
            database.put_device_alias(change.after.names[0], change.after.values[0])


def _write_polling(database: tango.Database, changes: list[Change], live: Snapshot) -> None:
    device = changes[0].entry.names[0]
    periods = {key: entry for key, entry in live.items() if key[:2] == (POLLING, changes[0].key[1])}
    periods |= {change.key: change.after for change in changes if change.after is not None}
    for change in changes:
        if change.after is None:
            periods.pop(change.key, None)
    for kind in {change.key[2] for change in changes}:
        lines = [text for e in periods.values() if e.key[2] == kind for text in (e.names[2], e.values[0])]
        if lines:
            database.put_device_property(device, {POLLED[kind]: lines})
        else:
            database.delete_device_property(device, [POLLED[kind]])


def _write_properties(database: tango.Database, changes: list[Change], live: Snapshot) -> None:
    device = changes[0].entry.names[0]
    put = {c.after.names[1]: list(c.after.values) for c in changes if c.after is not None}
    drop = [c.entry.names[1] for c in changes if c.after is None]
    is_class = changes[0].key[0] == CLASS_PROPERTY
    if put:
        (database.put_class_property if is_class else database.put_device_property)(device, put)
    if drop:
        (database.delete_class_property if is_class else database.delete_device_property)(device, drop)


def _write_attributes(database: tango.Database, changes: list[Change], live: Snapshot) -> None:
    owner = changes[0].entry.names[0]
    is_class = changes[0].key[0] == CLASS_ATTRIBUTE
    put: dict[str, dict[str, list[str]]] = {}
    drop: dict[str, list[str]] = {}
    for change in changes:
        _, attribute, name = change.entry.names
        if change.after is None:
            drop.setdefault(attribute, []).append(name)
        else:
            put.setdefault(attribute, {})[name] = list(change.after.values)
    if put:
        (database.put_class_attribute_property if is_class else database.put_device_attribute_property)(owner, put)
    delete = database.delete_class_attribute_property if is_class else database.delete_device_attribute_property
    if drop:
        delete(owner, drop)


def _write_starter(database: tango.Database, changes: list[Change], live: Snapshot) -> None:
    for change in changes:
        if change.after is None:
            database.delete_server_info(change.entry.names[0])
            continue
        info = tango.DbServerInfo()
        info.name, info.host, info.mode = change.after.names[0], change.after.values[0], 1
        info.level = int(change.after.values[1])
        database.put_server_info(info)


_WRITERS = {
    ALIAS: _write_aliases,
    POLLING: _write_polling,
    PROPERTY: _write_properties,
    ATTRIBUTE: _write_attributes,
    CLASS_PROPERTY: _write_properties,
    CLASS_ATTRIBUTE: _write_attributes,
    STARTER: _write_starter,
}
