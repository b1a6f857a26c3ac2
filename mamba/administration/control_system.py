"""The Tango control system that a command works on: its database, and what a refusal of Tango says."""

from __future__ import annotations

import tango

from mamba.errors import FacilityError


def open_database(host: str) -> tango.Database:
    """The database at HOST:PORT.

    Raises:
        FacilityError: nothing answers there.
    """
    name, _, port = host.rpartition(":")
    try:
        database = tango.Database(name, int(port))
        database.get_info()
    except tango.DevFailed as failed:
        raise FacilityError(
            f"Tango database {host}: does not answer",
            seen=read_reason(failed),
            remedy="see that it runs there, or give another --host HOST:PORT",
        ) from None
    return database


def read_reason(failed: tango.DevFailed) -> str:
    """The first line of what a Tango exception says."""
    return str(failed.args[0].desc).strip().splitlines()[0] if failed.args else "no reason given"
