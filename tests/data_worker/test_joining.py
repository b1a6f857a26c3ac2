"""Joins by frame number: what is joined, what is given up, and that every block is let go exactly once."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mamba.data_worker import joining
from mamba.data_worker.joining import Joiner, Outcome, Part


def make_parts(name: str, rng: random.Random, *, numbers: int, lost: float) -> list[Part]:
    """Numbers 0 to n-1 in pieces of random length, some of them lost; row n holds n."""
    parts, at = [], 0
    while at < numbers:
        count = min(rng.randint(1, 7), numbers - at)
        if rng.random() >= lost:
            parts.append(Part(name, at, np.arange(at, at + count), time=float(at), key=(name, at)))
        at += count
    return parts


class Seen:
    """What came out of a joiner."""

    def __init__(self) -> None:
        self.joined: list[int] = []
        self.through: Counter[tuple[str, int]] = Counter()
        self.lost: list[tuple[int, str]] = []

    def take(self, outcome: Outcome) -> None:
        """Check what was joined."""
        for each in outcome.joined:
            first, *others = each.arrays.values()
            assert all(np.array_equal(first, other) for other in others)
            assert first[0] == each.first
            self.joined += first.tolist()
        self.through.update(outcome.through)
        self.lost += [(n, missed) for first, count, missed in outcome.lost for n in range(first, first + count)]


@settings(max_examples=150, deadline=None)
@given(st.integers(2, 3), st.integers(1, 120), st.integers(0, 2**32), st.sampled_from([0.0, 0.3]))
def test_what_all_inputs_have_is_joined_once_and_the_rest_is_named(
    inputs: int, numbers: int, seed: int, lost: float
) -> None:
    rng = random.Random(seed)
    names = [f"i{n}" for n in range(inputs)]
    parts = {name: make_parts(name, rng, numbers=numbers, lost=lost) for name in names}
    joiner, seen = Joiner(dict.fromkeys(names, lost == 0), 10**6), Seen()
    have = {name: {int(n) for part in parts[name] for n in part.rows} for name in names}
    keys = Counter(part.key for each in parts.values() for part in each)
    left = {name: list(each) for name, each in parts.items()}
    while any(left.values()):
        name = rng.choice([name for name in names if left[name]])
        seen.take(joiner.add(left[name].pop(0)))
    for name in names:
        seen.take(joiner.end(name))
    common = set.intersection(*have.values())
    assert sorted(seen.joined) == sorted(common)
    assert seen.through == keys
    assert all(n not in common for n, _ in seen.lost)
    assert all(n not in have[missed] for n, missed in seen.lost)


def test_a_number_that_an_edge_dropped_is_given_up_when_the_next_one_comes() -> None:
    joiner, seen = Joiner({"raw": True, "reduced": False}, 8), Seen()
    seen.take(joiner.add(Part("raw", 0, np.arange(4), time=0.0, key=("raw", 0))))
    assert (seen.joined, seen.lost) == ([], [])
    seen.take(joiner.add(Part("raw", 4, np.arange(4, 8), time=0.0, key=("raw", 4))))
    seen.take(joiner.add(Part("reduced", 4, np.arange(4, 8), time=0.0, key=("reduced", 4))))
    assert seen.joined == [4, 5, 6, 7]
    assert seen.lost == [(n, "reduced") for n in range(4)]
    assert set(seen.through) == {("raw", 0), ("raw", 4), ("reduced", 4)}


def test_a_slow_branch_that_drops_nothing_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joining, "PATIENCE_S", 0.0)
    joiner, seen = Joiner({"raw": True, "reduced": True}, 4), Seen()
    for n in range(3):
        seen.take(joiner.add(Part("raw", n, np.array([n]), time=0.0, key=("raw", n))))
    seen.take(joiner.look())
    assert seen.lost == []
    seen.take(joiner.add(Part("reduced", 0, np.arange(3), time=0.0, key=("reduced", 0))))
    assert seen.joined == [0, 1, 2]


def test_when_nothing_can_come_any_more_the_oldest_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joining, "PATIENCE_S", 0.0)
    joiner, seen = Joiner({"raw": True, "reduced": True}, 2), Seen()
    for n in range(2):
        seen.take(joiner.add(Part("raw", n, np.array([n]), time=0.0, key=("raw", n))))
    seen.take(joiner.look())
    assert seen.lost == [(0, "reduced")]
    assert set(seen.through) == {("raw", 0)}
