"""Checks that call Init or restart the server: it comes back as it was, with its set points and its configuration."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tango

from mamba.administration.contract.finding import Finding, failed, join_names, passed, skipped
from mamba.administration.contract.moving import choose_target
from mamba.administration.contract.writing import find_restorable, is_same
from mamba.administration.control_system import read_reason
from mamba.administration.subject import BUSY, FLOATS, Subject
from mamba.errors import DeviceTimeout

_RESTART_S = 30.0
_KEPT = "__value"  # where Tango itself, and our servers behind the scenes, keep set points
_FIELDS = (
    "label",
    "unit",
    "display_unit",
    "standard_unit",
    "format",
    "min_value",
    "max_value",
    "description",
    "enum_labels",
)

Configuration = dict[str, tuple[Any, ...]]


@dataclass(frozen=True)
class _Look:
    """What must be the same after a restart."""

    state: tango.DevState
    set_points: dict[str, float | int | str | None]
    configuration: Configuration


def find_kept(subject: Subject) -> list[str]:
    """Set points that are meant to survive a restart: memorized by Tango, or kept in the database."""
    names = [info.name for info in subject.set_points]
    stored = subject.database.get_device_attribute_property(subject.name, names) if names else {}
    return [
        info.name
        for info in subject.set_points
        if info.memorized in (tango.AttrMemorizedType.MEMORIZED, tango.AttrMemorizedType.MEMORIZED_WRITE_INIT)
        or stored.get(info.name, {}).get(_KEPT)
    ]


def _look(subject: Subject) -> _Look:
    return _Look(
        subject.device.state(),
        {name: subject.read_set_point(name) for name in find_kept(subject)},
        {info.name: tuple(str(getattr(info, field)) for field in _FIELDS) for info in subject.attributes},
    )


def check_init(subject: Subject) -> Finding:
    """Init ends without error and leaves State, kept set points and attribute configuration as they were."""
    return _check_return(subject, "Init", lambda: subject.device.command_inout("Init"))


def check_restart(subject: Subject) -> Finding:
    """So does RestartServer, which builds every device of the server anew."""
    return _check_return(subject, "RestartServer", lambda: _restart_server(subject))


def check_kept(subject: Subject) -> Finding:
    """A kept set point that was changed just before a restart has its new value afterwards; it is put back."""
    check = "memorized values survive"
    kept = [info for info in subject.set_points if info.name in find_kept(subject) and info.data_type in FLOATS]
    given = {info.name: find_restorable(subject, info) for info in kept}
    if not kept:
        return skipped(check, "no float set point is memorized or kept in the database")
    wanted = {info.name: choose_target(info, given[info.name]) for info in kept}
    try:
        _write_all(subject, wanted)
        _restart_server(subject)
        _wait_until_back(subject)
        found = {name: subject.read_set_point(name) for name in wanted}
    finally:
        _write_all(subject, given)
    lost = [f"{name} {wanted[name]:g} → {found[name]}" for name in wanted if not is_same(wanted[name], found[name])]
    if lost:
        return failed(check, "; ".join(lost), "memorize them, or keep them in the database and save at the end")
    return passed(check, f"{join_names(list(wanted))}: changed, restarted, still there")


def _write_all(subject: Subject, values: dict[str, Any]) -> None:
    for name, value in values.items():
        subject.device.write_attribute(name, value)
        subject.wait_while(BUSY, _RESTART_S)


def _check_return(subject: Subject, command: str, call: Callable[[], object]) -> Finding:
    check = f"{command} brings it back"
    before = _look(subject)
    began = time.monotonic()
    try:
        call()
        _wait_until_back(subject)
    except tango.DevFailed as refusal:
        return failed(check, f"{command}: {read_reason(refusal)}", "see the server's log")
    except DeviceTimeout as timeout:
        return failed(check, timeout.seen, "see the server's log")
    took_s = time.monotonic() - began
    after = _look(subject)
    return _compare(check, before, after) or passed(
        check, f"{after.state} after {took_s:.1f} s, {len(after.set_points)} kept set points and configuration the same"
    )


def _compare(check: str, before: _Look, after: _Look) -> Finding | None:
    if after.state != before.state:
        return failed(
            check, f"State {before.state} → {after.state}", "let it come back as it was; Status should say why"
        )
    lost = [
        f"{name} {value} → {after.set_points.get(name)}"
        for name, value in before.set_points.items()
        if not is_same(value, after.set_points.get(name))
    ]
    if lost:
        return failed(check, "; ".join(lost), "take up the kept set points at start, before the first read")
    changed = [name for name, config in before.configuration.items() if after.configuration.get(name) != config]
    if changed:
        return failed(
            check, f"configuration changed: {join_names(changed)}", "keep what an administrator wrote into the database"
        )
    return None


def _restart_server(subject: Subject) -> None:
    """Ask for a restart and wait until it took place: the command returns while the old devices still answer."""
    devices = [told.partition("::")[2] for told in subject.admin.command_inout("QueryDevice")]
    before = _read_addresses(subject, devices)
    subject.admin.command_inout("RestartServer")
    deadline = time.monotonic() + _RESTART_S
    # Each new device is exported under a new address.
    while waiting := [name for name, address in _read_addresses(subject, devices).items() if address == before[name]]:
        if time.monotonic() > deadline:
            seen = f"not exported anew {_RESTART_S:g} s after RestartServer: {join_names(waiting)}"
            raise DeviceTimeout(f"{subject.name}: is not back", seen=seen)
        time.sleep(0.02)  # between two looks at a condition with a deadline


def _read_addresses(subject: Subject, devices: list[str]) -> dict[str, str]:
    return {name: str(subject.database.get_device_info(name).ior) for name in devices}


def _wait_until_back(subject: Subject) -> None:
    """Until the device answers and neither moves nor starts; DeviceTimeout when it does not."""
    deadline = time.monotonic() + _RESTART_S
    while True:
        try:
            if subject.device.state() not in (tango.DevState.MOVING, tango.DevState.INIT):
                return
            why = f"State is still {subject.device.state()}"
        except tango.DevFailed as refusal:
            why = read_reason(refusal)
        if time.monotonic() > deadline:
            raise DeviceTimeout(f"{subject.name}: is not back", seen=f"{why}, {_RESTART_S:g} s after the restart")
        time.sleep(0.05)  # between two looks at a condition with a deadline
