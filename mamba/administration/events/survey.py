"""The same question about every device of a control system at once, in few words."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import tango

from mamba.administration.control_system import open_database, read_reason
from mamba.administration.events.diagnosis import Source, diagnose
from mamba.administration.subject import open_subject
from mamba.errors import MambaError

_AT_ONCE = 16
# Devices of Tango itself.
_FAMILIES = ("dserver/", "sys/database/", "sys/access_control/", "tango/admin/")


@dataclass(frozen=True)
class DeviceEvents:
    """How many attributes of a device have events from where; `seen` says why nothing is known, empty when it is."""

    device: str
    pushed: int = 0
    polled: int = 0
    without: int = 0
    troubled: int = 0
    state: str = ""
    seen: str = ""


def survey_events(host: str) -> list[DeviceEvents]:
    """Look at every exported device of the control system at HOST:PORT; one that is dead costs a line, not the rest."""
    database = open_database(host)
    names = [name for name in database.get_device_exported("*") if not name.lower().startswith(_FAMILIES)]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(lambda name: _look(host, name), names))


def _look(host: str, name: str) -> DeviceEvents:
    with tango.EnsureOmniThread():
        try:
            lines = diagnose(open_subject(host, name), 0.0).attributes
        except MambaError as error:
            return DeviceEvents(name, seen=error.seen or error.what)
        except tango.DevFailed as failed:
            return DeviceEvents(name, seen=read_reason(failed))
    number = {source: sum(line.source == source for line in lines) for source in Source}
    state = next((line.source for line in lines if line.name == "State"), Source.NONE)
    troubled = sum(bool(line.trouble) and line.source != Source.NONE for line in lines)
    return DeviceEvents(name, number[Source.PUSHED], number[Source.POLLED], number[Source.NONE], troubled, str(state))
