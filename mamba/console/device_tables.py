"""Devices as text for a person: tables of positions, and what the prompt shows of a device or a group."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from IPython.core.interactiveshell import InteractiveShell

from mamba.devices import Group, TangoSignal, iter_devices
from mamba.devices.base import TangoDevice
from mamba.devices.generic import WrappedDevice
from mamba.devices.shown import LOOK_S, Shown, look_at, show_value

WAIT_S = 3.0
"""How long a table that was asked for waits for a slow device; what is only shown along waits for `LOOK_S`."""

_SIGNALS_SHOWN = 30
"""How many recorded attributes of one device are shown."""


def describe_devices(devices: Mapping[str, Any], *, timeout_s: float = LOOK_S) -> str:
    """A line each: expression, value, unit, limits, state; or why there is none. "" for no device."""
    return _describe_rows(look_at(devices, timeout_s=timeout_s))


def _describe_rows(rows: Sequence[Shown]) -> str:
    return align(
        [
            (row.expression, row.problem) if row.problem
            else (row.expression, row.show_value(), row.unit, row.limits, row.state)
            for row in rows
        ],
        right=(1,),
    )  # fmt: skip


def describe_motors(devices: Mapping[str, Any]) -> str:
    """A table with a head: position, set point, limits, unit, state."""
    head = ("", "position", "set point", "low limit", "high limit", "unit", "state")
    rows = [_describe_motor(row) for row in look_at(devices, timeout_s=WAIT_S)]
    return align([head, *rows], right=range(1, len(head)))


def _describe_motor(row: Shown) -> tuple[str, ...]:
    if row.problem:
        return (row.expression, row.problem)
    cells = (row.value, row.set_point, row.low, row.high, row.unit, row.state)
    return (row.expression, *(show_value(cell, decimals=row.decimals) for cell in cells))


def align(rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> str:
    """Columns of equal width, those in `right` with their ends below each other; a short row does not widen them."""
    columns = max((len(row) for row in rows), default=0)
    whole = [row for row in rows if len(row) == columns]
    widths = [max(len(row[n]) for row in whole) for n in range(columns)]
    if columns:
        widths[0] = max(len(row[0]) for row in rows)
    lines = []
    for row in rows:
        is_whole = len(row) == columns
        cells = [
            c.rjust(w) if is_whole and n in right else c.ljust(w)
            for n, (c, w) in enumerate(zip(row, widths, strict=False))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def show_devices_in(shell: InteractiveShell) -> None:
    """Have the prompt show a group as the table of its devices, and a device as its line, as they are now."""
    formatter: Any = shell.display_formatter
    plain = formatter.formatters["text/plain"]
    plain.for_type(Group, _printing(_show_group))
    for kind in (TangoDevice, TangoSignal):
        plain.for_type(kind, _printing(show_device))


def _printing(show: Callable[[Any], str]) -> Callable[[Any, Any, bool], None]:
    def print_it(shown: Any, printer: Any, cycle: bool) -> None:  # noqa: FBT001  # IPython's signature
        printer.text(repr(shown) if cycle else show(shown))

    return print_it


def _show_group(group: Group) -> str:
    return describe_devices(dict(iter_devices(group, group.name))) or repr(group)


def show_device(device: Any) -> str:
    """What the prompt shows of a device: its line, or those of all that it records; and what it is."""
    where = f"{type(device).__name__} of {device.link.device}"
    [whole] = look_at({device.name: device})
    if whole.problem or not isinstance(device, WrappedDevice) or not device.read_attrs:
        return f"{_describe_rows([whole])}\n{where}"
    names = device.read_attrs[:_SIGNALS_SHOWN]
    more = len(device.read_attrs) - len(names)
    rows = look_at({f"{device.name}.{name}": getattr(device, name) for name in names})
    table = _describe_rows([replace(row, state="") for row in rows])  # they share the state
    return f"{where}: {whole.state}\n{table}" + (f"\n… and {more} more" if more else "")
