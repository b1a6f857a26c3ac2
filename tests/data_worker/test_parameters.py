"""One node gets other parameters; a wrong one is one short error that names node, parameter and remedy."""

from __future__ import annotations

from typing import Any

import pytest

from mamba.data_worker.graph import Graph, parse_graph
from mamba.data_worker.parameters import replace_parameters
from mamba.errors import GraphInvalid

REGION = {"name": "a", "x": 0, "y": 0, "width": 8, "height": 8}


@pytest.fixture
def graph() -> Graph:
    return parse_graph(
        """
        name: tomo
        nodes:
          - {name: camera, kind: stream}
          - {name: left, kind: region_sums, parameters: {regions: [{name: a, x: 0, y: 0, width: 8, height: 8}]}}
          - {name: screen, kind: preview, parameters: {rate: 2, binning: pick}, group: show}
          - {name: file, kind: hdf5}
        edges:
          - {from: camera, to: left}
          - {from: camera, to: screen, policy: latest}
          - {from: left, to: file}
        """
    )


def test_only_what_is_named_changes(graph: Graph) -> None:
    made = replace_parameters(graph, "screen", {"rate": 10.0, "pixels": 400})
    assert made.node("screen").parameters == {"rate": 10.0, "binning": "pick", "pixels": 400}
    assert made.node("screen").group == "show"
    assert [each for each in made.nodes if each.name != "screen"] == [n for n in graph.nodes if n.name != "screen"]
    assert made.edges == graph.edges
    assert graph.node("screen").parameters == {"rate": 2, "binning": "pick"}, "the graph that is used is another object"


@pytest.mark.parametrize(
    ("node", "parameters", "says"),
    [
        ("scren", {"rate": 1}, "graph tomo: no node 'scren'\n  do:   did you mean 'screen'?"),
        (7, {"rate": 1}, "graph tomo: no node 7\n  do:   known: camera, file, left, screen"),
        (
            "screen",
            {},
            "graph tomo: node 'screen': no parameters are given\n  do:   name some of rate, pixels, binning",
        ),
        ("camera", {}, "no parameters are given\n  do:   choose another node: 'stream' takes none"),
        ("camera", {"rate": 1}, "graph tomo: node 'camera': unknown key 'rate'\n  do:   none is known"),
        ("screen", {"rat": 1}, "graph tomo: node 'screen': unknown key 'rat'\n  do:   did you mean 'rate'?"),
        (
            "screen",
            {"rate": 26},
            "graph tomo: node 'screen': 'rate' cannot be used\n  seen: 26\n"
            "  do:   Input should be less than or equal to 25",
        ),
        (
            "left",
            {"regions": [REGION, {**REGION, "x": -1}]},
            "graph tomo: node 'left': 'regions.1.x' cannot be used\n  seen: -1\n"
            "  do:   Input should be greater than or equal to 0",
        ),
        ("left", {"regions": object()}, "graph tomo: 'nodes.1.parameters' cannot be used"),
        ("left", {"regions": [REGION, REGION]}, "graph tomo: node 'left': "),
    ],
)
def test_a_wrong_one_is_one_short_error(graph: Graph, node: Any, parameters: dict[str, Any], says: str) -> None:
    with pytest.raises(GraphInvalid) as refused:
        replace_parameters(graph, node, parameters)
    assert says in str(refused.value)
    assert len(str(refused.value).splitlines()) <= 5
