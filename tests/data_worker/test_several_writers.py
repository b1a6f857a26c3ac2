"""Several writers of one stream: each frame in one file of theirs, all of them in the one that shows them."""

import json
import random
import re
from itertools import chain
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import psutil
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from mamba.cli import cli
from mamba.data_worker import control
from mamba.data_worker.frame import Block
from mamba.data_worker.graph import parse_graph, plan_flows
from mamba.data_worker.ledger import Ledger
from mamba.data_worker.nodes import Flow
from mamba.data_worker.shares import Share, list_writer_files
from mamba.data_worker.sinks.joined import find_runs
from mamba.data_worker.sinks.recovery import recover_file
from mamba.data_worker.sinks.verification import verify_file
from mamba.errors import DataError, DiskFull, GraphInvalid, NodeFailed
from tests.data_worker.conftest import Start
from tests.data_worker.test_run import check_file, pid_of
from tests.support.dying_console import SHAPE, DyingConsole, make_graph
from tests.support.frame_feeder import Feeder, make_frame
from tests.support.graph_killer import Killer, wait_for


@given(st.integers(1, 5), st.integers(1, 12), st.integers(1, 7), st.integers(0, 90), st.integers(1, 40))
def test_every_row_has_one_writer(of: int, run: int, every: int, first: int, count: int) -> None:
    shares = [Share(index, of, run, every) for index in range(of)]
    owners = [[n for a, b in share.cut(first, first + count) for n in range(a, b)] for share in shares]
    assert sorted(chain.from_iterable(owners)) == list(range(first, first + count))
    if of == 1:
        assert list(shares[0].cut(first, first + count)) == [(first, first + count)]
    for share, owned in zip(shares, owners, strict=True):
        assert all(row * every // run % of == share.writer for row in owned)
        assert share.takes(Block(1, 0, first, count)) == bool(owned)
        assert share._replace(every=1).count_own(first) == sum(n // run % of == share.writer for n in range(first))


@given(st.permutations(range(24)) | st.lists(st.integers(0, 400), unique=True).map(sorted))
def test_runs_say_where_each_row_goes(places: list[int]) -> None:
    told = {}
    for runs in find_runs(np.array(places, dtype=np.int64)):
        for number in range(runs.repeats * runs.length):
            told[runs.row + number] = runs.first + number // runs.length * runs.step + number % runs.length
    assert told == dict(enumerate(places))


def test_a_regular_share_is_told_in_one_word() -> None:
    turns = np.arange(1000)[:, None] * 12 + 4 + np.arange(4)
    assert len(list(find_runs(turns.ravel()))) == 1


def check_shared(ledger: Ledger, writers: int) -> None:
    """The joint file as any other; each writer's has its share, with an account that adds up; nothing is twice."""
    check_file(ledger, SHAPE)
    joint, *parts = ledger.files
    assert [part.name for part in parts] == [f"{joint.stem}_writer{n}.h5" for n in range(1, writers + 1)]
    with h5py.File(joint) as file:
        assert file["entry/data/frames"].is_virtual
        assert file["entry/data/frame_number"][:].tolist() == sorted(file["entry/data/frame_number"][:].tolist())
        assert file["entry/instrument/detector/data"] == file["entry/data/frames"]
        produced = [0, 0]
        for part in parts:
            with h5py.File(part) as own:
                mdw = own["entry/mdw"]
                counts = mdw["missing/last"][:] - mdw["missing/first"][:] + 1
                assert mdw["produced"][()] == mdw["written"][()] + counts.sum()
                assert mdw["written"][()] == len(own["entry/data/frame_number"])
                produced = np.add(produced, [mdw["produced"][()], mdw["written"][()]])
        assert tuple(produced) == (ledger.produced, ledger.written)
    checked = list(verify_file(joint))
    assert not any(each.bad for each in checked)
    assert {each.file for each in checked} >= {joint, *parts}


@pytest.mark.parametrize(
    "file",
    [{}, pytest.param({"compression": "bslz4", "frames_per_file": 50}, marks=pytest.mark.soak)],
    ids=["whole", "split"],
)
def test_three_write_and_one_file_shows_all(start: Start, file: dict[str, Any]) -> None:
    _, armed = start(make_graph(**file), frames=402, shape=SHAPE)
    ledger = armed.wait(20)
    assert (ledger.produced, ledger.written, ledger.missing) == (402, 402, ())
    check_shared(ledger, 3)
    assert ledger.datasets["frames"].file == ledger.files[0]
    assert ledger.datasets["frames"].shape == (402, *SHAPE)
    with h5py.File(ledger.files[0]) as h5:
        assert not np.isnan(h5["entry/data/region_sums"][:]).any()
        assert h5["entry/data/region_sums"].attrs["columns"].tolist() == ["a", "b", "c", "d"]
        tens = h5["entry/every_10"]
        numbers = tens["frame_number"][:].tolist()
        assert numbers == list(range(0, 402, 10))
        means = [np.mean([make_frame(n + i, SHAPE) for i in range(10)], axis=0) for n in numbers[:-1]]
        np.testing.assert_allclose(tens["tens"][:-1], means, rtol=1e-5)


@pytest.mark.soak
def test_what_is_missing_is_missing_in_its_writer_s_file(start: Start) -> None:
    _, armed = start(make_graph(2), frames=90, shape=SHAPE, skip=[0, 7, 8, 9, 10, 89])
    ledger = armed.wait(20)
    assert [tuple(gap)[:2] for gap in ledger.missing] == [(0, 0), (7, 10), (89, 89)]
    check_shared(ledger, 2)


@pytest.mark.soak
@pytest.mark.parametrize("policy", ["drop", pytest.param("latest", marks=pytest.mark.soak)])
def test_what_edges_to_the_writers_drop_is_in_the_ledger(start: Start, policy: str) -> None:
    _, armed = start(make_graph(policy=policy), frames=1000, shape=SHAPE)
    ledger = armed.wait(30)
    dropped = sum(ledger.edges[f"camera → file_{n}"]["dropped"] for n in (1, 2, 3))
    assert ledger.produced == 1000 == ledger.written + dropped
    assert {gap.node for gap in ledger.missing} <= {"camera"}
    check_shared(ledger, 3)


@pytest.mark.soak
def test_a_screen_comes_while_several_write_and_a_writer_does_not(start: Start) -> None:
    graph = make_graph()
    _, armed = start(graph, frames=100_000, shape=SHAPE, period_s=0.004)
    data = graph.dump()
    data["nodes"].append({"name": "look", "kind": "preview"})
    data["edges"].append({"from": "camera", "to": "look", "policy": "latest"})
    armed.change(parse_graph(data))
    wait_for(lambda: any(node.name == "look" and node.rows for node in armed.progress().nodes), "nothing to see")
    with pytest.raises(GraphInvalid, match="node 'file_3' would be gone"):
        armed.change(make_graph(2))
    check_shared(armed.abort("seen enough"), 3)


@pytest.mark.soak
def test_an_arm_shorter_than_a_round_leaves_empty_files(start: Start) -> None:
    _, armed = start(make_graph(3), frames=3, shape=SHAPE)
    check_shared(armed.wait(20), 3)


@pytest.mark.soak
def test_no_frame_at_all(start: Start) -> None:
    _, armed = start(make_graph(2), frames=4, shape=SHAPE, skip=[0, 1, 2, 3])
    ledger = armed.wait(20)
    assert (ledger.produced, ledger.written) == (4, 0)
    check_shared(ledger, 2)


def test_killed_writers_are_replaced_and_the_joint_file_is_whole(start: Start) -> None:
    _, armed = start(make_graph(), frames=800, shape=SHAPE, period_s=0.004)
    killer = Killer(armed)
    for safe, groups in ((100, ["file_2", "file_1"]), (400, ["file_3", "intake"])):
        assert killer.await_written(safe)
        killer.kill(*groups)
        killer.await_whole()
    ledger = armed.wait(30)
    assert killer.kills == 4
    assert (ledger.produced, ledger.written, ledger.missing, ledger.duplicates) == (800, 800, (), 0)
    check_shared(ledger, 3)


@pytest.mark.soak
def test_one_writer_s_full_disk_ends_the_run_and_the_joint_file_has_what_is_safe(start: Start, tmp_path: Path) -> None:
    _, armed = start(make_graph(), frames=12, shape=SHAPE, file=tmp_path / "before.h5")
    armed.wait(20)
    psutil.Process(pid_of("file_2")).rlimit(psutil.RLIMIT_FSIZE, (3 * 2**20, 3 * 2**20))
    _, armed = start(make_graph(), frames=1200, shape=SHAPE)
    with pytest.raises(DiskFull, match=r"raw_writer2.h5: no room for the next frames"):
        armed.wait(20)
    assert armed.ledger is not None
    assert 0 < armed.ledger.written < 1200
    check_shared(armed.ledger, 3)
    control._runner.kill("file_2")  # it would keep the limit


@pytest.mark.soak
def test_all_of_ray_killed_leaves_a_joint_file_with_what_was_acknowledged(start: Start, tmp_path: Path) -> None:
    _, armed = start(make_graph(), frames=100_000, shape=SHAPE, period_s=0.004)
    assert Killer(armed).await_written(100)
    for process in psutil.Process().children(recursive=True):
        line = " ".join(process.cmdline())
        if any(word in line for word in ("raylet", "gcs_server", "ray::", "default_worker")):
            process.kill()
    with pytest.raises(NodeFailed, match="its actor died"):
        armed.wait(20)
    assert armed.ledger is not None
    assert armed.ledger.written >= 100
    check_shared(armed.ledger, 3)
    wait_for(lambda: not control._runner.running, "Ray's end was not noticed")
    _, armed = start(make_graph(), frames=12, shape=SHAPE, file=tmp_path / "next.h5")  # sweeps what the dead left
    assert armed.wait(20).written == 12


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_forty_kills_at_random_moments(start: Start, tmp_path: Path) -> None:
    rng, kills = random.Random(), 0
    groups = ["file_1", "file_2", "file_3", "intake"]
    while kills < 40:
        _, armed = start(make_graph(), frames=1200, shape=SHAPE, period_s=0.001, file=tmp_path / f"{kills}.h5")
        killer = Killer(armed)
        while killer.await_written(rng.randrange(1, 1200)) and not armed.done:
            killer.kill(*rng.sample(groups, rng.choice([1, 1, 2, 3])))
            killer.await_whole()
        ledger = armed.wait(60)
        assert (ledger.produced, ledger.written, ledger.missing, ledger.duplicates) == (1200, 1200, (), 0), ledger
        check_shared(ledger, 3)
        kills += max(1, killer.kills)


@pytest.mark.soak
def test_what_a_killed_console_and_its_writers_leave_is_recovered_by_the_joint_name(tmp_path: Path) -> None:
    joint = tmp_path / "raw.h5"
    with Feeder(frames=100_000, shape=SHAPE, period_s=0.002) as feeder, DyingConsole(joint, feeder) as console:
        feeder.start()
        safe = console.kill_after(200)
    assert not joint.exists()
    result = CliRunner().invoke(cli, ["mdw", "recover", str(joint)])
    assert result.exception is None, result.output
    assert "mended" in result.output
    with h5py.File(joint) as file:
        numbers = file["entry/data/frame_number"][:].tolist()
        assert len(numbers) >= safe
        assert len(set(numbers)) == len(numbers) == file["entry/mdw/written"][()]
        for row, number in enumerate(numbers):
            np.testing.assert_array_equal(file["entry/data/frames"][row], make_frame(number, SHAPE))
    assert not any(each.bad for each in verify_file(joint))
    assert not recover_file(joint).mended


@pytest.mark.soak
def test_recover_makes_the_joint_file_of_dead_writers(start: Start, tmp_path: Path) -> None:
    _, armed = start(make_graph(), frames=600, shape=SHAPE)
    ledger = armed.wait(20)
    joint, *parts = ledger.files
    with h5py.File(joint) as file:
        frames, sums = file["entry/data/frames"][:], file["entry/data/region_sums"][:]
    joint.unlink()
    result = CliRunner().invoke(cli, ["mdw", "recover", str(joint)])
    assert result.exception is None, result.output
    assert list_writer_files(joint) == parts
    with h5py.File(joint) as file:
        np.testing.assert_array_equal(file["entry/data/frames"][:], frames)
        np.testing.assert_array_equal(file["entry/data/region_sums"][:], sums)
    parts[1].unlink()
    with pytest.raises(DataError, match="not there"):
        list(verify_file(joint))


def test_a_changed_frame_is_found_in_its_writer_s_file(start: Start) -> None:
    _, armed = start(make_graph(), frames=60, shape=SHAPE)
    joint, *parts = armed.wait(20).files
    with h5py.File(parts[1]) as file:
        place = file["entry/data/frames"].id.get_chunk_info_by_coord((5, 0, 0)).byte_offset
        number = int(file["entry/data/frame_number"][5])
    with parts[1].open("r+b") as raw:
        raw.seek(place)
        byte = raw.read(1)[0]
        raw.seek(place)
        raw.write(bytes([byte ^ 1]))
    (bad,) = [each for each in verify_file(joint) if each.bad]
    assert (bad.file, bad.path, bad.numbers) == (parts[1], "/entry/data/frames", ((number, number),))


def test_files_that_are_there_are_not_overwritten(start: Start, tmp_path: Path) -> None:
    for name in ("raw.h5", "raw_writer2.h5"):
        there = tmp_path / name
        there.write_text("mine")
        with pytest.raises(DataError, match=f"{name}: exists"):
            start(make_graph(), frames=10, shape=SHAPE)
        assert there.read_text() == "mine"
        assert [each.name for each in tmp_path.glob("*.h5*")] == [name]
        there.unlink()


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ({"group": "intake"}, "line 6: node 'file': each of its writers has an actor of its own"),
        ({"group": "intake", "parameters": {"writers": 1}}, ""),
        ({"name": "c"}, "line 6: node 'c': its writers are called c_1, c_2, …: 'c_1' is taken or too long"),
        ({"name": "c" * 31}, "is taken or too long"),
    ],
)
def test_a_share_that_cannot_be_is_told_with_its_line(file: dict[str, Any], message: str) -> None:
    node = {"name": "file", "kind": "hdf5", "parameters": {"writers": 2}, **file}
    name = node["name"]
    text = f"""name: g
nodes:
  - {{name: camera, kind: stream, group: intake}}
  - {{name: c_1, kind: preview}}
  - {{name: look, kind: preview}}
  - {json.dumps(node)}
edges:
  - {{from: camera, to: c_1, policy: latest}}
  - {{from: camera, to: look, policy: latest}}
  - {{from: camera, to: {name}}}
"""
    if not message:
        parse_graph(text)
        return
    with pytest.raises(GraphInvalid, match=re.escape(message)):
        parse_graph(text)


def test_a_check_says_which_actors_there_will_be(tmp_path: Path) -> None:
    file = tmp_path / "g.yaml"
    file.write_text(make_graph().dump_yaml())
    result = CliRunner().invoke(cli, ["mdw", "validate", str(file)])
    assert "4 nodes, 5 edges, 4 actors (file_1, file_2, file_3, intake)" in result.output
    assert "│ hdf5 × 3 │" in CliRunner().invoke(cli, ["mdw", "show", str(file)]).output


def test_a_shared_file_is_not_read_while_it_is_written() -> None:
    with pytest.raises(GraphInvalid, match="not read while it is written"):
        plan_flows(make_graph(access="swmr"), {"camera": Flow(SHAPE, "uint16")})
