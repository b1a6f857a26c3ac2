"""A graph as data: nodes and edges, written as YAML, JSON or Python, checked as a whole before anything starts.

::

    name: regions
    nodes:
      - {name: camera, kind: stream}
      - {name: sums, kind: region_sums, parameters: {regions: [{name: a, x: 0, y: 0, width: 8, height: 8}]}}
      - {name: file, kind: hdf5, group: writing}
    edges:
      - {from: camera, to: sums}
      - {from: camera, to: file, policy: wait}
      - {from: sums, to: file}

*Policy*: `wait` never loses (back-pressure to the detector), `drop` skips blocks when the reader is behind, `latest`
keeps only the newest. *Group*: nodes of one group share an actor, a process of its own; a node without one is alone.
"""

from __future__ import annotations

import graphlib
import json
from collections import defaultdict
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import to_jsonable_python

from mamba.config import find_line
from mamba.data_worker.graph_checks import NAME, check_graph
from mamba.data_worker.graph_problem import Location, Problem, explain
from mamba.data_worker.graph_text import read_text
from mamba.data_worker.kinds import find_kind, list_kinds
from mamba.data_worker.nodes import Flow, Node, name_writers
from mamba.errors import GraphInvalid, find_nearest
from mamba.plain_yaml import dump_plain

Policy = Literal["wait", "drop", "latest"]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, ser_json_inf_nan="constants")


class NodeSpec(_Model):
    """One node: what it is called, what kind it is, what is set on it."""

    name: str = Field(pattern=NAME)
    kind: str
    parameters: dict[str, Any] = {}
    group: str = Field("", description="nodes of one group share an actor")
    time_limit_s: float = Field(30.0, gt=0, description="one item that takes longer: its actor is replaced")
    memory_limit_mib: int = Field(4096, gt=0, description="an actor that grows beyond it is replaced")

    @field_validator("parameters", mode="before")
    @classmethod
    def _as_written(cls, parameters: Any) -> Any:
        # dates, paths and tuples as a file would hold them: what was written comes back equal
        return to_jsonable_python(parameters)


class EdgeSpec(_Model):
    """One edge, from a node's output to another's input."""

    origin: str = Field(alias="from", description="a node, or node.output where it has several")
    to: str
    policy: Policy = "wait"
    label: str = Field("", alias="as", description="what the reader calls this input; without, the origin's name")

    @property
    def node(self) -> str:
        """Name of the node it comes from."""
        return self.origin.partition(".")[0]

    @property
    def output(self) -> str:
        """Which of that node's outputs; "" where it has one."""
        return self.origin.partition(".")[2]

    @property
    def input(self) -> str:
        """What the reader calls it."""
        return self.label or self.origin


class Graph(_Model):
    """A checked graph: making one raises GraphInvalid when anything is wrong with it."""

    name: str = Field(pattern=NAME)
    nodes: tuple[NodeSpec, ...] = Field(min_length=1)
    edges: tuple[EdgeSpec, ...] = ()

    def model_post_init(self, context: Any) -> None:
        """Check what no single field can tell."""
        check_graph(self, _build_nodes(self))

    def node(self, name: str) -> NodeSpec:
        """The node of that name.

        Raises:
            GraphInvalid: no such node; names the nearest.
        """
        if name not in self._nodes:
            raise Problem(("edges",), f"no node {name!r}", find_nearest(name, list(self._nodes)))
        return self._nodes[name]

    @cached_property
    def _nodes(self) -> dict[str, NodeSpec]:
        return {node.name: node for node in self.nodes}

    @cached_property
    def _edges(self) -> tuple[dict[str, list[EdgeSpec]], dict[str, list[EdgeSpec]]]:
        into: dict[str, list[EdgeSpec]] = defaultdict(list)
        out: dict[str, list[EdgeSpec]] = defaultdict(list)
        for edge in self.edges:
            into[edge.to].append(edge)
            out[edge.node].append(edge)
        return into, out

    def inputs_of(self, name: str) -> list[EdgeSpec]:
        """Edges into a node."""
        return self._edges[0].get(name, [])

    def outputs_of(self, name: str) -> list[EdgeSpec]:
        """Edges out of a node."""
        return self._edges[1].get(name, [])

    def group_of(self, name: str) -> str:
        """Which actor a node lives in."""
        return self.node(name).group or name

    def order(self) -> list[str]:
        """Names of the nodes, each after its inputs."""
        before = {node.name: {edge.node for edge in self.inputs_of(node.name)} for node in self.nodes}
        return list(graphlib.TopologicalSorter(before).static_order())

    def dump(self) -> dict[str, Any]:
        """As plain data, for YAML, JSON and the wire; `parse_graph` reads it back."""
        return self.model_dump(by_alias=True, exclude_defaults=True, mode="json")

    def dump_yaml(self) -> str:
        """As YAML."""
        return dump_plain(self.dump())

    def dump_json(self) -> str:
        """As JSON."""
        return json.dumps(self.dump())


Check = Callable[["Graph"], object]
"""What else a graph must fulfil, such as `plan_flows` with the shape of a detector; raises GraphInvalid."""


