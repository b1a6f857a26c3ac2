"""A plan: the changes, and fingerprints of what they were made for. An undo is a plan, too."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from mamba.administration.configuration.difference import Change
from mamba.administration.configuration.entries import Entry, Snapshot, digest_subjects, is_same
from mamba.errors import ConfigurationError, ConfigurationMoved

FORMAT = "mamba tango plan 1"


@dataclass(frozen=True)
class Plan:
    """Changes to one control system.

    Attributes:
        host: HOST:PORT it was made for; a note for people, the fingerprints decide.
        source: the file it was made from, or what it undoes.
        changes: in the order of their subjects.
        fingerprints: subject → hash of all that the database kept of it; of every subject that the file speaks of.
        is_open: an undo whose apply has not come to its end: each entry may be as before or as after.
    """

    host: str
    source: str
    changes: list[Change]
    fingerprints: dict[str, str]
    is_open: bool = False

    def check(self, live: Snapshot) -> None:
        """See that the database still is what the plan was made for.

        Raises:
            ConfigurationMoved: it is not; names what moved.
        """
        if self.is_open:
            moved = [c.entry.subject for c in self.changes if not _is_either(c, live)]
        else:
            now = digest_subjects(live, self.fingerprints)
            moved = [subject for subject, seen in self.fingerprints.items() if now[subject] != seen]
        if moved:
            names = sorted(set(moved))
            shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
            raise ConfigurationMoved(
                f"{self.source}: the database moved since; nothing was written",
                seen=f"changed meanwhile: {shown}",
                remedy="look at it with 'mambactl tango diff FILE' and plan again",
            )

    def invert(self, after: Snapshot | None = None) -> Plan:
        """The undo: `after` is what the database keeps once the plan is applied, None while it is being applied."""
        changes = [change.invert() for change in reversed(self.changes)]
        fingerprints = digest_subjects(after, self.fingerprints) if after is not None else self.fingerprints
        source = f"undo of {self.source}"
        return replace(self, source=source, changes=changes, fingerprints=fingerprints, is_open=after is None)


def _is_either(change: Change, live: Snapshot) -> bool:
    found = live.get(change.key)
    return is_same(found, change.before) or is_same(found, change.after)


def write_plan(plan: Plan, path: Path) -> None:
    """Write a plan, whole or not at all.

    Raises:
        ConfigurationError: the file cannot be written.
    """
    content = {"format": FORMAT, "made_at": datetime.now().astimezone().isoformat(timespec="seconds"), **asdict(plan)}
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("w", encoding="utf-8") as stream:
            json.dump(content, stream, indent=1)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
    except OSError as error:
        raise ConfigurationError(
            f"{path}: cannot be written", seen=error.strerror or str(error), remedy="name another file"
        ) from None


def read_plan(path: Path) -> Plan:
    """Read what `write_plan` wrote.

    Raises:
        ConfigurationError: it cannot be read, or is no plan.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise ValueError(f"its format is {content['format']!r}")
        changes = [Change(_make_entry(c["before"]), _make_entry(c["after"])) for c in content["changes"]]
        return Plan(content["host"], content["source"], changes, content["fingerprints"], content["is_open"])
    except OSError as error:
        raise ConfigurationError(
            f"{path}: cannot be read", seen=error.strerror or str(error), remedy="see its name and its rights"
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"{path}: is no plan", seen=str(error) or type(error).__name__, remedy="make one with 'mambactl tango plan'"
        ) from None


def _make_entry(content: dict[str, Any] | None) -> Entry | None:
    return None if content is None else Entry(content["kind"], tuple(content["names"]), tuple(content["values"]))
