"""A Tango device under examination: its proxy, its server's admin device, its database.

One clear error when it cannot be examined at all. Names are read from the device when they are needed, because a
restart may change them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import tango

from mamba.administration.control_system import open_database, read_reason
from mamba.errors import DeviceTimeout, DeviceUnreachable, UnknownDevice, find_nearest

CALL_TIMEOUT_S = 3.0
NUMBERS = frozenset(
    {
        tango.DevShort,
        tango.DevLong,
        tango.DevLong64,
        tango.DevUShort,
        tango.DevULong,
        tango.DevULong64,
        tango.DevUChar,
        tango.DevFloat,
        tango.DevDouble,
    }
)
FLOATS = frozenset({tango.DevFloat, tango.DevDouble})
BUSY = frozenset({tango.DevState.MOVING, tango.DevState.RUNNING})
_WRITTEN = frozenset({tango.AttrWriteType.READ_WRITE, tango.AttrWriteType.READ_WITH_WRITE})


@dataclass(frozen=True)
class Subject:
    """One device and what stands around it.

    Attributes:
        name: device name, as the database spells it.
        device: proxy of the device.
        admin: proxy of its server's admin device.
        database: the database it is registered in.
    """

    name: str
    device: tango.DeviceProxy
    admin: tango.DeviceProxy
    database: tango.Database

    @property
    def attributes(self) -> list[tango.AttributeInfoEx]:
        """Configuration of all attributes but State and Status, as the running server says it."""
        return [info for info in self.device.attribute_list_query_ex() if info.name not in ("State", "Status")]

    @property
    def set_points(self) -> list[tango.AttributeInfoEx]:
        """Configuration of the scalar numeric attributes that can be written and read back."""
        return [info for info in self.attributes if is_set_point(info)]

    @property
    def commands(self) -> dict[str, tango.CommandInfo]:
        """What the server says of its commands, Init, State and Status left out."""
        found = {info.cmd_name: info for info in self.device.command_list_query()}
        return {name: info for name, info in found.items() if name not in ("Init", "State", "Status")}

    def read_set_point(self, attribute: str) -> float | int | str | None:
        """The last value written; None where the attribute has none."""
        value: float | int | str | None = self.device.read_attribute(attribute).w_value
        return value

    def wait_while(self, states: frozenset[tango.DevState], timeout_s: float) -> tango.DevState:
        """Until State is none of these; returns it. DeviceTimeout when that takes too long."""
        return self._wait(lambda state: state not in states, f"leaves {_list_states(states)}", timeout_s)

    def _wait(self, wanted: Callable[[tango.DevState], bool], what: str, timeout_s: float) -> tango.DevState:
        deadline = time.monotonic() + timeout_s
        while not wanted(state := self.device.state()):
            if time.monotonic() > deadline:
                raise DeviceTimeout(
                    f"{self.name}: does not stop", seen=f"State is still {state}; waited until it {what}"
                )
            time.sleep(0.02)  # between two looks at a condition with a deadline
        return state


def _list_states(states: frozenset[tango.DevState]) -> str:
    return " and ".join(sorted(str(state) for state in states))


def is_set_point(info: tango.AttributeInfoEx) -> bool:
    """Whether an attribute is a scalar number (no enum) that can be written and read back."""
    return info.data_format == tango.AttrDataFormat.SCALAR and info.data_type in NUMBERS and info.writable in _WRITTEN


def open_subject(host: str, name: str) -> Subject:
    """Find a device in the control system at HOST:PORT and its running server.

    Raises:
        FacilityError: the database does not answer.
        UnknownDevice: the database does not know the device.
        DeviceUnreachable: its server does not run, or does not answer.
    """
    database = open_database(host)
    try:
        info = database.get_device_info(name)
    except tango.DevFailed:
        known = [known for known in database.get_device_exported("*") if not known.startswith("dserver/")]
        is_complete = name.count("/") == 2
        remedy = find_nearest(name.lower(), known) if is_complete else "write DOMAIN/FAMILY/MEMBER or an alias"
        raise UnknownDevice(f"{name}: cannot be examined", seen=f"no device of {host}", remedy=remedy) from None
    if not info.exported:
        raise DeviceUnreachable(
            f"{name}: cannot be examined, its server {info.ds_full_name} does not run",
            seen="registered in the database, exported by nobody",
            remedy=f"start {info.ds_full_name}",
        )
    try:
        device = tango.DeviceProxy(f"tango://{host}/{name}")
        device.set_timeout_millis(int(CALL_TIMEOUT_S * 1000))
        device.ping()
        admin = tango.DeviceProxy(f"tango://{host}/dserver/{info.ds_full_name}")
        admin.set_timeout_millis(int(CALL_TIMEOUT_S * 1000))
        admin.ping()
    except tango.DevFailed as failed:
        raise DeviceUnreachable(
            f"{name}: cannot be examined, its server {info.ds_full_name} does not answer",
            seen=read_reason(failed),
            remedy=f"start {info.ds_full_name} on {info.host}",
        ) from None
    return Subject(info.name or name, device, admin, database)
