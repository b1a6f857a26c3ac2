"""A graph in which one node has other parameters; everything else of it stays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mamba.data_worker.graph import Graph, make_graph
from mamba.data_worker.kinds import find_kind
from mamba.errors import GraphInvalid, find_nearest


def replace_parameters(graph: Graph, node: str, parameters: Mapping[str, Any]) -> Graph:
    """The same graph with these parameters of `node`; those that are not named stay as they are.

    Raises:
        GraphInvalid: no such node or parameter (names the nearest), or a value that does not fit.
    """
    label = f"graph {graph.name}"
    spec = next((spec for spec in graph.nodes if spec.name == node), None)
    if spec is None:
        remedy = find_nearest(str(node), [spec.name for spec in graph.nodes])
        raise GraphInvalid(f"{label}: no node {node!r}", remedy=remedy)
    if not parameters:
        known = ", ".join(find_kind(spec.kind).takes.model_fields)
        remedy = f"name some of {known}" if known else f"choose another node: {spec.kind!r} takes none"
        raise GraphInvalid(f"{label}: node {node!r}: no parameters are given", remedy=remedy)
    data = graph.dump()
    for each in data["nodes"]:
        if each["name"] == node:
            each["parameters"] = {**spec.parameters, **parameters}
    return make_graph(data, lambda _location: label)
