"""What may stand in a configuration: checked before anything is written."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from mamba.administration.configuration.entries import (
    ALIAS,
    ATTRIBUTE,
    CLASS_ATTRIBUTE,
    DEVICE,
    POLLING,
    PROPERTY,
    Entry,
    Snapshot,
    make_key,
)
from mamba.administration.configuration.wanted import Wanted
from mamba.errors import ConfigurationError, find_nearest

_NUMBERS = [
    *("min_value", "max_value", "min_alarm", "max_alarm", "min_warning", "max_warning", "delta_val"),
    *("abs_change", "rel_change", "archive_abs_change", "archive_rel_change"),
]
_MILLISECONDS = ["delta_t", "event_period", "archive_period"]
ATTRIBUTE_KEYS = (
    *["label", "description", "unit", "standard_unit", "display_unit", "format", "enum_labels"],
    *_NUMBERS,
    *_MILLISECONDS,
)
"""What Tango keeps of an attribute's configuration, by the names in its database."""


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _is_integer(text: str) -> bool:
    try:
        int(text, 0)
    except ValueError:
        return False
    return True


TYPES: dict[str, Callable[[str], bool]] = {
    "string": lambda _: True,
    "number": _is_number,
    "integer": _is_integer,
    "boolean": lambda text: text.lower() in ("true", "false", "1", "0"),
}
"""Types of properties, for each of its lines."""

Declared = Mapping[str, Mapping[str, str]]
"""What running servers declare: class in small letters → property → default, as their wizard says it."""


def check_wanted(wanted: Wanted, live: Snapshot, declared: Declared) -> None:
    """See that everything can be written.

    Raises:
        ConfigurationError: names the first that cannot, its line, and what to write.
    """
    for entry in sorted(wanted.entries.values(), key=lambda entry: wanted.lines.get(entry.key, 0)):
        if entry.kind in (ATTRIBUTE, CLASS_ATTRIBUTE):
            _check_attribute(wanted, entry)
        elif entry.kind == POLLING and not _is_positive(entry.values[0]):
            raise _refuse(wanted, entry, "a period in ms, a whole number above 0")
        elif entry.kind == PROPERTY:
            _check_property(wanted, entry, live, declared)
    _check_limits(wanted, live)
    _check_aliases(wanted, live)


def _is_positive(text: str) -> bool:
    return text.isdecimal() and int(text) > 0


def _check_attribute(wanted: Wanted, entry: Entry) -> None:
    name = entry.names[-1]
    if name in _NUMBERS and not all(_is_number(line) for line in ",".join(entry.values).split(",")):
        raise _refuse(wanted, entry, "a number")
    if name in _MILLISECONDS and not _is_positive(entry.values[0]):
        raise _refuse(wanted, entry, "a time in ms, a whole number above 0")


def _check_property(wanted: Wanted, entry: Entry, live: Snapshot, declared: Declared) -> None:
    class_name = wanted.find_class(entry.names[0], live)
    name = entry.names[1]
    said = wanted.types.get((class_name, name.lower()))
    known = declared.get(class_name, {})
    default = {key.lower(): value for key, value in known.items()}.get(name.lower(), "")
    # a server declares no types over Tango, but its default shows whether it reads a number
    wants = said or ("number" if _is_number(default) else "string")
    if not all(TYPES[wants](line) for line in entry.values):
        by = f"classes.{class_name}.types" if said else f"the running server, whose default is {default}"
        remedy = f"{'an' if wants == 'integer' else 'a'} {wants}; so says {by}"
        raise _refuse(wanted, entry, remedy if said else f"{remedy} (other: 'string' in classes.CLASS.types)")
    if known and not default and name.lower() not in {key.lower() for key in known} and entry.key not in live:
        nearest = find_nearest(name, list(known))
        if nearest.startswith("did you mean") and (class_name, name.lower()) not in wanted.types:
            raise ConfigurationError(f"{wanted.where(entry.key)}: unknown property {name!r}", remedy=nearest)


def _check_limits(wanted: Wanted, live: Snapshot) -> None:
    for entry in wanted.entries.values():
        if entry.kind in (ATTRIBUTE, CLASS_ATTRIBUTE) and entry.names[-1].startswith("min_"):
            other = make_key(entry.kind, *entry.names[:-1], entry.names[-1].replace("min_", "max_"))
            high = wanted.entries.get(other) or (live.get(other) if other not in wanted.removed else None)
            if high is not None and float(entry.values[0]) >= float(high.values[0]):
                raise _refuse(wanted, entry, f"less than {other[-1]}, {high.values[0]}")


def _check_aliases(wanted: Wanted, live: Snapshot) -> None:
    after = {k: e for k, e in live.items() if k[0] == ALIAS and k not in wanted.removed}
    after = {k: e for k, e in after.items() if make_key(DEVICE, k[1]) not in wanted.removed}
    taken: dict[str, Entry] = {}
    for entry in (after | {k: e for k, e in wanted.entries.items() if k[0] == ALIAS}).values():
        other = taken.setdefault(entry.values[0].lower(), entry)
        if other is not entry:
            here, there = (entry, other) if entry.key in wanted.entries else (other, entry)
            raise _refuse(wanted, here, f"an alias that is free: {there.names[0]} has this one")


def _refuse(wanted: Wanted, entry: Entry, remedy: str) -> ConfigurationError:
    name = " ".join(entry.names)
    shown = ", ".join(entry.values)
    return ConfigurationError(
        f"{wanted.where(entry.key)}: {name}: cannot be used", seen=repr(shown[:80]), remedy=f"write {remedy}"
    )
