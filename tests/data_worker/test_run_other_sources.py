"""Whole graphs on Ray whose frames come from elsewhere than a camera of ours."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from mamba.data_worker.control import Armed, arm, feedback
from mamba.data_worker.feedback import Row
from mamba.data_worker.graph import Graph, parse_graph
from mamba.data_worker.ledger import Ledger
from mamba.errors import GraphInvalid, StreamBroken
from tests.data_worker.conftest import REGIONS
from tests.data_worker.test_run import await_written, pid_of
from tests.support.dectris_simulator import make_image
from tests.support.fly_controller import make_points
from tests.support.graph_killer import Killer

pytestmark = pytest.mark.soak  # each starts a Ray or a console of its own: for the time of make test

_ROOT = Path(__file__).parents[2]


class Program:
    """A simulator in a process of its own; tells a JSON line when it is ready."""

    def __init__(self, module: str, *options: str) -> None:
        command = [sys.executable, "-m", f"tests.support.{module}", *options]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=_ROOT)
        assert self.process.stdout is not None
        self.said: dict[str, Any] = json.loads(self.process.stdout.readline())

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.process.communicate("\n", timeout=10)
        finally:
            self.process.kill()


Begin = Callable[..., Armed]


@pytest.fixture
def begin(ray_once: None, tmp_path: Path) -> Iterator[Begin]:
    """Arm a graph: `begin(graph, frames=…)`."""
    with ExitStack() as stack:

        def arm_it(graph: Graph, frames: int) -> Armed:
            armed = arm(graph, arm_id=4, frames=frames, file=tmp_path / "raw.h5", device="D.eiger")
            stack.callback(armed.close)
            return armed

        yield arm_it


def make_graph(source: dict[str, Any], *others: dict[str, Any], edges: list[tuple[str, str]]) -> Graph:
    """A source, a file, others."""
    nodes = [{"name": "source", **source}, {"name": "file", "kind": "hdf5", "parameters": {"spare_mib": 1}}, *others]
    return parse_graph({"name": "test", "nodes": nodes, "edges": [{"from": a, "to": b} for a, b in edges]})


@pytest.mark.parametrize("version", ["1", "2"])
def test_a_dectris_detector_goes_to_the_file_with_its_sums_and_what_it_lost_is_named(
    begin: Begin, version: str
) -> None:
    options = ("--version", version, "--frames", "400", "--size", "32", "48", "--skip", "17", "18", "399")
    rows: list[Row] = []
    with Program("dectris_simulator", *options) as detector:
        parameters = {"endpoint": detector.said["endpoint"], "height": 32, "width": 48, "dtype": "uint16"}
        graph = make_graph(
            {"kind": "dectris", "parameters": parameters, "group": "intake"},
            {"name": "sums", "kind": "region_sums", "parameters": {"regions": REGIONS}, "group": "intake"},
            {"name": "steer", "kind": "feedback", "group": "intake"},
            edges=[("source", "file"), ("source", "sums"), ("sums", "file"), ("sums", "steer")],
        )
        leave = feedback["steer"].subscribe(rows.append)
        try:
            ledger = begin(graph, frames=400).wait(60)
        finally:
            leave()
    assert (ledger.produced, ledger.written) == (400, 397)
    assert [(gap.first, gap.last, gap.reason) for gap in ledger.missing] == [
        (17, 18, "not sent"),
        (399, 399, "not sent"),
    ]
    with h5py.File(ledger.files[0]) as file:
        numbers = file["entry/data/frame_number"][:].tolist()
        assert sorted(numbers) == [n for n in range(399) if n not in (17, 18)]
        for row, number in enumerate(numbers):
            assert np.array_equal(file["entry/data/frames"][row], make_image(number, (32, 48)))
    assert [row.number for row in rows] == sorted(numbers)


def test_a_killed_source_goes_on_in_the_series_and_what_it_had_taken_is_named(begin: Begin) -> None:
    options = ("--frames", "1000", "--size", "32", "48", "--rate", "300")
    with Program("dectris_simulator", *options) as detector:
        parameters = {"endpoint": detector.said["endpoint"], "height": 32, "width": 48, "dtype": "uint16"}
        graph = make_graph({"kind": "dectris", "parameters": parameters}, edges=[("source", "file")])
        armed = begin(graph, frames=1000)
        await_written(armed, 200)
        os.kill(pid_of("source"), signal.SIGKILL)
        ledger = armed.wait(60)
    assert ledger.produced == 1000
    assert ledger.written + sum(gap.last - gap.first + 1 for gap in ledger.missing) == 1000
    with h5py.File(ledger.files[0]) as file:
        numbers = file["entry/data/frame_number"][:].tolist()
        gone = {n for gap in ledger.missing for n in range(gap.first, gap.last + 1)}
        assert sorted(numbers) == [n for n in range(1000) if n not in gone]
        for row in (0, len(numbers) // 2, -1):
            assert np.array_equal(file["entry/data/frames"][row], make_image(numbers[row], (32, 48)))
    assert numbers[-1] == 999


def test_a_detector_of_another_size_ends_the_run_with_both_sizes(begin: Begin) -> None:
    with Program("dectris_simulator", "--frames", "5", "--size", "32", "48") as detector:
        parameters = {"endpoint": detector.said["endpoint"], "height": 32, "width": 50, "dtype": "uint16"}
        armed = begin(make_graph({"kind": "dectris", "parameters": parameters}, edges=[("source", "file")]), frames=5)
        with pytest.raises(StreamBroken, match=r"shape \(32, 48\)\n  seen: \(32, 50\) is set"):
            armed.wait(60)


def test_points_of_a_fly_controller_are_fed_back(begin: Begin, tmp_path: Path) -> None:
    names = [f"c{at}" for at in range(10)]
    path = tmp_path / "frames.h5"
    with h5py.File(path, "w") as file:
        file["entry/data/frames"] = np.zeros((3, 8, 8), np.uint16)
    came = []
    with Program("fly_controller", "--points", "20000", "--block", "1000") as controller:
        told = {**controller.said, "columns": names}
        graph = make_graph(
            {"kind": "hdf5_replay", "parameters": {"file": str(path)}},
            {"name": "fly", "kind": "points", "parameters": told},
            {"name": "steer", "kind": "feedback"},
            edges=[("source", "file"), ("fly", "steer")],
        )
        leave = feedback["steer"].subscribe(came.append)
        try:
            ledger = begin(graph, frames=3).wait(60)
        finally:
            leave()
    assert ledger.written == 3
    assert [row.number for row in came] == list(range(20_000))
    values = np.stack([row.values for row in came])
    assert np.array_equal(values, np.resize(make_points(0, 1000, 10), values.shape))


def test_a_camera_that_was_not_given_is_told(begin: Begin) -> None:
    with pytest.raises(GraphInvalid, match="node 'source': no detector sends to it"):
        begin(make_graph({"kind": "stream"}, edges=[("source", "file")]), frames=1)


ROWS, ASTRAY, LOST = 300, (7, 8, 100, 299), (40, 100)


def make_clocks(*, pace_s: float) -> Graph:
    """Detector `b` is 0.02 s late; some of its rows are half a second off, and some of `a` are."""
    common = {"rows": ROWS, "pace_s": pace_s}
    nodes = [
        {"name": "a", "kind": "test_stamped", "parameters": {**common, "astray": LOST}},
        {"name": "b", "kind": "test_stamped", "parameters": {**common, "late_s": 0.02, "astray": ASTRAY}},
        {"name": "pair", "kind": "match_times", "parameters": {"reference": "a", "tolerance_s": 0.1}, "group": "pair"},
        {"name": "sum", "kind": "expression", "parameters": {"formula": "a.n + pair.n"}},
        {"name": "file", "kind": "hdf5", "group": "file", "parameters": {"spare_mib": 1}},
    ]
    edges = ("a file", "a pair", "b pair", "pair file", "a sum", "pair sum", "sum file")
    specs = [dict(zip(("from", "to"), edge.split(), strict=True)) for edge in edges]
    return parse_graph({"name": "test", "nodes": nodes, "edges": specs})


def check_pairs(ledger: Ledger) -> None:
    """Each row of `a` is in the file; with its partner, or named."""
    assert (ledger.produced, ledger.written, ledger.missing) == (ROWS, ROWS, ())
    # row 100 of both is half a second late: they fit each other
    alone = {"a": [7, 8, 40, 299], "b": [7, 8, 40, 299]}
    told = ledger.nodes["pair"]["alone"]
    assert {name: [n for its, low, high in told if its == name for n in range(low, high + 1)] for name in "ab"} == alone
    with h5py.File(ledger.files[0]) as file:
        data, mdw = file["entry/data"], file["entry/mdw"]
        numbers = data["frame_number"][:].tolist()
        assert sorted(numbers) == list(range(ROWS))
        for row, number in enumerate(numbers):
            expected = float("nan") if number in alone["a"] else float(number)
            np.testing.assert_equal(data["pair"][row, 1], expected)
            np.testing.assert_equal(data["sum"][row], 2 * expected)
        columns = (mdw["alone"][key][:] for key in ("first", "last"))
        names = mdw["alone/input"].asstr()[:]
        assert [[name, int(a), int(b)] for name, a, b in zip(names, *columns, strict=True)] == told
        rows = dict(zip(mdw["nodes/name"].asstr()[:], mdw["nodes/rows"][:].tolist(), strict=True))
        assert rows == {name: its["rows"] for name, its in ledger.nodes.items()}


def test_a_graph_pairs_two_detectors_and_names_who_found_no_partner(begin: Begin) -> None:
    ledger = begin(make_clocks(pace_s=0.0), frames=ROWS).wait(60)
    check_pairs(ledger)
    assert {name: its["rows"] for name, its in ledger.nodes.items()} == {
        "a": ROWS, "b": ROWS, "pair": 2 * ROWS, "sum": 2 * ROWS - 4, "file": 3 * ROWS - 8,
    }  # fmt: skip


@pytest.mark.parametrize("group", ["pair", pytest.param("file", marks=pytest.mark.soak)])
def test_a_join_by_time_stamp_goes_on_when_an_actor_is_killed(begin: Begin, group: str) -> None:
    armed = begin(make_clocks(pace_s=0.02), frames=ROWS)
    killer = Killer(armed)
    killer.await_written(60)
    killer.kill(group)
    killer.await_whole()
    check_pairs(armed.wait(60))
    assert killer.kills == 1
