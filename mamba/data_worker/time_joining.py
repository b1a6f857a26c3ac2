"""Pairs rows of two inputs by time stamp: those that lie within a tolerance go on under the reference's numbers.

Both inputs are gone through in order, the earliest rows first, so that the pairs do not depend on which input came
first, and no other way gives more of them. A row is alone when the other input has come to a later time than the
tolerance allows, or has ended. Parts wait in the slots they came in, as in `mamba.data_worker.joining`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mamba.data_worker.joining import PATIENCE_S, Joined, Outcome, Part
from mamba.data_worker.nodes import Rows, TimeRule


@dataclass
class _Queue:
    """What waits at one input: parts, the time stamps of the first one, and how many of its rows are through."""

    name: str
    parts: list[Part]
    at: int = 0
    ended: bool = False
    stamps: NDArray[np.float64] | None = None

    @property
    def head(self) -> Part:
        return self.parts[0]

    @property
    def number(self) -> int:
        return self.head.first + self.at

    def step(self, count: int, through: list[Any]) -> None:
        """So many rows of the head are through."""
        self.at += count
        if self.at == len(self.head.rows):
            through.append(self.parts.pop(0).key)
            self.at, self.stamps = 0, None


class TimeJoiner:
    """Takes parts of both inputs in any order; of each input in the order of their numbers.

    Args:
        rule: which input is the reference, what fits, and where the time stamps are.
        credits: how many parts may wait at each input before its origin stands still.
    """

    def __init__(self, rule: TimeRule, credits: int) -> None:
        self._rule, self._credits = rule, credits
        self._reference, self._other = _Queue(rule.reference, []), _Queue(rule.other, [])
        self._queues = {queue.name: queue for queue in (self._reference, self._other)}
        self._moved = time.monotonic()

    def explain(self, missed: str) -> str:
        """Why a row goes on alone, when the input `missed` has nothing for it."""
        return f"join: {missed} has nothing within {self._rule.tolerance_s:g} s of it"

    def add(self, part: Part) -> Outcome:
        """A part came."""
        self._moved = time.monotonic()
        self._queues[part.name].parts.append(part)
        return self._match()

    def end(self, name: str) -> Outcome:
        """Nothing more will come at that input."""
        self._queues[name].ended = True
        return self._match()

    def look(self) -> Outcome:
        """Give up the oldest part of an input that holds all its credits while nothing comes anywhere."""
        full = [queue for queue in self._queues.values() if len(queue.parts) >= self._credits]
        outcome = Outcome()
        if full and time.monotonic() - self._moved >= PATIENCE_S:
            self._moved = time.monotonic()
            for queue in full:
                self._leave_alone(queue, len(queue.head.rows) - queue.at, outcome)
        return self._name_lost(outcome)

    def _match(self) -> Outcome:
        outcome = Outcome()
        reference, other = self._reference, self._other
        while reference.parts and other.parts:
            ours, theirs = self._stamp(reference)[reference.at :], self._stamp(other)[other.at :]
            alike = self._count_alike(ours, theirs)
            if alike:
                self._pair(alike, outcome)
            elif ours[0] < theirs[0] or np.isnan(ours[0]):
                self._leave_alone(reference, 1, outcome)
            else:
                self._leave_alone(other, 1, outcome)
        for queue, opposite in ((reference, other), (other, reference)):
            while queue.parts and opposite.ended:
                self._leave_alone(queue, len(queue.head.rows) - queue.at, outcome)
        return self._name_lost(outcome)

    def _name_lost(self, outcome: Outcome) -> Outcome:
        rule = self._rule
        outcome.lost = [(first, count, rule.other) for name, first, count in outcome.alone if name == rule.reference]
        return outcome

    def _count_alike(self, ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> int:
        """How many rows from the first on fit one to one."""
        count = min(len(ours), len(theirs))
        fits = np.abs(ours[:count] - theirs[:count]) <= self._rule.tolerance_s
        return count if fits.all() else int(np.argmin(fits))

    def _stamp(self, queue: _Queue) -> NDArray[np.float64]:
        if queue.stamps is None:
            head = queue.head
            queue.stamps = self._rule.stamp(queue.name, head.rows, time=head.time, later=head.later)
        return queue.stamps

    def _pair(self, count: int, outcome: Outcome) -> None:
        queues = (self._reference, self._other)
        first = self._reference.number
        arrays: dict[str, Rows] = {each.name: each.head.rows[each.at : each.at + count] for each in queues}
        made = self._reference.head.time
        outcome.joined.append(Joined(first, arrays, made, [each.head.key for each in queues]))
        for each in queues:
            _extend(outcome.paired, (each.name, each.number, count))
            each.step(count, outcome.through)

    def _leave_alone(self, queue: _Queue, count: int, outcome: Outcome) -> None:
        _extend(outcome.alone, (queue.name, queue.number, count))
        queue.step(count, outcome.through)


def _extend(ranges: list[tuple[str, int, int]], more: tuple[str, int, int]) -> None:
    """Add a range to those of its input, in one with the last when it goes on from that."""
    name, first, count = more
    for at in range(len(ranges) - 1, -1, -1):
        if ranges[at][0] == name:
            _, began, before = ranges[at]
            if began + before == first:
                ranges[at] = (name, began, before + count)
                return
            break
    ranges.append(more)
