"""Bookkeeping of frame numbers: produced = written + missing, exactly, whatever was lost, repeated or late.

*Produced*: frame numbers 0 … n-1 the detector says existed. *Received*: seen by the source. *Written*: in the file and
acknowledged after a flush. *Missing*: produced and not written; each range names the node that lost it, and why. Order
is by frame number, never by time. The book lives outside the actors, so that none of them can take it along.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mamba.errors import DataError

_SHOWN_RANGES = 100
"""In a summary; all of them stand in the file."""

Account = dict[str, Any]
"""What a sink writes into its file: counts, missing [[first, last, node, reason], …], reason, notes, edges, nodes."""

_SHOWN = 8
"""Missing ranges that are written out for people; the file has all."""


class MissingRange(NamedTuple):
    """Frames `first` to `last`, both included, that are not in the file."""

    first: int
    last: int
    node: str
    reason: str

    @property
    def frames(self) -> int:
        """How many."""
        return self.last - self.first + 1

    def describe(self) -> str:
        """For people: `12–19 (8 frames), lost at camera: drop: file was behind`."""
        one = self.first == self.last
        which = f"{self.first} (1 frame)" if one else f"{self.first}–{self.last} ({self.frames:,} frames)"
        return f"{which}, lost at {self.node}: {self.reason}"


class RangeSet:
    """A set of integers kept as sorted, disjoint, non-touching ranges; adding is O(log n) plus what is merged."""

    def __init__(self) -> None:
        self._firsts: list[int] = []
        self._ends: list[int] = []  # one past the last
        self._size = 0

    @classmethod
    def of(cls, numbers: NDArray[np.int64], width: int = 1) -> RangeSet:
        """Of each number n, in whatever order, n to n + width - 1."""
        found, starts = cls(), np.unique(numbers)
        for part in np.split(starts, np.flatnonzero(np.diff(starts) > width) + 1) if starts.size else ():
            found.add(int(part[0]), int(part[-1] - part[0]) + width)
        return found

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Pairs (first, count)."""
        return ((first, end - first) for first, end in zip(self._firsts, self._ends, strict=True))

    def __contains__(self, number: int) -> bool:
        at = bisect_right(self._firsts, number) - 1
        return at >= 0 and number < self._ends[at]

    @property
    def end(self) -> int:
        """One past the largest number; 0 when empty."""
        return self._ends[-1] if self._ends else 0

    def add(self, first: int, count: int) -> int:
        """Add `count` numbers from `first`; returns how many were new."""
        if count <= 0:
            return 0
        end = first + count
        low = bisect_left(self._ends, first)
        high = bisect_right(self._firsts, end)
        known = sum(max(0, min(end, self._ends[i]) - max(first, self._firsts[i])) for i in range(low, high))
        if low < high:
            merged_first, merged_end = min(first, self._firsts[low]), max(end, self._ends[high - 1])
        else:
            merged_first, merged_end = first, end
        self._firsts[low:high] = [merged_first]
        self._ends[low:high] = [merged_end]
        self._size += count - known
        return count - known

    def overlaps(self, first: int, end: int) -> Iterator[tuple[int, int]]:
        """Ranges (first, end) inside [first, end) that are in the set."""
        low, high = bisect_right(self._ends, first), bisect_left(self._firsts, end)
        for known_first, known_end in zip(self._firsts[low:high], self._ends[low:high], strict=True):
            yield max(first, known_first), min(end, known_end)

    def gaps(self, first: int, end: int) -> Iterator[tuple[int, int]]:
        """Ranges (first, end) inside [first, end) that are not in the set."""
        at = first
        for known_first, known_end in self.overlaps(first, end):
            if known_first > at:
                yield at, known_first
            at = known_end
        if at < end:
            yield at, end


@dataclass(frozen=True)
class DatasetInfo:
    """One dataset of the raw file; `shape` is its final one."""

    file: Path
    path: str
    shape: tuple[int, ...]
    dtype: str
    units: str

    def dump(self) -> dict[str, Any]:
        """As plain data; `load` reads it back."""
        return {**asdict(self), "file": str(self.file)}

    @classmethod
    def load(cls, raw: dict[str, Any]) -> DatasetInfo:
        """The info of `dump`, also when it went through JSON."""
        return cls(**{**raw, "file": Path(raw["file"]), "shape": tuple(raw["shape"])})


