"""From what a server says of itself to the components and methods of an ophyd device: plain rules, no Tango here.

*Component*: an attribute under a Python name. *Method*: a command under a Python name.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from ophyd import Kind

from mamba.devices.attribute import AttributeInfo, CommandInfo
from mamba.errors import BadValue, find_nearest

_PICTURES = ("DevEncoded", "DevString", "DevState")


@dataclass(frozen=True)
class Outline:
    """What a device is made of: component → attribute and kind, method → command, and why something is not recorded."""

    attributes: Mapping[str, AttributeInfo]
    kinds: Mapping[str, Kind]
    commands: Mapping[str, CommandInfo]
    left_out: Mapping[str, str]


def name_parts(names: Iterable[str], taken: Collection[str]) -> dict[str, str]:
    """Python name → Tango name.

    The Tango name is kept. What is no letter, digit or underscore becomes `_`; a leading digit or underscore gets `a`
    before it; a name that Python or ophyd has already (`read`, `position`, `class`) or that came before gets `_` after
    it.
    """
    parts: dict[str, str] = {}
    for name in names:
        part = re.sub(r"\W", "_", name, flags=re.ASCII)
        if not part[0].isalpha():
            part = f"a{part}"
        while keyword.iskeyword(part) or part in taken or part in parts:
            part += "_"
        parts[part] = name
    return parts


def draw_outline(
    attributes: Sequence[AttributeInfo],
    commands: Sequence[CommandInfo],
    *,
    taken: Collection[str],
    failing: Mapping[str, str],
    read: Sequence[str] | None,
    config: Sequence[str] | None,
    name: str,
) -> Outline:
    """Names and kinds.

    Recorded at every point (`read`): what is named, else every scalar number, boolean and enum that is not for experts
    and can be read now; the first number is hinted. `config` is recorded once per run. All else is there, not recorded.

    Args:
        attributes: in the order of the server.
        commands: likewise; one that is also an attribute (State, Status) is left to the attribute.
        taken: names that the device's class has already.
        failing: attribute → why it cannot be read now.
        read: attributes to record at every point; None: by the rule above.
        config: attributes to record once per run.
        name: of the device, for errors.

    Raises:
        BadValue: `read` or `config` name what is not there.
    """
    by_name = {info.name: info for info in attributes}
    parts = {part: by_name[tango_name] for part, tango_name in name_parts(by_name, taken).items()}
    lower = {info.name.lower(): part for part, info in parts.items()} | {part.lower(): part for part in parts}

    def find(wanted: Sequence[str]) -> list[str]:
        for one in wanted:
            if one.lower() not in lower:
                raise BadValue(f"{name}: has no attribute {one!r}", remedy=find_nearest(one, list(by_name)))
        return [lower[one.lower()] for one in wanted]

    if read is None:
        recorded = [part for part, info in parts.items() if _speaks_for_itself(info) and info.name not in failing]
        hinted = [part for part in recorded if parts[part].dtype in ("number", "integer")][:1]
    else:
        recorded = find(read)
        hinted = [part for part in recorded if parts[part].dtype in ("number", "integer")]
    kinds = dict.fromkeys(parts, Kind.omitted)
    kinds |= dict.fromkeys(find(config or ()), Kind.config)
    kinds |= dict.fromkeys(recorded, Kind.normal) | dict.fromkeys(hinted, Kind.hinted)
    known = {info.name.lower() for info in attributes}
    called = {command.name: command for command in commands if command.name.lower() not in known & {"state", "status"}}
    methods = name_parts(called, {*taken, *parts})
    left_out = {lower[attribute.lower()]: why for attribute, why in failing.items()}
    return Outline(parts, kinds, {method: called[command] for method, command in methods.items()}, left_out)


def describe_attribute(info: AttributeInfo) -> str:
    """One line of documentation: what it is, type, unit, limits, whether it can be written."""
    shape = ("", " spectrum", " image")[info.rank]
    words = [f"{info.type_name}{shape}", "read and written" if info.writable else "read only"]
    if info.unit:
        words.append(f"in {info.unit}")
    if info.low is not None or info.high is not None:
        low, high = ("none" if limit is None else f"{limit:g}" for limit in (info.low, info.high))
        words.append(f"limits {low} to {high}")
    if info.labels:
        words.append(f"one of {', '.join(info.labels)}")
    if info.expert:
        words.append("for experts")
    return f"{info.description or info.name} ({', '.join(words)})"


def describe_command(info: CommandInfo) -> str:
    """Documentation of a command: what goes in and what comes out, in the server's words."""

    def say(type_name: str, doc: str) -> str:
        return "nothing" if type_name == "DevVoid" else f"{type_name}{f': {doc}' if doc else ''}"

    expert = " For experts." if info.expert else ""
    return (
        f"Tango command {info.name}.{expert}\n\nTakes {say(info.in_type, info.in_doc)}\n"
        f"Returns {say(info.out_type, info.out_doc)}"
    )


def _speaks_for_itself(info: AttributeInfo) -> bool:
    return not info.rank and not info.expert and info.type_name not in _PICTURES
