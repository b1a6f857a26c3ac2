"""Graphs of other shapes than the demo's, and nodes that misbehave; every account is exact."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from mamba.data_worker.control import Armed
from mamba.data_worker.graph import Graph, parse_graph
from mamba.data_worker.ledger import Ledger
from mamba.errors import NodeFailed
from tests.data_worker.conftest import Start
from tests.support.frame_feeder import make_frame
from tests.support.session_host import wait_until

Node = dict[str, Any]


def build(*nodes: Node, edges: list[str]) -> Graph:
    """A graph with a camera and a file; edges as "a b", or "a b policy"."""
    both = [{"name": "camera", "kind": "stream"}, {"name": "file", "kind": "hdf5"}, *nodes]
    specs = [dict(zip(("from", "to", "policy"), edge.split(), strict=False)) for edge in edges]
    return parse_graph({"name": "test", "nodes": both, "edges": specs})


def misbehaving(how: str, *, more: Node | None = None, **parameters: Any) -> Node:
    """A node that misbehaves."""
    spec = {"name": "bad", "kind": "test_misbehaving", "parameters": {"how": how, **parameters}}
    return {**spec, **(more or {})}


def check_frames(ledger: Ledger, shape: tuple[int, int]) -> None:
    """The file holds the frames that the ledger says, each right."""
    gone = {n for gap in ledger.missing for n in range(gap.first, gap.last + 1)}
    with h5py.File(ledger.files[0]) as file:
        numbers = file["entry/data/frame_number"][:].tolist()
        assert sorted(numbers) == [n for n in range(ledger.produced) if n not in gone]
        for row in range(0, len(numbers), 7):
            np.testing.assert_array_equal(file["entry/data/frames"][row], make_frame(numbers[row], shape))


def test_corrected_frames_go_through_a_ring_of_their_own_and_join_the_raw_ones(start: Start) -> None:
    graph = build(
        {"name": "twice", "kind": "test_doubled", "group": "work"},
        {"name": "once", "kind": "test_difference", "group": "work"},
        edges=["camera file", "camera twice", "twice once", "camera once", "once file", "twice file"],
    )
    _feeder, armed = start(graph, frames=202, shape=[128, 160])
    ledger = armed.wait(30)
    assert (ledger.written, ledger.missing) == (202, ())
    with h5py.File(ledger.files[0]) as file:
        data = file["entry/data"]
        for row, number in enumerate(data["frame_number"][:].tolist()):
            frame = make_frame(number, (128, 160)).astype(np.float32)
            np.testing.assert_array_equal(data["twice"][row], frame * 2)
            np.testing.assert_array_equal(data["once"][row], frame)
    assert ledger.edges["twice → once"] == {"sent": 202, "dropped": 0}
    with h5py.File(ledger.files[0]) as file:
        edges = file["entry/mdw/edges"]
        told = zip(edges["name"].asstr()[:], edges["sent"][:].tolist(), edges["dropped"][:].tolist(), strict=True)
        assert {name: {"sent": sent, "dropped": dropped} for name, sent, dropped in told} == ledger.edges
        assert file["entry/mdw/notes"].asstr()[:].tolist() == list(ledger.notes)


def test_a_join_goes_on_without_what_one_input_dropped(start: Start) -> None:
    graph = build(
        {"name": "twice", "kind": "test_doubled", "group": "slow"},
        {"name": "screen", "kind": "test_screen", "parameters": {"seconds": 0.005}, "group": "slow"},
        {"name": "once", "kind": "test_difference"},
        edges=["camera file", "camera twice drop", "twice once", "twice screen", "camera once", "once file"],
    )
    _feeder, armed = start(graph, frames=800, shape=[64, 64], block_frames=2)
    ledger = armed.wait(60)
    assert (ledger.written, ledger.missing) == (800, ())
    dropped = ledger.edges["camera → twice"]["dropped"]
    with h5py.File(ledger.files[0]) as file:
        once = file["entry/data/once"][:]
    known = ~np.isnan(once[:, 0, 0]) if once.dtype.kind == "f" else np.ones(len(once), bool)
    assert ledger.edges["camera → twice"]["sent"] == 800 - dropped
    assert ledger.edges["once → file"]["sent"] == 800 - dropped
    assert known.sum() >= 800 - dropped


@pytest.mark.parametrize(
    "policy", ["drop", *(pytest.param(each, marks=pytest.mark.soak) for each in ("wait", "latest"))]
)
def test_a_slow_screen_costs_no_frame_of_the_file(start: Start, tmp_path: Path, policy: str) -> None:
    log = tmp_path / "seen"
    screen = {"name": "screen", "kind": "test_screen", "parameters": {"seconds": 0.004, "log": str(log)}}
    feeder, armed = start(build(screen, edges=["camera file", f"camera screen {policy}"]), frames=600)
    ledger = armed.wait(60)
    assert (ledger.written, ledger.missing) == (600, ())
    check_frames(ledger, feeder.feed.shape)
    seen = [tuple(map(int, line.split())) for line in log.read_text().splitlines()]
    edge = ledger.edges["camera → screen"]
    assert sum(count for _, count in seen) == edge["sent"]
    assert edge["sent"] + edge["dropped"] == 600
    assert (edge["dropped"] == 0) == (policy == "wait")
    if policy == "latest":
        assert seen[-1] == (596, 4)


@pytest.mark.parametrize(
    "policy", ["latest", *(pytest.param(each, marks=pytest.mark.soak) for each in ("wait", "drop"))]
)
def test_a_file_behind_a_policy_has_exactly_what_the_edge_let_through(start: Start, policy: str) -> None:
    _feeder, armed = start(build(edges=[f"camera file {policy}"]), frames=2000, shape=[256, 256], prepared=True)
    ledger = armed.wait(60)
    assert ledger.produced == 2000 == ledger.written + ledger.missing_frames
    assert ledger.edges["camera → file"] == {"sent": ledger.written, "dropped": ledger.missing_frames}
    assert {gap.reason for gap in ledger.missing} <= {f"{policy}: file was behind"}


def test_a_node_that_raises_ends_the_run_when_the_file_depends_on_it(start: Start) -> None:
    feeder, armed = start(build(misbehaving("raise"), edges=["camera file", "camera bad", "bad file"]), frames=4000)
    with pytest.raises(NodeFailed, match=r"node bad: RuntimeError\n.*does not converge"):
        armed.wait(30)
    assert armed.ledger is not None
    check_frames(armed.ledger, feeder.feed.shape)


@pytest.mark.parametrize("how", ["shape", pytest.param("raise", marks=pytest.mark.soak)])
def test_a_node_on_which_no_file_depends_fails_alone(start: Start, how: str) -> None:
    graph = build(
        misbehaving(how),
        {"name": "screen", "kind": "test_screen"},
        edges=["camera file", "camera bad", "bad screen"],
    )
    _feeder, armed = start(graph, frames=1000)
    ledger = armed.wait(30)
    assert (ledger.written, ledger.missing) == (1000, ())
    said = "does not converge" if how == "raise" else "(3,) float64, planned () float64"
    assert any("node bad" in note and said in note and "the others go on" in note for note in ledger.notes)


@pytest.mark.parametrize(
    ("how", "limit"),
    [("hang", "time_limit_s"), pytest.param("leak", "memory_limit_mib", marks=pytest.mark.soak), ("die", "")],
)
def test_a_node_that_fails_once_is_replaced_and_nothing_is_lost(
    start: Start, tmp_path: Path, how: str, limit: str
) -> None:
    limits: Node = {limit: {"time_limit_s": 1.0, "memory_limit_mib": 400}[limit]} if limit else {}
    bad = misbehaving(how, at=100, seconds=60, once=str(tmp_path / "once") if how != "leak" else "", more=limits)
    feeder, armed = start(build(bad, edges=["camera file", "camera bad", "bad file"]), frames=500, period_s=0.01)
    if how == "leak":
        await_note(armed, "has grown beyond 400 MiB")
        await_note(armed, "a new actor took over")
        armed.abort("seen", produced=None)
        ledger = armed.ledger
        assert ledger is not None
        assert ledger.written > 100
        return
    ledger = armed.wait(60)
    assert (ledger.written, ledger.missing) == (500, ())
    assert any("took more" in n or "has taken more" in n for n in ledger.notes) == (how == "hang")
    with h5py.File(ledger.files[0]) as file:
        numbers, means = file["entry/data/frame_number"][:], file["entry/data/bad"][:]
    expected = [make_frame(int(n), feeder.feed.shape).mean() for n in numbers]
    assert numbers[np.isnan(means)].tolist() == []
    np.testing.assert_allclose(means, expected)


def test_a_node_that_dies_at_the_same_frame_again_and_again_ends_the_run(start: Start) -> None:
    bad = misbehaving("die", at=100)
    feeder, armed = start(build(bad, edges=["camera file", "camera bad", "bad file"]), frames=3000)
    with pytest.raises(NodeFailed, match="node bad: its actor died"):
        armed.wait(60)
    ledger = armed.ledger
    assert ledger is not None
    # a new actor may die before it can say that it took over; each death is noted all the same
    assert sum("its actor died" in note for note in ledger.notes) >= 3
    check_frames(ledger, feeder.feed.shape)


def test_a_source_of_a_package_beside_the_camera(start: Start) -> None:
    graph = build(
        {"name": "numbers", "kind": "test_counting", "parameters": {"rows": 101}},
        {"name": "log", "kind": "hdf5"},
        edges=["camera file", "numbers log"],
    )
    _feeder, armed = start(graph, frames=60)
    ledger = armed.wait(30)
    assert (ledger.written, ledger.missing) == (60, ())
    with h5py.File(ledger.files[1]) as file:
        assert file["entry/data/numbers"][:, 1].tolist() == [n * n for n in range(101)]


def await_note(armed: Armed, text: str) -> None:
    """Wait until the supervisor has noted something."""
    deadline = time.monotonic() + 30
    while not any(text in note for note in armed._supervisor._notes):
        assert time.monotonic() < deadline, armed._supervisor._notes
        time.sleep(0.02)  # between looks


def test_the_meters_say_who_is_behind_and_who_waits(start: Start, tmp_path: Path) -> None:
    once = tmp_path / "hangs"
    slow = misbehaving("hang", seconds=60.0, once=str(once), more={"time_limit_s": 2.0, "group": "slow"})
    graph = build(slow, edges=["camera file", "camera bad", "bad file"])
    _feeder, armed = start(graph, frames=400, slots=8, block_frames=4)

    def read() -> dict[str, Any]:
        return {node.name: node for node in armed.progress().nodes}

    def read_camera() -> tuple[int, int]:
        return read()["camera"].queued, read()["camera"].credits

    wait_until(lambda: read_camera() == (8, 0), what="the detector to wait for a slot")
    # it holds what it had taken when it hung: one block at least, the more the later its releases had come
    wait_until(lambda: read()["bad"].queued >= 1, what="the block that it took")
    nodes = read()
    assert nodes["bad"].queued + nodes["bad"].credits == 8
    assert nodes["file"].queued + nodes["file"].credits >= 8, "the tightest input of several"
    wait_until(lambda: read()["bad"].lag_s > 1.0, what="the lag to grow while nothing comes through")

    ledger = armed.wait(30)
    assert (ledger.written, ledger.missing) == (400, ())
    for node in read().values():
        assert (node.queued, node.credits, node.lag_s) == (0, 8, 0.0), node.name
