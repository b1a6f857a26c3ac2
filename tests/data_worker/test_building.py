"""Graphs in Python: what `>>` draws, where errors point, and that every form comes back as it was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ConfigDict

from mamba.config import BUILT_IN_PROFILE
from mamba.data_worker import kinds
from mamba.data_worker.building import build, drop, latest, node
from mamba.data_worker.graph import Graph, load_graph, parse_graph
from mamba.data_worker.nodes import Node, NodeParameters
from mamba.data_worker.python_text import write_python
from mamba.errors import GraphInvalid
from tests.data_worker.conftest import REGIONS


class Anything(NodeParameters):
    """Takes every parameter."""

    model_config = ConfigDict(extra="allow", frozen=True)


class Mixed(Node):
    """Any number of inputs, one output."""

    takes = Anything
    inputs = (1, 9)


class Halves(Mixed):
    """Two outputs."""

    outputs = ("left", "right")


@pytest.fixture(scope="module", autouse=True)
def more_kinds() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, cls in (("mixed", Mixed), ("halves", Halves)):
            patch.setitem(kinds._OURS, name, f"{__name__}:{cls.__name__}")
        yield


def edges_of(graph: Graph) -> list[tuple[str, str, str, str]]:
    return [(edge.origin, edge.to, edge.policy, edge.label) for edge in graph.edges]


def test_the_issues_line() -> None:
    camera, dark_correct, roi = node("stream", name="camera"), node("mixed", name="dark_correct"), node("mixed")
    writer, feedback = node("hdf5", name="writer"), node("mixed", name="feedback")
    graph = build("tomo", camera >> dark_correct >> {writer, roi >> feedback >> writer})
    assert [each.name for each in graph.nodes] == ["camera", "dark_correct", "mixed", "writer", "feedback"]
    assert edges_of(graph) == [
        ("camera", "dark_correct", "wait", ""),
        ("dark_correct", "mixed", "wait", ""),
        ("mixed", "feedback", "wait", ""),
        ("feedback", "writer", "wait", ""),
        ("dark_correct", "writer", "wait", ""),
    ]


def test_forks_joins_outputs_inputs_and_policies() -> None:
    camera, split, join = node("stream", name="camera"), node("halves", name="split"), node("mixed", name="join")
    left, right, file = node("mixed", name="left"), node("mixed", name="right"), node("hdf5", name="file")
    graph = build(
        "both",
        camera >> (drop(split), latest(file)),
        {split.output("left") >> left, split.output("right") >> right} >> join >> file.input("sums"),
    )
    assert edges_of(graph) == [
        ("camera", "split", "drop", ""),
        ("camera", "file", "latest", ""),
        ("split.left", "left", "wait", ""),
        ("split.right", "right", "wait", ""),
        ("left", "join", "wait", ""),
        ("right", "join", "wait", ""),
        ("join", "file", "wait", "sums"),
    ]


def test_a_branch_used_twice_is_drawn_once_and_its_nodes_never_change() -> None:
    camera, sums, file = node("stream"), node("region_sums", regions=REGIONS), node("hdf5")
    trunk = camera >> sums >> file
    graph = build("once", trunk, {trunk}, camera >> drop(file))
    assert edges_of(graph) == [
        ("stream", "region_sums", "wait", ""),
        ("region_sums", "hdf5", "wait", ""),
        ("stream", "hdf5", "drop", ""),
    ]
    assert edges_of(build("twice", camera >> file, camera >> sums >> file))[0] == ("stream", "hdf5", "wait", "")


def test_errors_point_at_the_line_that_wrote_it(tmp_path: Path) -> None:
    file = tmp_path / "tomo.py"
    text = write_python(load_graph(BUILT_IN_PROFILE.parent / "regions.yaml"))
    for old, new, says in (
        ("regions=", "region=", r"graph regions, tomo.py line 4: node 'region_sums': unknown key 'region'"),
        ('"hdf5"', '"hdf"', r"graph regions, tomo.py line 15: node 'file': unknown kind 'hdf'"),
        ("{region_sums, file}", "(file, file)", r"graph regions, tomo.py line 17: edge camera → file stands twice"),
        ("region_sums >> file", "region_sums >> 3", r"graph: 3 cannot stand here"),
        ("region_sums >> file", "region_sum >> file", r"tomo.py line 17: cannot be executed\n  seen: NameError"),
        ("graph = build(", "graph = build((", r"tomo.py line 17: cannot be executed\n  seen: SyntaxError"),
        ("graph = build", "other = build", r"tomo.py: builds no graph"),
    ):
        assert old in text
        file.write_text(text.replace(old, new))
        with pytest.raises(GraphInvalid, match=f"(?s){says}") as caught:
            load_graph(file)
        assert len(str(caught.value).splitlines()) <= 5


def test_outputs_and_inputs_belong_to_one_node() -> None:
    branch = node("stream") >> node("hdf5")
    with pytest.raises(GraphInvalid, match=r"output of <branch of stream, hdf5>: several nodes"):
        branch.output("left")
    with pytest.raises(GraphInvalid, match="cannot stand here"):
        node("stream") >> set()


words = st.sampled_from(["a", "b", "node", "build", "if", "if_", "graph", "x1", "drop", "float", "lambda"])
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
parameters = st.dictionaries(
    st.text(max_size=6) | st.sampled_from(["kind", "group", "time_limit_s", "gain", "class"]), values, max_size=3
)


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """A graph in the order in which its nodes were written, its edges in any order."""
    inner = draw(st.lists(words, unique=True, max_size=5))
    nodes: list[dict[str, Any]] = [{"name": "camera", "kind": "stream"}]
    origins, edges = ["camera"], []
    policies = st.sampled_from(["wait", "drop", "latest"])
    for name in inner:
        kind = draw(st.sampled_from(["mixed", "halves"]))
        group = draw(st.sampled_from(["", "intake"]))
        nodes.append({"name": name, "kind": kind, "parameters": draw(parameters), "group": group})
        nodes[-1] |= draw(st.sampled_from([{}, {"time_limit_s": 0.5}, {"time_limit_s": 2, "memory_limit_mib": 64}]))
        for number, origin in enumerate(draw(st.lists(st.sampled_from(origins), min_size=1, max_size=3, unique=True))):
            label = draw(st.sampled_from(["", f"in{number}"]))
            edges.append({"from": origin, "to": name, "policy": draw(policies), "as": label})
        origins += [name] if kind == "mixed" else [f"{name}.left", f"{name}.right"]
    nodes.append({"name": "file", "kind": "hdf5"})
    used = {edge["from"].partition(".")[0] for edge in edges}
    edges += [
        {"from": origin, "to": "file", "policy": draw(policies)}
        for origin in origins
        if origin.partition(".")[0] not in used
    ]
    return parse_graph({"name": "random", "nodes": draw(st.permutations(nodes)), "edges": draw(st.permutations(edges))})


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(graphs())
def test_every_graph_comes_back_from_yaml_json_and_python(graph: Graph) -> None:
    assert parse_graph(graph.dump_yaml()) == graph
    assert parse_graph(graph.dump_json()) == graph
    assert parse_graph(graph.dump()) == graph
    names: dict[str, Any] = {}
    exec(compile(write_python(graph), "printed.py", "exec"), names)
    assert names["graph"] == graph


def test_numbers_and_dates_are_read_as_people_write_them() -> None:
    graph = parse_graph(
        "name: a\nnodes:\n- {name: camera, kind: stream}\n"
        "- {name: m, kind: mixed, parameters: {small: 1e-7, text: '1e-7', day: 2026-11-24}}\n- {name: f, kind: hdf5}\n"
        "edges: [{from: camera, to: m}, {from: m, to: f}]\n"
    )
    assert graph.node("m").parameters == {"small": 1e-7, "text": "1e-7", "day": "2026-11-24"}
    assert parse_graph(graph.dump_yaml()) == parse_graph(graph.dump_json()) == graph
