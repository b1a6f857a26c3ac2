"""Joins the inputs of a node by frame number: a number goes on when all inputs have it.

Parts wait, in the slots they came in, until their counterparts come. A number is given up when an input has ended
without it; when an input that may lose blocks (an edge on its way has the policy `drop` or `latest`) has gone past it;
or when nothing came for `PATIENCE_S` while an input holds all the credits that its origin has.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from mamba.data_worker.ledger import RangeSet
from mamba.data_worker.nodes import Rows

PATIENCE_S = 1.0


class Part:
    """Rows of consecutive numbers of one input; `key` has to be let go when all of them are used or given up.

    `time` is that of their block, of which `later` more rows come after these.
    """

    def __init__(self, name: str, first: int, rows: Rows, *, time: float, key: Any, later: int = 0) -> None:
        self.name, self.first, self.rows, self.time, self.key, self.later = name, first, rows, time, key, later
        self.left = [(first, first + len(rows))]

    def take(self, first: int, end: int) -> Rows:
        """Use some of what is left."""
        left = []
        for a, b in self.left:
            left += [(low, high) for low, high in ((a, min(b, first)), (max(a, end), b)) if low < high]
        self.left = left
        return self.rows[first - self.first : end - self.first]


@dataclass
class Joined:
    """Numbers `first` … of all inputs; `keys` of the parts they come from."""

    first: int
    arrays: dict[str, Rows]
    time: float
    keys: list[Any]


@dataclass
class Outcome:
    """What an arrival made possible.

    Attributes:
        joined: to be processed, in order.
        through: keys of parts that are used up; to be let go afterwards.
        lost: (first, count, name of the input that has no such number).
        paired, alone: when joined by time stamp, (input, first, count) of what found a partner, and of what did not.
    """

    joined: list[Joined] = field(default_factory=list)
    through: list[Any] = field(default_factory=list)
    lost: list[tuple[int, int, str]] = field(default_factory=list)
    paired: list[tuple[str, int, int]] = field(default_factory=list)
    alone: list[tuple[str, int, int]] = field(default_factory=list)


class Joiner:
    """Takes parts in any order of inputs.

    Args:
        inputs: name of each input, and whether every number reaches it (no edge on its way drops any).
        credits: how many parts may wait at each input before its origin stands still.
    """

    def __init__(self, inputs: dict[str, bool], credits: int) -> None:
        self._complete, self._credits = inputs, credits
        self._parts: dict[str, list[Part]] = {name: [] for name in inputs}
        self._reached = dict.fromkeys(inputs, 0)
        self._ended: set[str] = set()
        self._gone = RangeSet()  # numbers that were given up, so that each is told once
        self._moved = time.monotonic()

    def explain(self, missed: str) -> str:
        """Why a number is given up."""
        return f"join: {missed} has not got it"

    def add(self, part: Part) -> Outcome:
        """A part came."""
        self._moved = time.monotonic()
        self._parts[part.name].append(part)
        self._reached[part.name] = max(self._reached[part.name], part.first + len(part.rows))
        outcome = Outcome()
        self._sweep(outcome)  # it may bring what was given up
        return self._match(outcome)

    def end(self, name: str) -> Outcome:
        """Nothing more will come at that input."""
        self._ended.add(name)
        return self._match(Outcome())

    def look(self) -> Outcome:
        """Give up what everything waits for in vain."""
        full = any(len(parts) >= self._credits for parts in self._parts.values())
        if not full or time.monotonic() - self._moved < PATIENCE_S:
            return Outcome()
        self._moved = time.monotonic()
        outcome = Outcome()
        for parts in list(self._parts.values()):
            if len(parts) >= self._credits:
                missed = next((name for name, others in self._parts.items() if not others), parts[0].name)
                for first, end in parts[0].left:
                    self._give_up(first, end, missed, outcome)
        self._sweep(outcome)
        return outcome

    def _match(self, outcome: Outcome) -> Outcome:
        while (found := self._find_common()) is not None:
            first, end, parts = found
            arrays = {part.name: part.take(first, end) for part in parts}
            outcome.joined.append(Joined(first, arrays, min(p.time for p in parts), [p.key for p in parts]))
            self._sweep(outcome)
        for name, parts in self._parts.items():
            for part in parts:
                for first, end in list(part.left):
                    self._give_up_hopeless(name, (first, end), outcome)
        self._sweep(outcome)
        return outcome

    def _find_common(self) -> tuple[int, int, list[Part]] | None:
        lead, *others = self._parts.values()
        for part in lead:
            for first, end in part.left:
                found = _narrow(first, end, [part], others)
                if found is not None:
                    return found
        return None

    def _give_up_hopeless(self, name: str, numbers: tuple[int, int], outcome: Outcome) -> None:
        first, end = numbers
        for other, complete in self._complete.items():
            if other == name:
                continue
            # what that input still has to give has higher numbers, unless nothing on its way drops any
            limit = end if other in self._ended else first if complete else min(end, self._reached[other])
            waiting = [(a, b) for part in self._parts[other] for a, b in part.left]
            for a, b in _subtract(first, limit, waiting):
                self._give_up(a, b, other, outcome)

    def _give_up(self, first: int, end: int, missed: str, outcome: Outcome) -> None:
        for a, b in list(self._gone.gaps(first, end)):
            outcome.lost.append((a, b - a, missed))
        self._gone.add(first, end - first)

    def _sweep(self, outcome: Outcome) -> None:
        for name, parts in self._parts.items():
            for part in parts:
                for first, end in [gone for left in part.left for gone in self._gone.overlaps(*left)]:
                    part.take(first, end)
            outcome.through += [part.key for part in parts if not part.left]
            self._parts[name] = [part for part in parts if part.left]


def _narrow(first: int, end: int, chosen: list[Part], others: list[list[Part]]) -> tuple[int, int, list[Part]] | None:
    """Numbers from `first` to `end` that one part of each of the others has too."""
    if not others:
        return first, end, chosen
    for part in others[0]:
        for a, b in part.left:
            low, high = max(first, a), min(end, b)
            if low < high and (found := _narrow(low, high, [*chosen, part], others[1:])) is not None:
                return found
    return None


def _subtract(first: int, end: int, taken: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """What is left of [first, end) without the ranges [a, b) in `taken`."""
    left = [(first, end)] if first < end else []
    for a, b in taken:
        left = [(low, high) for x, y in left for low, high in ((x, min(y, a)), (max(x, b), y)) if low < high]
    return left
