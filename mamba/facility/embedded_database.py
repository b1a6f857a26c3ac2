"""The embedded Tango database with the commands that administrators' tools call and PyDatabaseds lacks.

`python -m mamba.facility.embedded_database` takes PyDatabaseds' own options. Added, with the names, arguments and
answers of Tango's C++ DataBaseds (its `command_list_query`; upstream: gitlab.com/tango-controls/TangoDatabase):

- `DbGetForwardedAttributeListForDevice`: which forwarded attributes have their root in a device; Jive asks before it
  deletes or renames one.
- `DbGetDeviceAlias` of a device without one: PyDatabaseds fails with a TypeError; Tango's own says that there is none.
- The histories of device and class properties and of a device's attribute configuration: PyDatabaseds writes a deletion
  down as the value "DELETED" and hands it out as such; Tango's clients know one by its number of values, 0.
- The pipe commands. Pipes left Tango with 10.0, and PyDatabaseds keeps none: lists and histories are empty, there is
  nothing to delete, and to write one is refused. Jive asks for the lists when it shows, copies or deletes a device.
"""

from __future__ import annotations

from typing import Any

import tango
from databaseds import database as upstream
from databaseds.db_access.sqlite3 import read_transaction
from tango.server import command


@read_transaction
def _select_forwarded(db: Any, device: str) -> list[tuple[str, str, str]]:
    db.cursor.execute(
        "SELECT device, attribute, value FROM property_attribute_device "
        r"WHERE name = '__root_att' AND value LIKE ? ESCAPE '\' ORDER BY device, attribute",
        (f"{upstream.replace_wildcard(device)}/%",),
    )
    return [tuple(row) for row in db.cursor.fetchall()]


class DataBase(upstream.DataBase):  # Tango's class name is the Python one: the tools ask for DataBase
    """PyDatabaseds' device with the commands above."""

    @command(dtype_in=str, doc_in="The specified device name", dtype_out=(str,), doc_out="Device, attribute, root, ...")
    def DbGetForwardedAttributeListForDevice(self, device: str) -> list[str]:
        """Device, forwarded attribute and root attribute, for each whose root is in `device`."""
        return [text for row in _select_forwarded(self.db, device) for text in row]

    @command(dtype_in=str, doc_in="The device name", dtype_out=str, doc_out="The alias found")
    def DbGetDeviceAlias(self, device: str) -> str:
        """The alias; an error where there is none."""
        try:
            alias = super().DbGetDeviceAlias(device)
        except tango.DevFailed as failure:
            if failure.args[0].reason != "DB_DeviceNotDefined":
                raise
            alias = None
        if not alias:
            text = f"No alias found for device '{device}'"
            tango.Except.throw_exception("DB_AliasNotDefined", text, "DataBase.DbGetDeviceAlias")
        return str(alias)

    @command(dtype_in=(str,), doc_in="Device name, property name", dtype_out=(str,), doc_out="Name, date, number, ...")
    def DbGetDevicePropertyHist(self, asked: list[str]) -> list[str]:
        """What the property was, the oldest first; a deletion has no values."""
        return _mark_deletions(self.db.get_device_property_hist(*asked[:2]), head=2)

    @command(dtype_in=(str,), doc_in="Tango class, property name", dtype_out=(str,), doc_out="Name, date, number, ...")
    def DbGetClassPropertyHist(self, asked: list[str]) -> list[str]:
        """What the property was, the oldest first; a deletion has no values."""
        return _mark_deletions(self.db.get_class_property_hist(*asked[:2]), head=2)

    @command(
        dtype_in=(str,),
        doc_in="Device, attribute, property name",
        dtype_out=(str,),
        doc_out="Attribute, name, date, ...",
    )
    def DbGetDeviceAttributePropertyHist(self, asked: list[str]) -> list[str]:
        """What the configuration was, the oldest first; a deletion has no values."""
        return _mark_deletions(self.db.get_device_attribute_property_hist(*asked[:3]), head=3)

    @command(dtype_in=(str,), doc_in="Device name, wildcard", dtype_out=(str,), doc_out="Pipe name list")
    def DbGetDevicePipeList(self, _: list[str]) -> list[str]:
        """No pipe is kept."""
        return []

    @command(dtype_in=(str,), doc_in="Tango class name, pipe name filter", dtype_out=(str,), doc_out="Pipe name list")
    def DbGetClassPipeList(self, _: list[str]) -> list[str]:
        """No pipe is kept."""
        return []

    @command(dtype_in=(str,), doc_in="Device name, pipe name, property name", dtype_out=(str,), doc_out="History")
    def DbGetDevicePipePropertyHist(self, _: list[str]) -> list[str]:
        """No pipe is kept, so nothing was ever written."""
        return []

    @command(dtype_in=(str,), doc_in="Tango class, pipe name, property name", dtype_out=(str,), doc_out="History")
    def DbGetClassPipePropertyHist(self, _: list[str]) -> list[str]:
        """No pipe is kept, so nothing was ever written."""
        return []

    @command(dtype_in=(str,), doc_in="Device name, pipe names")
    def DbDeleteAllDevicePipeProperty(self, _: list[str]) -> None:
        """Nothing to delete."""

    @command(dtype_in=(str,), doc_in="Device name, pipe name")
    def DbDeleteDevicePipe(self, _: list[str]) -> None:
        """Nothing to delete."""

    @command(dtype_in=(str,), doc_in="Device name, pipe name, property names")
    def DbDeleteDevicePipeProperty(self, _: list[str]) -> None:
        """Nothing to delete."""

    @command(dtype_in=(str,), doc_in="Tango class name, pipe name")
    def DbDeleteClassPipe(self, _: list[str]) -> None:
        """Nothing to delete."""

    @command(dtype_in=(str,), doc_in="Tango class name, pipe name, property names")
    def DbDeleteClassPipeProperty(self, _: list[str]) -> None:
        """Nothing to delete."""

    @command(dtype_in=(str,), doc_in="Device name, number of pipes, pipe name, properties")
    def DbPutDevicePipeProperty(self, given: list[str]) -> None:
        """Refused: pipes left Tango with 10.0."""
        _refuse_pipe("DbPutDevicePipeProperty", given)

    @command(dtype_in=(str,), doc_in="Tango class name, number of pipes, pipe name, properties")
    def DbPutClassPipeProperty(self, given: list[str]) -> None:
        """Refused: pipes left Tango with 10.0."""
        _refuse_pipe("DbPutClassPipeProperty", given)


def _mark_deletions(history: list[str], *, head: int) -> list[str]:
    """A history in Tango's flat form (`head` words, number of values, values) whose deletions have no value."""
    told: list[str] = []
    rest = list(history)
    while rest:
        words, number = rest[:head], int(rest[head])
        values = rest[head + 1 : head + 1 + number]
        rest = rest[head + 1 + number :]
        told += [*words, "0"] if values == ["DELETED"] else [*words, str(number), *values]
    return told


def _refuse_pipe(what: str, given: list[str]) -> None:
    owner = given[0] if given else "nothing"
    text = f"{owner}: the embedded database keeps no pipes, Tango 10 has none. Use an attribute or a property."
    tango.Except.throw_exception("DB_PipesNotKept", text, f"DataBase.{what}")


def main() -> None:
    """Run PyDatabaseds with our class in the place of its own."""
    upstream.DataBase = DataBase  # its `main` makes the device of this name
    upstream.main()


if __name__ == "__main__":
    main()
