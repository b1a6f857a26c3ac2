"""What a Tango database keeps, as plain entries; without Tango, so that it is tested in microseconds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

DEVICE, ALIAS, PROPERTY, ATTRIBUTE, POLLING = "device", "alias", "property", "attribute", "polling"
CLASS_PROPERTY, CLASS_ATTRIBUTE, STARTER = "class property", "class attribute", "starter"

Key = tuple[str, ...]
"""Kind, then the names in small letters: Tango does not tell `Ampli` from `ampli`."""


@dataclass(frozen=True)
class Entry:
    """One thing that the database keeps.

    Attributes:
        kind: one of the words above.
        names: as they are written. `DEVICE`, `ALIAS`: the device; `PROPERTY`: device, property; `ATTRIBUTE`: device,
            attribute, name; `POLLING`: device, "attribute" or "command", name; `CLASS_PROPERTY`: class, property;
            `CLASS_ATTRIBUTE`: class, attribute, name; `STARTER`: the server.
        values: the lines of a property; `DEVICE`: server and class; `POLLING`: the period in ms;
            `STARTER`: host, level.
    """

    kind: str
    names: tuple[str, ...]
    values: tuple[str, ...]

    @property
    def key(self) -> Key:
        """What makes it the same entry, however it is written."""
        return make_key(self.kind, *self.names)

    @property
    def subject(self) -> str:
        """The device, class or server it belongs to, in small letters with its kind before it."""
        return find_subject(self.key)

    @property
    def is_private(self) -> bool:
        """Whether the server itself keeps it: the set point of a memorized attribute, which thread polls what."""
        if self.kind == PROPERTY:
            return self.names[-1].lower() == "polling_threads_pool_conf"
        return self.kind == ATTRIBUTE and self.names[-1].startswith("__")


Snapshot = dict[Key, Entry]


def make_key(kind: str, *names: str) -> Key:
    """The key of an entry."""
    return (kind, *(name.lower() for name in names))


def find_subject(key: Key) -> str:
    """`device a/b/c`, `class Motor` or `server Motor/1`, in small letters."""
    kind = {CLASS_PROPERTY: "class", CLASS_ATTRIBUTE: "class", STARTER: "server"}.get(key[0], "device")
    return f"{kind} {key[1]}"


def make_snapshot(entries: Iterable[Entry]) -> Snapshot:
    """Entries by their keys."""
    return {entry.key: entry for entry in entries}


def is_same(one: Entry | None, other: Entry | None) -> bool:
    """Whether the database keeps the same; names of servers and classes are compared without case."""
    if one is None or other is None:
        return one is other
    if one.kind == DEVICE:
        return [value.lower() for value in one.values] == [value.lower() for value in other.values]
    return one.values == other.values


def digest_subjects(snapshot: Mapping[Key, Entry], subjects: Iterable[str]) -> dict[str, str]:
    """A fingerprint of each subject: subject → hash of all its entries but private ones, "" when it has none."""
    lines: dict[str, list[list[str]]] = {subject: [] for subject in subjects}
    for key, entry in sorted(snapshot.items()):
        if entry.subject in lines and not entry.is_private:
            lines[entry.subject].append([*key, "=", *entry.values])
    return {subject: _hash(found) for subject, found in lines.items()}


def _hash(lines: list[list[str]]) -> str:
    return hashlib.sha256(json.dumps(lines).encode()).hexdigest()[:16] if lines else ""
