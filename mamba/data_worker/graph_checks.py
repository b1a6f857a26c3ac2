"""What a graph must fulfil that no single field of it can tell: its nodes fit together."""

from __future__ import annotations

import graphlib
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from mamba.data_worker.graph_problem import Problem
from mamba.data_worker.nodes import Node, Sink, name_writers
from mamba.errors import find_nearest

if TYPE_CHECKING:
    from mamba.data_worker.graph import EdgeSpec, Graph, NodeSpec

NAME = r"^[a-z][a-z0-9_]{0,31}$"
"""How graphs and nodes may be called."""


def check_graph(graph: Graph, built: Mapping[str, Node]) -> None:
    """Check files, edges, inputs and writers; `built` are the graph's nodes by name.

    Raises:
        Problem: the first thing that is wrong.
    """
    if not any(isinstance(node, Sink) and node.keeps for node in built.values()):
        raise Problem(("nodes",), "a graph needs a sink that keeps frames", "add a node of kind 'hdf5'")
    if not any(node.inputs == (0, 0) for node in built.values()):
        raise Problem(("nodes",), "a graph needs a source", "add a node of kind 'stream'")
    _check_files(graph, built)
    _check_edges(graph, built)
    try:
        graph.order()
    except graphlib.CycleError as error:
        cycle = " → ".join(error.args[1])
        raise Problem(("edges",), "the edges form a cycle", "take one of them out", cycle) from None
    for at, spec in enumerate(graph.nodes):
        _check_inputs(graph, built, at, spec.name)
        _check_writers(graph, built, at, spec)


def _check_files(graph: Graph, built: Mapping[str, Node]) -> None:
    """One template of two sinks is two files only where `{name}` tells them apart."""
    owners: dict[str, str] = {}
    for at, spec in enumerate(graph.nodes):
        node, template = built[spec.name], str(spec.parameters.get("path") or "")
        if not (isinstance(node, Sink) and node.keeps) or not template or "{name" in template:
            continue
        other = owners.setdefault(template, spec.name)
        if other != spec.name:
            what = f"node {spec.name!r}: would write the file that node {other!r} writes"
            raise Problem(("nodes", at, "parameters", "path"), what, "give it another path, or {name} in it", template)


def _check_edges(graph: Graph, built: Mapping[str, Node]) -> None:
    seen: set[tuple[str, str]] = set()
    for at, edge in enumerate(graph.edges):
        for key, name in (("from", edge.node), ("to", edge.to)):
            if name not in built:
                raise Problem(("edges", at, key), f"no node {name!r}", find_nearest(name, list(built)))
        if (edge.origin, edge.to) in seen:
            raise Problem(("edges", at), f"edge {edge.origin} → {edge.to} stands twice", "keep one of them")
        seen.add((edge.origin, edge.to))
        _check_output(at, edge, built[edge.node].outputs)
        if built[edge.to].inputs == (0, 0):
            raise Problem(("edges", at, "to"), f"{edge.to!r} is a source: it takes no input", "take this edge out")
        _check_policy(at, edge, built[edge.to])


def _check_policy(at: int, edge: EdgeSpec, reader: Node) -> None:
    where = ("edges", at, "policy")
    if edge.policy not in reader.policies:
        allowed = " or ".join(reader.policies)
        what = f"edge {edge.origin} → {edge.to}: policy {edge.policy!r} makes no sense here"
        raise Problem(where, what, f"write policy: {allowed}", _explain_policies(reader))
    if edge.policy == "latest" and reader.remembers:
        what = f"edge {edge.origin} → {edge.to}: 'latest' would leave most rows out of what it sums up"
        raise Problem(where, what, "write policy: wait, or drop where it may skip rows when it is behind")


def _explain_policies(reader: Node) -> str:
    kind = type(reader).__name__
    return f"{kind} must not hold up the detector" if "wait" not in reader.policies else f"{kind} must see every row"


def _check_output(at: int, edge: EdgeSpec, outputs: tuple[str, ...]) -> None:
    where = ("edges", at, "from")
    if not outputs:
        raise Problem(where, f"{edge.node!r} is a sink: nothing comes out of it", "take this edge out")
    if edge.output and edge.output not in outputs:
        raise Problem(where, f"{edge.node!r} has no output {edge.output!r}", find_nearest(edge.output, list(outputs)))
    if not edge.output and outputs != ("out",):
        raise Problem(where, f"{edge.node!r} has several outputs", f"write {edge.node}.{outputs[0]}")


def _check_inputs(graph: Graph, built: Mapping[str, Node], at: int, name: str) -> None:
    edges = graph.inputs_of(name)
    least, most = built[name].inputs
    if not least <= len(edges) <= most:
        wanted = str(least) if least == most else f"{least} to {most}"
        inputs, seen = "input" if wanted == "1" else "inputs", f"{len(edges)}: {', '.join(e.origin for e in edges)}"
        remedy = "add an edge to it" if len(edges) < least else "take an edge out"
        raise Problem(("nodes", at), f"node {name!r}: it takes {wanted} {inputs}", remedy, seen if edges else "none")
    names = [edge.input for edge in edges]
    for twice in {each for each in names if names.count(each) > 1}:
        raise Problem(("nodes", at), f"node {name!r}: two inputs are called {twice!r}", "give one an 'as' of its own")
    if built[name].outputs and not graph.outputs_of(name):
        raise Problem(("nodes", at), f"node {name!r}: nothing takes what it puts out", "add an edge from it")


def _check_writers(graph: Graph, built: Mapping[str, Node], at: int, spec: NodeSpec) -> None:
    names = name_writers(built[spec.name])
    if not names:
        return
    for name in names:
        if name in built or not re.fullmatch(NAME, name):
            what = (
                f"node {spec.name!r}: its writers are called {names[0]}, {names[1]}, …: {name!r} is taken or too long"
            )
            raise Problem(("nodes", at, "name"), what, "give one of them another name")
    group = graph.group_of(spec.name)
    others = [node.name for node in graph.nodes if node is not spec and graph.group_of(node.name) == group]
    if others:
        what = f"node {spec.name!r}: each of its writers has an actor of its own"
        raise Problem(("nodes", at), what, "give it no group", f"it shares the group {group!r} with {others[0]}")
