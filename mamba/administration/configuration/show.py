"""A plan as people read it: grouped by device, + comes, - goes, ~ changes from old to new."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from mamba.administration.configuration.difference import Change
from mamba.administration.configuration.entries import ALIAS, DEVICE, POLLING, STARTER, Entry

COLORS = {"+": "green", "-": "red", "~": "yellow"}


def show_changes(changes: list[Change]) -> Iterator[tuple[str, str]]:
    """Lines with the mark that gives them their colour: "" for a heading."""
    for _, group in groupby(changes, key=lambda change: change.entry.subject):
        found = list(group)
        yield "", _name_subject(found[0].entry)
        for change in found:
            mark = "+" if change.before is None else "-" if change.after is None else "~"
            yield mark, f"  {mark} {_name(change.entry)}: {_show_values(change)}"


def count_changes(changes: list[Change]) -> str:
    """`2 to add, 1 to change, 0 to remove`."""
    added = sum(change.before is None for change in changes)
    removed = sum(change.after is None for change in changes)
    return f"{added} to add, {len(changes) - added - removed} to change, {removed} to remove"


def _name_subject(entry: Entry) -> str:
    kind = entry.subject.partition(" ")[0]
    return entry.names[0] if kind == "device" else f"{kind} {entry.names[0]}"


def _name(entry: Entry) -> str:
    match entry.kind:
        case "device" | "alias" | "starter":
            return entry.kind
        case "polling":
            return f"polling of {entry.names[1]} {entry.names[2]}"
        case "attribute" | "class attribute":
            return f"attribute {entry.names[1]}, {entry.names[2]}"
    return f"property {entry.names[1]}"


def _show_values(change: Change) -> str:
    texts = [_show(entry) for entry in (change.before, change.after) if entry is not None]
    return " -> ".join(texts)


def _show(entry: Entry) -> str:
    if entry.kind == DEVICE:
        return f"class {entry.values[1]}, server {entry.values[0]}"
    if entry.kind == POLLING:
        return f"{entry.values[0]} ms"
    if entry.kind == STARTER:
        return f"host {entry.values[0]}, level {entry.values[1]}"
    if entry.kind == ALIAS or len(entry.values) == 1:
        return repr(entry.values[0])
    return repr(list(entry.values))
