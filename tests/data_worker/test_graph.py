from pathlib import Path
from typing import Any

import pytest
import yaml

from mamba.config import BUILT_IN_PROFILE
from mamba.data_worker import kinds
from mamba.data_worker.graph import Graph, load_graph, parse_graph, plan_flows
from mamba.data_worker.nodes import Flow, Item, Node
from mamba.errors import GraphInvalid

REGIONS = BUILT_IN_PROFILE.parent / "regions.yaml"


def test_the_demo_graph_fits_the_demo_camera() -> None:
    graph = load_graph(REGIONS)
    assert graph.order()[0] == "camera"
    flows = plan_flows(graph, {"camera": Flow((1024, 1024), "uint16")})
    sums = flows["region_sums"]["out"]
    assert (sums.shape, len(sums.columns)) == ((4,), 4)
    assert flows["file"] == {}


def test_yaml_json_and_python_come_back_as_they_were() -> None:
    graph = load_graph(REGIONS)
    assert parse_graph(graph.dump_yaml()) == graph
    assert parse_graph(graph.dump_json()) == graph
    assert parse_graph(graph.dump()) == graph
    assert Graph.model_validate(graph.dump()) == graph


def raw() -> dict[str, Any]:
    graph: dict[str, Any] = yaml.safe_load(REGIONS.read_text())
    return graph


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("kind: hdf5", "kind: hdf", "line 15: node 'file': unknown kind 'hdf'\n.*did you mean 'hdf5'"),
        ("kind: hdf5", "kid: hdf5", "line 15: unknown key 'nodes.2.kid'\n.*did you mean 'kind'"),
        ("regions:  ", "region:  ", "line 10: node 'region_sums': unknown key 'region'\n.*did you mean 'regions'"),
        ("x: 720, y: 720, width: 96", "x: 720, y: 720, width: 0", "line 14: .*'regions.3.width' cannot be used"),
        (
            "from: region_sums, to",
            "from: region_sum, to",
            "line 20: no node 'region_sum'\n.*did you mean 'region_sums'",
        ),
        ("name: upper_right", "name: upper_left", "'upper_left' stands twice"),
        ("name: file, kind", "name: camera, kind", "line 15: node 'camera' stands twice"),
        ("to: region_sums}", "to: region_sums, policy: never}", "line 18: 'edges.0.policy' cannot be used"),
        ("nodes:", "nodes: [", "is not YAML"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, old: str, new: str, says: str) -> None:
    text = REGIONS.read_text()
    assert old in text
    file = tmp_path / "graph.yaml"
    file.write_text(text.replace(old, new))
    with pytest.raises(GraphInvalid, match=f"(?s){says}") as caught:
        load_graph(file)
    assert str(file) in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 5


class Turned(Node):
    """Frames in, frames out."""

    inputs = (1, 2)


class Split(Node):
    """Two outputs."""

    outputs = ("left", "right")

    def plan(self, inputs: dict[str, Flow]) -> dict[str, Flow]:
        """Both as they came."""
        (flow,) = inputs.values()
        return {"left": flow, "right": flow}

    def process(self, item: Item) -> None:
        """Not used."""


def test_a_cycle_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(kinds._OURS, "turned", f"{__name__}:Turned")
    graph = raw()
    graph["nodes"] += [{"name": "left", "kind": "turned"}, {"name": "right", "kind": "turned"}]
    graph["edges"] += [
        {"from": "camera", "to": "left"},
        {"from": "left", "to": "right"},
        {"from": "right", "to": "left"},
    ]
    with pytest.raises(
        GraphInvalid, match=r"line \d+: the edges form a cycle\n  seen: (left → right → left|right → left → right)"
    ):
        parse_graph(yaml.safe_dump(graph))
    graph["edges"].pop()
    graph["edges"][-1]["too"] = "file"
    with pytest.raises(GraphInvalid, match=r"graph G, edges.4.too: unknown key 'edges.4.too'"):
        parse_graph(graph, source="G")


class Remembering(Turned):
    """Such as a running mean."""

    remembers = True


class Every(Turned):
    """Such as a list of documents."""

    policies = ("wait",)


class Screen(Turned):
    """Such as a preview."""

    policies = ("drop", "latest")


