"""Faults of simulated devices, set from outside: each of our simulated servers has the attributes Fault and Faults."""

from __future__ import annotations

import time
from dataclasses import dataclass

import tango

from mamba.errors import BadValue, DeviceUnreachable
from mamba.facility.tango_admin import read_reason

PATIENCE_S = 30.0
"""How long a device may keep us waiting: one that simulates a time-out is slow to be cured of it."""
_CALL_MS = 15_000


@dataclass(frozen=True)
class Faults:
    """What a device simulates now, and what it can simulate."""

    now: str
    known: tuple[str, ...]


def read_faults(host: str, device: str) -> Faults:
    """The faults of the Tango device `device` in the control system at `host` (HOST:PORT).

    Raises:
        DeviceUnreachable: it does not answer.
        BadValue: it is no simulation.
    """
    proxy = _connect(host, device)
    return Faults(str(proxy.read_attribute("Fault").value), tuple(proxy.read_attribute("Faults").value or ()))


def set_fault(host: str, device: str, fault: str) -> None:
    """Let `device` misbehave by `fault`, or behave with "none"; returns when it does.

    Raises:
        DeviceUnreachable: it does not answer.
        BadValue: it is no simulation, or has no such fault; the device's own words.
    """
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            _connect(host, device).write_attribute("Fault", fault)
        except tango.DevFailed as failed:
            if failed.args[0].reason == "API_InvalidArgs":
                raise BadValue(str(failed.args[0].desc).strip()) from None
            # While it simulates a time-out, callers wait in line for it: ours may be refused before its turn comes.
            if time.monotonic() > deadline:
                raise DeviceUnreachable(
                    f"{device}: cannot be told to simulate {fault}",
                    seen=read_reason(failed),
                    remedy="start its server anew: that ends every fault",
                ) from None
        else:
            return


def _connect(host: str, device: str) -> tango.DeviceProxy:
    try:
        proxy = tango.DeviceProxy(f"tango://{host}/{device}")
        proxy.set_timeout_millis(_CALL_MS)
        proxy.get_attribute_config("Fault")
    except tango.DevFailed as failed:
        if failed.args[0].reason == "API_AttrNotFound":
            raise BadValue(
                f"{device}: cannot simulate a fault",
                seen="it has no attribute Fault, so it is no simulation of Mamba's",
                remedy="choose a device of the virtual beamline",
            ) from None
        raise DeviceUnreachable(
            f"{device}: cannot be reached at {host}",
            seen=read_reason(failed),
            remedy="see with 'mambactl status' whether its server runs",
        ) from None
    return proxy
