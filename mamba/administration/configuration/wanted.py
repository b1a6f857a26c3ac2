"""What a file asks for: entries, what must go, and where in the file each of them stands."""

from __future__ import annotations

from dataclasses import dataclass, field

from mamba.administration.configuration.entries import DEVICE, Entry, Key, Snapshot


@dataclass
class Wanted:
    """A configuration as a file says it.

    Attributes:
        path: the file, for messages.
        entries: what must be there.
        removed: keys that the file gives `null`; of a device or a server: everything of it.
        servers, classes: those that the file names, in small letters; `--prune` looks at them alone.
        lines: line in the file of an entry's key, where it has one.
        types: declared types of device properties: (class, property) in small letters → type.
    """

    path: str
    entries: Snapshot = field(default_factory=dict)
    removed: set[Key] = field(default_factory=set)
    servers: set[str] = field(default_factory=set)
    classes: set[str] = field(default_factory=set)
    lines: dict[Key, int] = field(default_factory=dict)
    types: dict[tuple[str, str], str] = field(default_factory=dict)

    def add(self, entry: Entry, line: int = 0) -> None:
        """Ask for an entry."""
        self.entries[entry.key] = entry
        self.lines[entry.key] = line

    def where(self, key: Key) -> str:
        """`FILE line N`."""
        line = self.lines.get(key, 0)
        return f"{self.path} line {line}" if line else self.path

    def find_class(self, device: str, live: Snapshot) -> str:
        """The class of a device, in small letters; empty when nobody says."""
        key = (DEVICE, device.lower())
        entry = self.entries.get(key) or live.get(key)
        return entry.values[1].lower() if entry else ""
