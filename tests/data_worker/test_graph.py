from pathlib import Path
from typing import Any

import pytest
import yaml

from mamba.config import BUILT_IN_PROFILE
from mamba.data_worker import nodes
from mamba.data_worker.frame import DataFormat
from mamba.data_worker.graph import Graph, load_graph, parse_graph, plan_formats
from mamba.data_worker.nodes import Node
from mamba.errors import GraphInvalid

REGIONS = BUILT_IN_PROFILE.parent / "regions.yaml"


def test_the_demo_graph_fits_the_demo_camera() -> None:
    graph = load_graph(REGIONS)
    assert graph.order()[0] == "camera"
    forms = plan_formats(graph, DataFormat((1024, 1024), "uint16"))
    sums = forms["region_sums"]
    assert sums is not None
    assert sums.shape == (4,)
    assert forms["file"] is None


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

    accepts = {"frames": (1, 2)}  # noqa: RUF012  # declared ClassVar in Node
    output = "frames"


def test_a_cycle_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(nodes._KINDS, "turned", f"{__name__}:Turned")
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
        parse_graph(graph)


def test_nothing_comes_out_of_a_sink() -> None:
    graph = raw()
    graph["edges"].append({"from": "file", "to": "region_sums"})
    with pytest.raises(GraphInvalid, match="'region_sums' cannot take anything from 'file'"):
        parse_graph(graph)


def test_missing_inputs_and_outputs_are_named() -> None:
    graph = raw()
    del graph["edges"][0]
    with pytest.raises(GraphInvalid, match=r"node 'region_sums': 1 input of frames needed\n  seen: 0"):
        parse_graph(graph)
    graph = raw()
    del graph["edges"][2]
    with pytest.raises(GraphInvalid, match="nothing takes its table"):
        parse_graph(graph)


def test_wrong_type_and_doubled_edge() -> None:
    graph = raw()
    graph["nodes"].append({"name": "more", "kind": "region_sums", "parameters": graph["nodes"][1]["parameters"]})
    graph["edges"].append({"from": "region_sums", "to": "more"})
    with pytest.raises(GraphInvalid, match="'more' cannot take table from 'region_sums'"):
        parse_graph(graph)
    graph = raw()
    graph["edges"].append(graph["edges"][0])
    with pytest.raises(GraphInvalid, match="stands twice"):
        parse_graph(graph)


def test_one_source_and_one_file() -> None:
    with pytest.raises(GraphInvalid, match="exactly one sink"):
        parse_graph(
            {"name": "a", "nodes": [{"name": "x", "kind": "stream"}, {"name": "f", "kind": "stream"}], "edges": []}
        )


def test_a_region_beyond_the_frame_is_refused_before_anything_starts() -> None:
    with pytest.raises(GraphInvalid, match="region 'upper_right' reaches beyond the frame"):
        plan_formats(load_graph(REGIONS), DataFormat((512, 512), "uint16"))
    with pytest.raises(GraphInvalid, match="cannot sum pixels of this type"):
        plan_formats(load_graph(REGIONS), DataFormat((1024, 1024), "float32"))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(GraphInvalid, match="cannot be read"):
        load_graph(tmp_path / "none.yaml")
