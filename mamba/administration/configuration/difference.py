"""Which changes lead from what a database keeps to what a file asks for."""

from __future__ import annotations

from dataclasses import dataclass

from mamba.administration.configuration.entries import (
    CLASS_ATTRIBUTE,
    CLASS_PROPERTY,
    DEVICE,
    STARTER,
    Entry,
    Key,
    Snapshot,
    find_subject,
    is_same,
)
from mamba.administration.configuration.wanted import Wanted


@dataclass(frozen=True)
class Change:
    """One entry before and after; one of the two is None when it comes or goes."""

    before: Entry | None
    after: Entry | None

    @property
    def entry(self) -> Entry:
        """The entry as it will be, or as it was."""
        found = self.after or self.before
        if found is None:
            raise ValueError("a change of nothing")
        return found

    @property
    def key(self) -> Key:
        """The key of the entry."""
        return self.entry.key

    def invert(self) -> Change:
        """The change that takes this one back."""
        return Change(self.after, self.before)


def find_changes(live: Snapshot, wanted: Wanted, *, prune: bool) -> list[Change]:
    """Changes in the order of their subjects.

    Args:
        live: what the database keeps.
        wanted: what the file says.
        prune: whether what the file does not say of its servers and classes goes.
    """
    after: dict[Key, Entry | None] = dict(wanted.entries)
    for key in _find_removed(live, wanted, prune=prune):
        after.setdefault(key, None)
    return compare({key: live[key] for key in after if key in live}, after)


def compare(before: Snapshot, after: dict[Key, Entry] | dict[Key, Entry | None]) -> list[Change]:
    """Changes that lead from one snapshot to another."""
    keys = sorted({*before, *after}, key=lambda key: (find_subject(key), key))
    pairs = ((before.get(key), after.get(key)) for key in keys)
    return [Change(old, new) for old, new in pairs if not is_same(old, new)]


def find_covered(live: Snapshot, wanted: Wanted) -> set[str]:
    """Subjects that a file speaks of: its servers with all their devices, its devices, its classes."""
    subjects = {find_subject(key) for key in (*wanted.entries, *wanted.removed)}
    subjects |= {f"class {name}" for name in wanted.classes} | {f"server {name}" for name in wanted.servers}
    devices = (entry for entry in live.values() if entry.kind == DEVICE)
    return subjects | {entry.subject for entry in devices if entry.values[0].lower() in wanted.servers}


def _find_removed(live: Snapshot, wanted: Wanted, *, prune: bool) -> set[Key]:
    removed = {key for key in wanted.removed if key in live}
    gone = {find_subject(key) for key in wanted.removed if key[0] == DEVICE}
    removed |= {key for key, entry in live.items() if entry.subject in gone}
    for key, entry in live.items():
        starts = (key[:-1] for key in wanted.removed if key[-1] == "*")  # a whole attribute
        if any(key[: len(start)] == start for start in starts) and not entry.is_private:
            removed.add(key)
    return removed | (_find_pruned(live, wanted) if prune else set())


def _find_pruned(live: Snapshot, wanted: Wanted) -> set[Key]:
    covered = find_covered(live, wanted)
    dropped = {
        entry.subject
        for key, entry in live.items()
        if entry.kind == DEVICE
        and entry.subject in covered
        and key not in wanted.entries
        and entry.values[1] != "DServer"
    }
    pruned = set()
    for key, entry in live.items():
        is_kept = key in wanted.entries or entry.kind == DEVICE or entry.is_private
        by_class = entry.kind in (CLASS_PROPERTY, CLASS_ATTRIBUTE) and key[1] in wanted.classes
        by_device = entry.kind not in (CLASS_PROPERTY, CLASS_ATTRIBUTE, STARTER) and entry.subject in covered
        by_server = entry.kind == STARTER and key[1] in wanted.servers
        if entry.subject in dropped or (not is_kept and (by_class or by_device or by_server)):
            pruned.add(key)
    return pruned
