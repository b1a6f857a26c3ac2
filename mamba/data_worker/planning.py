"""From a graph and what its detectors send to what each actor is told, before anything starts."""

from __future__ import annotations

import secrets
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from mamba.data_worker.edges import EdgePlan
from mamba.data_worker.frame import DataFormat
from mamba.data_worker.graph import Graph, build_node, plan_flows
from mamba.data_worker.kinds import find_kind
from mamba.data_worker.nodes import Flow, Job, Node, Sink

_CREDITS = 8
"""Blocks that a source of ours, which has no detector's ring, may have under way."""


@dataclass(frozen=True)
class Detector:
    """A detector that is armed: its `DataEndpoint` and `DataFormat`."""

    endpoint: str
    data_format: str


@dataclass(frozen=True)
class ArmPlan:
    """A graph made ready for one arm.

    Attributes:
        groups: by node.
        source: the one whose frames the ledger counts: the first in the graph.
        sources: all nodes without inputs.
        sinks: those that keep, in the graph's order; the first one's file is the run's.
        files: by sink.
        downstream: for each node the sinks that depend on it, itself included.
        remembers: nodes that begin anew when their actor is replaced.
        orders: by group, in the order in which their ends of edges must be made.
        control: endpoint of the supervisor.
    """

    graph: Graph
    job: Job
    groups: dict[str, str]
    source: str
    sources: frozenset[str]
    sinks: tuple[str, ...]
    files: dict[str, Path]
    downstream: dict[str, frozenset[str]]
    remembers: frozenset[str]
    orders: dict[str, dict[str, Any]]
    control: str

    def nodes_of(self, group: str) -> set[str]:
        """The nodes that live in a group's actor."""
        return {node for node, its in self.groups.items() if its == group}

    def needs(self, node: str) -> bool:
        """Some file depends on it."""
        return bool(self.downstream[node])


def plan_arm(graph: Graph, job: Job, detectors: dict[str, Detector], folder: Path, *, prefix: str = "") -> ArmPlan:
    """Plan one arm.

    Args:
        graph: what to run.
        job: of the arm; `job.file` is the file of the first sink that keeps, others get their name in its.
        detectors: by name of the stream source that takes them.
        folder: for sockets, 0700.
        prefix: of the sockets' names, so that those of an earlier plan of this arm are not taken.

    Raises:
        GraphInvalid: a node cannot work on what it would get.
        StreamBroken: a data format that is none.
        DataError: a file's path names what is not known.
    """
    forms = {name: DataFormat.load(each.data_format) for name, each in detectors.items()}
    flows = plan_flows(graph, {name: Flow.of(form) for name, form in forms.items()})
    nodes = {spec.name: build_node(spec) for spec in graph.nodes}
    keepers = {name: node for name, node in nodes.items() if isinstance(node, Sink) and node.keeps}
    sinks = tuple(keepers)
    files = {
        name: node.locate(replace(job, file=_name_file(job.file, name, first=name == sinks[0])))
        for name, node in keepers.items()
    }
    plan = ArmPlan(
        graph=graph,
        job=job,
        groups={name: graph.group_of(name) for name in nodes},
        source=next(name for name, node in nodes.items() if node.inputs == (0, 0)),
        sources=frozenset(name for name, node in nodes.items() if node.inputs == (0, 0)),
        sinks=sinks,
        files=files,
        downstream=_find_downstream(graph, nodes, set(sinks)),
        remembers=frozenset(name for name, node in nodes.items() if node.remembers),
        orders={},
        control=f"ipc://{folder}/c",
    )
    credits_ = _find_credits(graph, forms)
    edges = _plan_edges(plan, credits_, f"ipc://{folder}/{prefix}e")
    for name in graph.order():
        group = plan.groups[name]
        order = plan.orders.setdefault(
            group,
            {"group": group, "control": plan.control, "job": {**asdict(job), "file": str(job.file)}, "nodes": []},
        )
        inputs = {edge.input: flows[edge.origin][edge.output] for edge in edges if edge.to == name}
        order["nodes"].append(
            {
                "spec": graph.node(name).model_dump(mode="json"),
                "file": str(files.get(name, job.file)),
                "detector": asdict(detectors[name]) if name in detectors else None,
                "inputs": {n: asdict(f) for n, f in (inputs or _take_detector(name, forms)).items()},
                "outputs": {n: asdict(f) for n, f in flows[name].items()},
                "credits": credits_[name],
                "ins": [asdict(edge) for edge in edges if edge.to == name],
                "outs": [asdict(edge) for edge in edges if edge.origin == name],
            }
        )
    return plan


def _take_detector(name: str, forms: dict[str, DataFormat]) -> dict[str, Flow]:
    return {"detector": Flow.of(forms[name])} if name in forms else {}


def _name_file(file: Path, node: str, *, first: bool) -> Path:
    return file if first else file.with_name(f"{file.stem}_{node}{file.suffix}")


def _find_downstream(graph: Graph, nodes: dict[str, Node], sinks: set[str]) -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for name in reversed(graph.order()):
        below = {sink for edge in graph.outputs_of(name) for sink in found[edge.to]}
        found[name] = frozenset(below | ({name} & sinks))
    return found


def _find_credits(graph: Graph, forms: dict[str, DataFormat]) -> dict[str, int]:
    """How many blocks can be under way behind each node: those of the source with the fewest slots."""
    found: dict[str, int] = {}
    for name in graph.order():
        above = [found[edge.node] for edge in graph.inputs_of(name)]
        found[name] = min(above) if above else forms[name].slots if name in forms else _CREDITS
    return found


def _plan_edges(plan: ArmPlan, credits_: dict[str, int], endpoint: str) -> list[EdgePlan]:
    complete: dict[str, bool] = {}
    made: dict[int, EdgePlan] = {}
    specs = list(enumerate(plan.graph.edges))
    for name in plan.graph.order():
        for number, edge in specs:
            if edge.to == name:
                made[number] = EdgePlan(
                    origin=edge.node,
                    output=edge.output or "out",
                    to=edge.to,
                    input=edge.input,
                    policy=edge.policy,
                    endpoint=f"{endpoint}{number}",
                    token=secrets.token_hex(16),
                    credits=credits_[edge.node],
                    needed=plan.needs(edge.to),
                    complete=edge.policy == "wait" and complete[edge.node],
                )
        skips = find_kind(plan.graph.node(name).kind).skips
        complete[name] = not skips and all(made[number].complete for number, edge in specs if edge.to == name)
    return [made[number] for number, _ in specs]
