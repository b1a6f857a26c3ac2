"""mambactl sim: simulated devices that misbehave on purpose, for training and tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from mamba.cli.settings import Settings
from mamba.cli.tango_host import find_tango_host, host_option
from mamba.errors import UnknownDevice, find_nearest

if TYPE_CHECKING:
    from mamba.config import Profile


@click.group()
def sim() -> None:
    """Let simulated devices misbehave, for training: see docs/training.md."""


@sim.command()
@click.argument("device")
@click.argument("fault", default="list")
@host_option
@click.pass_obj
def fault(settings: Settings, *, device: str, fault: str, host: str | None) -> None:
    r"""Let DEVICE (M.energy, or a Tango name) misbehave by FAULT; 'none' ends it, 'list' says which it has.

    \b
    stuck            begins and never ends; nothing moves
    slow             moves take ten times as long
    following-error  moves end before the target, State is ALARM
    timeout          every call takes longer than a client waits
    nan              the value reads as not a number, quality INVALID
    offline          the server process ends at once, as in a crash
    """
    from mamba.facility.simulation import read_faults, set_fault

    address = find_address(settings, device)
    where = find_tango_host(settings, host)
    if fault == "list":
        found = read_faults(where, address)
        for word in ("none", *found.known):
            click.echo(f"{'*' if word == found.now else ' '} {word}")
        return
    set_fault(where, address, fault)
    click.echo(f"{device}: " + ("behaves again" if fault == "none" else f"simulates {fault}"))


def find_address(settings: Settings, device: str) -> str:
    """The Tango name of `device`: itself, or that of a device of the profile by its expression.

    Raises:
        UnknownDevice: the profile has no such device.
    """
    if device.count("/") == 2:
        return device
    known = dict(_list_devices(settings.profile))
    if device not in known:
        raise UnknownDevice(f"{device}: no such device in the profile", remedy=find_nearest(device, list(known)))
    return known[device]


def _list_devices(profile: Profile) -> Iterator[tuple[str, str]]:
    for group, devices in (("M", profile.devices.M), ("D", profile.devices.D)):
        for key, config in devices.items():
            yield f"{group}.{key}", config.tango
