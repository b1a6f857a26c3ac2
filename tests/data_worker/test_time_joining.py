"""Joins by time stamp: what is paired and what is left alone."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mamba.data_worker import time_joining
from mamba.data_worker.graph import load_graph, parse_graph, plan_flows
from mamba.data_worker.joining import Outcome, Part
from mamba.data_worker.nodes import Flow, TimeRule
from mamba.data_worker.time_joining import TimeJoiner
from mamba.errors import GraphInvalid

RULE = TimeRule("a", "b", 0.25, {"a": 0, "b": 0}, {})


def cut(name: str, times: list[float], rng: random.Random) -> list[Part]:
    """Rows of one column, their time, in parts of random length."""
    rows, parts, at = np.array(times).reshape(-1, 1), [], 0
    while at < len(rows):
        count = rng.randint(1, 5)
        parts.append(Part(name, at, rows[at : at + count], time=0.0, key=(name, at)))
        at += count
    return parts


def join_all(times: dict[str, list[float]], rng: random.Random) -> Outcome:
    """All that comes out when parts come in some order of the inputs; each key is let go once."""
    joiner, seen = TimeJoiner(RULE, 10**6), Outcome()
    left = {name: cut(name, each, rng) for name, each in times.items()}
    keys = Counter(part.key for parts in left.values() for part in parts)
    while left:
        name = rng.choice(list(left))
        if left[name]:
            outcome = joiner.add(left[name].pop(0))
        else:
            outcome = joiner.end(name)
            del left[name]
        for what in ("through", "joined", "alone", "lost"):
            getattr(seen, what).extend(getattr(outcome, what))
    assert Counter(seen.through) == keys
    return seen


def list_numbers(ranges: list[tuple[str, int, int]], name: str) -> list[int]:
    """Numbers of one input."""
    return [n for its, first, count in ranges if its == name for n in range(first, first + count)]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(["both", "a", "b"]), max_size=80), st.integers(0, 2**32))
def test_every_row_is_paired_with_its_own_or_named_whatever_comes_first(events: list[str], seed: int) -> None:
    rng = random.Random(seed)
    moments = {name: [n for n, who in enumerate(events) if who in (name, "both")] for name in "ab"}
    seen = join_all({name: [n + rng.uniform(-0.12, 0.12) for n in its] for name, its in moments.items()}, rng)
    pairs = [
        (each.first + at, round(ours[0]), round(theirs[0]))
        for each in seen.joined
        for at, (ours, theirs) in enumerate(zip(each.arrays["a"], each.arrays["b"], strict=True))
    ]
    both = [n for n, who in enumerate(events) if who == "both"]
    assert pairs == [(moments["a"].index(n), n, n) for n in both]
    for name in "ab":
        alone = [at for at, n in enumerate(moments[name]) if events[n] == name]
        assert list_numbers(seen.alone, name) == alone
    assert [n for first, count, _ in seen.lost for n in range(first, first + count)] == list_numbers(seen.alone, "a")


@pytest.mark.parametrize(
    ("a", "b", "alone"),
    [
        ([0.0, float("nan"), 2.0], [0.0, 1.0, 2.0], [("a", 1, 1), ("b", 1, 1)]),
        ([0.0, 1.0], [float("nan"), 1.0], [("b", 0, 1), ("a", 0, 1)]),
        ([5.0, 1.0, 6.0], [5.0, 6.0], [("a", 1, 1)]),
        ([1.0], [1.25], []),
        ([1.0], [1.2501], [("a", 0, 1), ("b", 0, 1)]),
        ([], [1.0, 2.0], [("b", 0, 2)]),
    ],
)
def test_senseless_times_and_the_edge_of_the_tolerance(a: list[float], b: list[float], alone: list[Any]) -> None:
    seen = join_all({"a": a, "b": b}, random.Random(1))
    for name in "ab":
        assert list_numbers(seen.alone, name) == list_numbers(alone, name)


def test_when_nothing_comes_any_more_the_oldest_part_goes_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_joining, "PATIENCE_S", 0.0)
    joiner = TimeJoiner(RULE, 2)
    joiner.add(Part("a", 0, np.array([[0.0], [1.0]]), time=0.0, key="first"))
    assert joiner.look() == Outcome()
    joiner.add(Part("a", 2, np.array([[2.0]]), time=0.0, key="second"))
    outcome = joiner.look()
    assert (outcome.lost, outcome.through) == ([(0, 2, "b")], ["first"])


def test_rows_of_a_block_lie_a_period_apart_before_its_time() -> None:
    rule = TimeRule("a", "b", 0.1, {}, {"a": 0.5})
    rows = np.zeros((3, 4, 4))
    assert rule.stamp("a", rows, time=10.0, later=0).tolist() == [9.0, 9.5, 10.0]
    assert rule.stamp("a", rows[:2], time=10.0, later=1).tolist() == [9.0, 9.5]
    assert rule.stamp("b", rows[:1], time=10.0, later=0).tolist() == [10.0]


TEXT = """name: test
nodes:
  - {name: camera, kind: stream}
  - {name: other, kind: stream}
  - name: pair
    kind: match_times
    parameters:
      reference: camera
      tolerance_s: 0.01
  - {name: file, kind: hdf5}
edges:
  - {from: camera, to: file}
  - {from: camera, to: pair}
  - {from: other, to: pair}
  - {from: pair, to: file}
"""


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("0.01", "0", "line 9: node 'pair': 'tolerance_s' cannot be used\n  seen: 0"),
        ("0.01", "-1", "line 9: node 'pair': 'tolerance_s' cannot be used"),
        ("0.01", ".nan", "line 9: node 'pair': 'tolerance_s' cannot be used"),
        ("0.01", ".inf", "line 9: node 'pair': 'tolerance_s' cannot be used"),
        ("0.01", "soon", "line 9: node 'pair': 'tolerance_s' cannot be used"),
        ("tolerance_s", "tolerance", "line 9: node 'pair': unknown key 'tolerance'"),
        ("      tolerance_s: 0.01\n", "", "'tolerance_s' is missing"),
        ("reference: camera", "reference: camra", "line 5: node 'pair': no input 'camra'"),
        ("other, to: pair", "other, to: file", "line 5: node 'pair': it takes 2 inputs"),
    ],
)
def test_what_cannot_be_joined_is_refused_at_its_line(tmp_path: Path, old: str, new: str, error: str) -> None:
    path = tmp_path / "g.yaml"
    path.write_text(TEXT.replace(old, new))
    one = Flow((4, 4), "uint16")
    with pytest.raises(GraphInvalid) as caught:
        load_graph(path, check=lambda graph: plan_flows(graph, {"camera": one, "other": one}))
    assert error in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 5


def test_frames_that_share_a_time_stamp_need_their_period() -> None:
    graph, four = parse_graph(TEXT), Flow((4, 4), "uint16", 4)
    with pytest.raises(GraphInvalid, match="up to 4 frames of 'camera' share one time stamp"):
        plan_flows(graph, {"camera": four, "other": Flow((2,), "float64", 9, columns=("time", "n"))})
    with pytest.raises(GraphInvalid, match="the time stamps of 'other' are not float64"):
        plan_flows(graph, {"camera": Flow((4, 4), "uint16"), "other": Flow((1,), "float32", columns=("time",))})
    graph = parse_graph(TEXT.replace("tolerance_s: 0.01", "tolerance_s: 0.01\n      period_s: {camera: 0.1}"))
    other = Flow((2,), "float64", 9, columns=("time", "n"))
    assert plan_flows(graph, {"camera": four, "other": other})["pair"]["out"].columns == ("time", "n")