@dataclass(frozen=True)
class Ledger:
    """The account of one arm; made by `Book.settle`, so `produced == written + missing frames` holds.

    Attributes:
        frames_per_s: written frames over `seconds`.
        seconds: from the first block's arrival to the last acknowledgement.
        duplicates: frames that came again and were left out.
        reason: why it ended early; empty for a complete arm.
        notes: what happened on the way, such as an actor that was replaced.
        edges: by edge, such as "camera → file", frame numbers `sent` and `dropped`, also those that no file needs.
        nodes: by node, `rows` it took in (of a source: gave out), and `alone`: [input, first, last] of each range for
            which a join by time stamp found no partner. Rows that were sent again to a new actor count twice.
        others: by sink beside the first, its account.
    """

    produced: int
    written: int
    missing: tuple[MissingRange, ...] = ()
    frames_per_s: float = 0.0
    seconds: float = 0.0
    files: tuple[Path, ...] = ()
    datasets: dict[str, DatasetInfo] = field(default_factory=dict)
    duplicates: int = 0
    reason: str = ""
    notes: tuple[str, ...] = ()
    edges: dict[str, dict[str, int]] = field(default_factory=dict)
    nodes: dict[str, dict[str, Any]] = field(default_factory=dict)
    others: dict[str, Account] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.produced != self.written + self.missing_frames:
            raise DataError(
                "ledger: does not add up",
                seen=f"{self.produced} produced, {self.written} written, {self.missing_frames} missing",
            )

    @property
    def missing_frames(self) -> int:
        """How many frames are missing."""
        return sum(gap.frames for gap in self.missing)

    def describe(self) -> str:
        """For people: one line with the counts, then the files, what is missing and why, and what happened."""
        lines = [
            f"{self.written:,} of {self.produced:,} frames written, {self.missing_frames:,} missing; "
            f"{self.seconds:,.1f} s, {self.frames_per_s:,.0f} frames/s",
            *(f"  file:     {file}" for file in self.files),
            *(f"  missing:  {gap.describe()}" for gap in self.missing[:_SHOWN]),
        ]
        rest = self.missing[_SHOWN:]
        if rest:
            lines.append(f"  missing:  {sum(gap.frames for gap in rest):,} more, in {len(rest):,} ranges")
        lines += [
            f"  dropped:  {edge}: {counts['dropped']:,}, since it was behind"
            for edge, counts in self.edges.items()
            if counts["dropped"]
        ]
        if self.duplicates:
            lines.append(f"  repeated: {self.duplicates:,}; frames that came again, each is in the file once")
        if self.reason:
            lines.append(f"  ended:    {self.reason}")
        lines += [f"  note:     {note}" for note in self.notes]
        lines += [
            f"  {sink}: {other['written']:,} of {other['produced']:,} frames written"
            for sink, other in self.others.items()
        ]
        return "\n".join(lines)

    def __repr__(self) -> str:
        """What the prompt, windows and `mambactl run` show."""
        return self.describe()

    def summarize(self) -> dict[str, Any]:
        """For a stop document: counts of all, of each node and of each edge, and the first missing ranges.

        `missing_by` has the frames of all missing ranges, by the node and the reason that they have in common.
        """
        missing_by: dict[str, int] = {}
        for gap in self.missing:
            why = f"{gap.node}: {gap.reason}"
            missing_by[why] = missing_by.get(why, 0) + gap.frames
        return {
            "produced": self.produced,
            "written": self.written,
            "duplicates": self.duplicates,
            "missing": [list(gap) for gap in self.missing[:_SHOWN_RANGES]],
            "missing_by": [{"why": why, "frames": frames} for why, frames in missing_by.items()],
            "edges": [{"name": name, **counts} for name, counts in self.edges.items()],
            "nodes": [
                {
                    "name": name,
                    "rows": told["rows"],
                    "alone": sum(last + 1 - first for _, first, last in told["alone"]),
                    "alone_ranges": told["alone"][:_SHOWN_RANGES],
                }
                for name, told in self.nodes.items()
            ],
        }