@pytest.mark.parametrize(
    ("kind", "policy", "says"),
    [
        ("Remembering", "latest", "'latest' would leave most rows out of what it sums up\n  do:   write policy: wait"),
        ("Every", "drop", "policy 'drop' makes no sense here\n  seen: Every must see every row\n  do:   .*: wait$"),
        (
            "Screen",
            "wait",
            "policy 'wait' makes no sense here\n  seen: Screen must not .*\n  do:   .*: drop or latest$",
        ),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused_at_its_line(
    monkeypatch: pytest.MonkeyPatch, kind: str, policy: str, says: str
) -> None:
    monkeypatch.setitem(kinds._OURS, "odd", f"{__name__}:{kind}")
    text = REGIONS.read_text().replace("edges:\n", "  - {name: odd, kind: odd}\nedges:\n")
    text += f"  - {{from: camera, to: odd, policy: {policy}}}\n  - {{from: odd, to: file}}\n"
    line = 1 + text.splitlines().index(f"  - {{from: camera, to: odd, policy: {policy}}}")
    with pytest.raises(GraphInvalid, match=f"^graph line {line}: edge camera → odd: {says}"):
        parse_graph(text)
    parse_graph(text.replace(f"policy: {policy}", f"policy: {'latest' if kind == 'Screen' else 'wait'}"))


def test_nothing_comes_out_of_a_sink() -> None:
    graph = raw()
    graph["edges"].append({"from": "file", "to": "region_sums"})
    with pytest.raises(GraphInvalid, match="'file' is a sink: nothing comes out of it"):
        parse_graph(graph)


def test_missing_inputs_and_outputs_are_named() -> None:
    graph = raw()
    del graph["edges"][0]
    with pytest.raises(GraphInvalid, match=r"node 'region_sums': it takes 1 input\n  seen: none"):
        parse_graph(graph)
    graph = raw()
    del graph["edges"][2]
    with pytest.raises(GraphInvalid, match="nothing takes what it puts out"):
        parse_graph(graph)


def test_outputs_have_names_where_there_are_several(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(kinds._OURS, "split", f"{__name__}:Split")
    graph = raw()
    graph["nodes"].append({"name": "split", "kind": "split"})
    graph["edges"][0] = {"from": "camera", "to": "split"}
    graph["edges"].append({"from": "split.left", "to": "region_sums", "as": "half"})
    parsed = parse_graph(graph)
    assert parsed.inputs_of("region_sums")[0].input == "half"
    assert parse_graph(parsed.dump_yaml()) == parsed
    assert set(plan_flows(parsed, {"camera": Flow((1024, 1024), "uint16")})["split"]) == {"left", "right"}
    graph["edges"][-1]["from"] = "split.lef"
    with pytest.raises(GraphInvalid, match=r"has no output 'lef'\n.*did you mean 'left'"):
        parse_graph(graph)
    graph["edges"][-1]["from"] = "split"
    with pytest.raises(GraphInvalid, match=r"several outputs\n.*split.left"):
        parse_graph(graph)


def test_a_row_of_numbers_is_no_image_and_an_edge_stands_once() -> None:
    graph = raw()
    graph["nodes"].append({"name": "more", "kind": "region_sums", "parameters": graph["nodes"][1]["parameters"]})
    graph["edges"] += [{"from": "region_sums", "to": "more"}, {"from": "more", "to": "file"}]
    with pytest.raises(GraphInvalid, match=r"node 'more': it takes images\n  seen: shape \(4,\)"):
        plan_flows(parse_graph(graph), {"camera": Flow((1024, 1024), "uint16")})
    graph = raw()
    graph["edges"].append(graph["edges"][0])
    with pytest.raises(GraphInvalid, match="stands twice"):
        parse_graph(graph)


def test_a_source_and_a_file() -> None:
    with pytest.raises(GraphInvalid, match="needs a sink that keeps frames"):
        parse_graph({"name": "a", "nodes": [{"name": "x", "kind": "stream"}, {"name": "f", "kind": "stream"}]})
    with pytest.raises(GraphInvalid, match="needs a source"):
        parse_graph({"name": "a", "nodes": [{"name": "f", "kind": "hdf5"}]})


def test_a_region_beyond_the_frame_is_refused_before_anything_starts() -> None:
    with pytest.raises(GraphInvalid, match="region 'upper_right' reaches beyond the frame"):
        plan_flows(load_graph(REGIONS), {"camera": Flow((512, 512), "uint16")})
    with pytest.raises(GraphInvalid, match="it takes real numbers"):
        plan_flows(load_graph(REGIONS), {"camera": Flow((1024, 1024), "complex64")})


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(GraphInvalid, match="not there"):
        load_graph(tmp_path / "none.yaml")


def test_two_sinks_cannot_write_one_file(tmp_path: Path) -> None:
    file = tmp_path / "two.yaml"
    text = """
name: two
nodes:
  - {name: camera, kind: stream}
  - {name: file, kind: hdf5, parameters: {path: "{sample}/a"}}
  - name: other
    kind: hdf5
    parameters:
      path: "{sample}/a"
edges:
  - {from: camera, to: file}
  - {from: camera, to: other}
"""
    file.write_text(text)
    with pytest.raises(GraphInvalid, match=r"line 9: node 'other': would write the file that node 'file' writes"):
        load_graph(file)
    file.write_text(text.replace("/a", "/{name}"))
    assert len(load_graph(file).nodes) == 3
