"""mambactl tango events."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

import click

from mamba.cli.settings import Settings
from mamba.cli.tango_host import find_tango_host, host_option
from mamba.errors import MambaError

if TYPE_CHECKING:
    from rich.table import Table

    from mamba.administration.events import AttributeEvents, DeviceEvents

_COLOURS = {"well": "green", "silent": "yellow", "refused": "red", "unreadable": "red"}


@click.command()
@click.argument("devices", nargs=-1, metavar="[DEVICE]...")
@click.option("--listen", "listen_s", default=3.0, show_default=True, help="Seconds to listen to each device.")
@click.option("--all", "show_all", is_flag=True, help="Also the attributes that are well.")
@click.option("--json", "as_json", is_flag=True, help="Everything, as JSON.")
@host_option
@click.pass_obj
def events(
    settings: Settings, *, devices: tuple[str, ...], listen_s: float, show_all: bool, as_json: bool, host: str | None
) -> int:
    """Say which attributes send change events, which do not, and what to do about it.

    Without DEVICE every device of the control system is looked at, and only what is not well is shown. Nothing is
    changed. Ends with 1 where an attribute is polled in vain (silent) or cannot be read, or a device cannot be asked.
    """
    from mamba.administration.events import list_devices, look_at_device

    where = find_tango_host(settings, host)
    looks: list[DeviceEvents] = []
    failed = False
    for name in devices or list_devices(where):
        try:
            looks.append(look_at_device(where, name, listen_s=listen_s))
        except MambaError as error:
            if len(devices) == 1:
                raise
            click.echo(f"{error}\n", err=True)
            failed = True
            continue
        if not as_json:
            _show(looks[-1], show_all=show_all or bool(devices))
    if as_json:
        click.echo(json.dumps([_as_data(look) for look in looks], indent=2))
    bad = {"silent", "unreadable"}
    return int(failed or any(attribute.verdict in bad for look in looks for attribute in look.attributes))


def _as_data(look: DeviceEvents) -> dict[str, object]:
    data = dataclasses.asdict(look)
    for row, attribute in zip(data["attributes"], look.attributes, strict=True):
        row |= {"verdict": attribute.verdict, "repair": attribute.propose_repair(look.device)}
    return data


def _show(look: DeviceEvents, *, show_all: bool) -> None:
    from rich.console import Console

    console = Console(soft_wrap=True)
    shown = [a for a in look.attributes if show_all or a.verdict in ("silent", "unreadable")]
    well = sum(a.verdict == "well" for a in look.attributes)
    console.print(
        f"[bold]{look.device}[/] (server {look.server}): {well} of {len(look.attributes)} attributes send change "
        f"events; listened {look.listened_s:g} s"
    )
    if shown:
        console.print(_make_table(shown))
        _show_repairs(look, shown)
    told = "; ".join(look.subscribers) or "nobody"
    console.print(f"subscribed lately to this server (its black box, last calls): {told}\n", highlight=False)


def _make_table(attributes: list[AttributeEvents]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("attribute", "events", "sent by", "polled", "change of", "archive", "heard", "sent so far"):
        table.add_column(column, no_wrap=column == "attribute")
    for a in attributes:
        thresholds = [a.absolute and f"{a.absolute}", a.relative and f"{a.relative} %"]
        polled = "no" if a.polled_ms is None else f"{a.polled_ms} ms"
        if a.polled_age_ms is not None:
            polled += f", value {a.polled_age_ms:.0f} ms old"
        heard = "none" if a.last_age_s is None else f"{a.events}, last {a.last_age_s:.1f} s ago"
        table.add_row(
            a.name,
            f"[{_COLOURS[a.verdict]}]{a.verdict}[/]",
            a.origin,
            polled,
            " or ".join(t for t in thresholds if t) or "not set",
            a.archive or "not set",
            heard,
            "not counted" if a.sent is None else str(a.sent),
        )
    return table


def _show_repairs(look: DeviceEvents, attributes: list[AttributeEvents]) -> None:
    """One line per kind of repair, with the attributes it is for."""
    repairs: dict[tuple[str, ...], list[str]] = {}
    for attribute in attributes:
        if proposed := attribute.propose_repair(look.device):
            general = tuple(step.replace(repr(attribute.name), "ATTRIBUTE") for step in proposed)
            repairs.setdefault(general, []).append(attribute.name)
    for steps, names in repairs.items():
        click.echo(f"to have events of {', '.join(names)}:")
        for line in steps:
            click.echo(f"  {line}")