class Pairing:
    """One input of a join by time stamp: rows that found a partner, and rows that were left without one."""

    def __init__(self) -> None:
        self.paired, self.left = RangeSet(), RangeSet()

    def list_alone(self) -> list[tuple[int, int]]:
        """First and last of what never found one; a new actor may have to leave again what an earlier one paired."""
        return [(low, high - 1) for first, count in self.left for low, high in self.paired.gaps(first, first + count)]


class Book:
    """Takes reports in any order and settles them."""

    def __init__(self) -> None:
        self.received, self.written = RangeSet(), RangeSet()
        self.duplicates = 0
        self._lost: list[MissingRange] = []
        self._lost_numbers = RangeSet()
        self._declared: int | None = None

    @property
    def produced(self) -> int:
        """Frame numbers known to have existed: what the detector declared, or more if more were seen."""
        return max(self._declared or 0, self.received.end, self.written.end, self._lost_numbers.end)

    @property
    def missing(self) -> int:
        """Frames known to be lost: skipped by the detector, or given up on the way when later ones are safe already.

        What only a side branch dropped may still be on its way to the file by another edge, and is no loss.
        """
        skipped = self._count_skipped(self.received.end)
        passed_over = self.written.end - len(self.written) - self._count_skipped(self.written.end)
        return min(skipped + min(len(self._lost_numbers), max(0, passed_over)), self.produced - len(self.written))

    def _count_skipped(self, end: int) -> int:
        return sum(b - a for a, b in self.received.gaps(0, min(end, self.received.end)))

    def declare(self, produced: int) -> None:
        """The detector says how many frame numbers existed."""
        self._declared = max(produced, self._declared or 0)

    def add_received(self, first: int, count: int) -> None:
        """The source saw these frames; a source in the place of a dead one tells some again."""
        self.received.add(first, count)

    def add_written(self, first: int, count: int) -> None:
        """The file holds these frames for good."""
        self.written.add(first, count)

    def add_lost(self, first: int, count: int, *, node: str, reason: str) -> None:
        """A node had to give these frames up; if they are written after all, that counts."""
        if self._lost_numbers.add(first, count):
            self._lost.append(MissingRange(first, first + count - 1, node, reason))

    def settle(self, *, last_node: str, reason: str) -> tuple[MissingRange, ...]:
        """All missing ranges, sorted; what nobody reported is `detector: not sent`, or `last_node: reason`."""
        missing: list[MissingRange] = []
        for first, end in self.written.gaps(0, self.produced):
            blamed = RangeSet()
            for lost in self._lost:
                low, high = max(first, lost.first), min(end, lost.last + 1)
                for a, b in list(blamed.gaps(low, high)) if low < high else ():
                    missing.append(MissingRange(a, b - 1, lost.node, lost.reason))
                if low < high:
                    blamed.add(low, high - low)
            for a, b in blamed.gaps(first, end):
                missing.extend(self._blame(a, b, last_node, reason))
        return _merge(sorted(missing))

    def make_account(
        self,
        missing: tuple[MissingRange, ...],
        *,
        reason: str,
        notes: Sequence[str],
        edges: Mapping[str, Mapping[str, int]],
        nodes: Mapping[str, Mapping[str, Any]],
    ) -> Account:
        """What goes into the file: the counts, and what happened on the way, for people."""
        return {
            "produced": self.produced,
            "written": len(self.written),
            "missing": [list(gap) for gap in missing],
            "duplicates": self.duplicates,
            "reason": reason,
            "notes": list(notes),
            "edges": {name: dict(counts) for name, counts in edges.items()},
            "nodes": {name: dict(told) for name, told in nodes.items()},
        }

    def _blame(self, first: int, end: int, last_node: str, reason: str) -> Iterator[MissingRange]:
        unsent = RangeSet()
        for a, b in self.received.gaps(first, end):
            unsent.add(a, b - a)
            yield MissingRange(a, b - 1, "detector", "not sent")
        for a, b in unsent.gaps(first, end):
            yield MissingRange(a, b - 1, last_node, reason)


def _merge(ranges: list[MissingRange]) -> tuple[MissingRange, ...]:
    merged: list[MissingRange] = []
    for gap in ranges:
        if merged and merged[-1].last + 1 == gap.first and merged[-1][2:] == gap[2:]:
            merged[-1] = merged[-1]._replace(last=gap.last)
        else:
            merged.append(gap)
    return tuple(merged)
