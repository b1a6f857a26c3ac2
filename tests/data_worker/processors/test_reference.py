"""The page on processors, and the docs that windows show: neither may lag behind the classes."""

import re
from pathlib import Path
from typing import Any

import pytest

from mamba.data_worker.graph import parse_graph, plan_flows
from mamba.data_worker.kinds import _OURS, find_kind
from mamba.data_worker.nodes import Flow

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "nodes-processors.md").read_text()
KINDS = sorted(kind for kind, place in _OURS.items() if ".processors." in place)


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_says_what_it_is(kind: str) -> None:
    schema = find_kind(kind).takes.model_json_schema()
    models: list[dict[str, Any]] = [schema, *schema.get("$defs", {}).values()]
    assert all(model["description"] for model in models)
    undocumented = [
        name for model in models for name, field in model["properties"].items() if "description" not in field
    ]
    assert undocumented == []


def test_the_page_has_every_kind() -> None:
    assert sorted(re.findall(r"^\| `(\w+)` \|", PAGE, flags=re.M)) == KINDS


@pytest.mark.parametrize("example", re.findall(r"```yaml\n(name: .*?)```", PAGE, flags=re.S))
def test_its_graphs_can_run(example: str) -> None:
    graph = parse_graph(example)
    camera = {"camera": Flow((1024, 2048), "uint16", 4, units="counts")} if "kind: stream" in example else {}
    assert set(plan_flows(graph, camera)) == {node.name for node in graph.nodes}