def load_graph(path: Path, *, check: Check | None = None) -> Graph:
    """Read a graph from a YAML or JSON file, or a Python file that builds one and calls it `graph`.

    Args:
        path: the file.
        check: called with the graph; what it raises is told with the line, too.

    Raises:
        GraphInvalid: cannot be read, or is not a graph that can run; names file, line and the nearest known name.
    """
    if not path.exists():
        raise GraphInvalid(f"graph {path}: not there", remedy="name the file of a graph")
    if path.suffix == ".py":
        # imported here: it stands on this module
        from mamba.data_worker.building import run_file

        return run_file(path, check)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise GraphInvalid(f"graph {path}: cannot be read", seen=str(error), remedy="name another file") from None
    return parse_graph(text, source=str(path), check=check)


def parse_graph(data: str | dict[str, Any], *, source: str = "", check: Check | None = None) -> Graph:
    """Read a graph from YAML or JSON text, or from plain data; `source` is named in errors.

    Raises:
        GraphInvalid: see `load_graph`; in plain data it names the place, such as `nodes.3.kind`, instead of a line.
    """
    label = f"graph {source}" if source else "graph"
    if not isinstance(data, str):
        return make_graph(data, lambda location: f"{label}, {'.'.join(map(str, location)) or 'top'}", check)
    raw, tree = read_text(data, label)
    if not isinstance(raw, dict):
        raise GraphInvalid(f"{label}: is not a mapping", seen=type(raw).__name__, remedy="start it with 'name: …'")
    return make_graph(raw, lambda location: f"{label} line {find_line(tree, location)}" if tree else label, check)


def make_graph(raw: dict[str, Any], locate: Callable[[Location], str], check: Check | None = None) -> Graph:
    """Check plain data; `locate` words the place of what is wrong with it, for the error.

    Raises:
        GraphInvalid: it is not a graph that can run.
    """
    try:
        graph = Graph.model_validate(raw)
        if check is not None:
            check(graph)
        return graph
    except Problem as error:
        problem = error
    except ValidationError as error:
        problem = explain(error, Graph, ())
    raise GraphInvalid(f"{locate(problem.location)}: {problem.what}", seen=problem.seen, remedy=problem.remedy)


def locate_problem(data: str | dict[str, Any], check: Check) -> tuple[str, Location]:
    """What is wrong with a graph, and where in its plain data; "" and () when nothing is."""
    location: list[Location] = [()]

    def locate(place: Location) -> str:
        location[0] = place
        return "graph"

    try:
        raw = read_text(data, "graph")[0] if isinstance(data, str) else data
        if not isinstance(raw, dict):
            return "graph: is not a mapping", ()
        make_graph(raw, locate, check)
    except GraphInvalid as error:
        return str(error), location[0]
    return "", ()


def build_node(spec: NodeSpec) -> Node:
    """Make the plain node of a spec.

    Raises:
        GraphInvalid: unknown kind, or parameters it does not take.
    """
    kind = find_kind(spec.kind)
    try:
        parameters = kind.takes.model_validate(spec.parameters)
    except ValidationError as error:
        raise explain(error, kind.takes, ("parameters",), f"node {spec.name!r}: ") from None
    return kind(spec.name, parameters)


def _build_nodes(graph: Graph) -> dict[str, Node]:
    built: dict[str, Node] = {}
    for at, spec in enumerate(graph.nodes):
        if spec.name in built:
            raise Problem(("nodes", at, "name"), f"node {spec.name!r} stands twice", "give one another name")
        if spec.kind not in list_kinds():
            where = ("nodes", at, "kind")
            raise Problem(
                where, f"node {spec.name!r}: unknown kind {spec.kind!r}", find_nearest(spec.kind, list_kinds())
            )
        try:
            built[spec.name] = build_node(spec)
        except GraphInvalid as problem:
            inside = problem.location if isinstance(problem, Problem) else ("kind",)
            raise Problem(("nodes", at, *inside), problem.what, problem.remedy, problem.seen) from None
    return built


def plan_flows(graph: Graph, detectors: dict[str, Flow]) -> dict[str, dict[str, Flow]]:
    """What each node puts out, by node and output, when the detectors of stream sources send `detectors`.

    Raises:
        GraphInvalid: a node cannot work on what it would get, such as a region beyond the frame.
    """
    out: dict[str, dict[str, Flow]] = {}
    at = {node.name: number for number, node in enumerate(graph.nodes)}
    for name in graph.order():
        node = build_node(graph.node(name))
        inputs = {edge.input: out[edge.node][edge.output or "out"] for edge in graph.inputs_of(name)}
        try:
            flows = node.plan(inputs or ({"detector": detectors[name]} if name in detectors else {}))
        except GraphInvalid as error:
            raise Problem(("nodes", at[name]), error.what, error.remedy, error.seen) from None
        out[name] = flows if isinstance(flows, dict) else {} if flows is None else {"out": flows}
        if set(out[name]) != set(node.outputs):
            raise GraphInvalid(
                f"node {name!r}: its kind plans other outputs than it has",
                seen=", ".join(out[name]) or "none",
                remedy=f"have plan() name {', '.join(node.outputs) or 'none'}",
            )
    return out


def say_kind(spec: NodeSpec) -> str:
    """`hdf5`, or `hdf5 × 3` where three share what comes in; for people."""
    writers = name_writers(build_node(spec))
    return f"{spec.kind} × {len(writers)}" if writers else spec.kind
