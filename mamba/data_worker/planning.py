"""From a graph and what its detectors send to what each actor is told, before anything starts."""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

from mamba.data_worker.carriers import UNIX
from mamba.data_worker.edges import EdgePlan
from mamba.data_worker.frame import DataFormat
from mamba.data_worker.graph import Graph, build_node, plan_flows
from mamba.data_worker.kinds import find_kind
from mamba.data_worker.nodes import Flow, Job, Node, Sink
from mamba.data_worker.shares import WHOLE, Joined, Share, expand_writers, name_writer_file
from mamba.data_worker.sinks.layout import lay_out
from mamba.errors import DataError

_ANYWHERE: Mapping[str, str] = MappingProxyType({})
_FREE_PORT = "tcp://127.0.0.1:*"
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
        graph: with a node for each writer.
        groups: by node.
        source: the one whose frames the ledger counts: the first in the graph.
        sources: all nodes without inputs.
        sinks: those that keep, in the graph's order; the first one's file is the run's.
        files: by sink.
        joined: writers that share a flow, by the name of the node that they stand for.
        downstream: for each node the sinks that depend on it, itself included.
        remembers: nodes that begin anew when their actor is replaced.
        orders: by group, in the order in which their ends of edges must be made.
        control: endpoint of the supervisor.
        places: by group, the Ray node that its actor has to run on.
    """

    graph: Graph
    job: Job
    groups: dict[str, str]
    source: str
    sources: frozenset[str]
    sinks: tuple[str, ...]
    files: dict[str, Path]
    joined: dict[str, Joined]
    downstream: dict[str, frozenset[str]]
    remembers: frozenset[str]
    orders: dict[str, dict[str, Any]]
    control: str
    places: Mapping[str, str]

    def nodes_of(self, group: str) -> set[str]:
        """The nodes that live in a group's actor."""
        return set(self._members.get(group, ()))

    @cached_property
    def _members(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = defaultdict(list)
        for node, group in self.groups.items():
            found[group].append(node)
        return found

    def needs(self, node: str) -> bool:
        """Some file depends on it."""
        return bool(self.downstream[node])

    def share_memory(self, node: str, other: str) -> bool:
        """Two nodes live on one Ray node, as far as is known."""
        return self.places.get(self.groups[node]) == self.places.get(self.groups[other])

    @property
    def shares(self) -> dict[str, Share]:
        """Of the nodes that get some of each flow."""
        return {writer: share for joined in self.joined.values() for writer, share in joined.shares.items()}


def plan_arm(
    graph: Graph,
    job: Job,
    detectors: dict[str, Detector],
    folder: Path,
    *,
    prefix: str = "",
    places: Mapping[str, str] = _ANYWHERE,
) -> ArmPlan:
    """Plan one arm.

    Args:
        graph: what to run.
        job: of the arm; `job.file` is the file of the first sink that keeps, others get their name in its.
        detectors: by name of the stream source that takes them.
        folder: for sockets, 0700.
        prefix: of the sockets' names, so that those of an earlier plan of this arm are not taken.
        places: see `ArmPlan`; edges between two of them go over TCP.

    Raises:
        GraphInvalid: a node cannot work on what it would get.
        StreamBroken: a data format that is none.
        DataError: a file's path names what is not known; the file that several writers will have exists.
    """
    graph, writers = expand_writers(graph)
    forms = {name: DataFormat.load(each.data_format) for name, each in detectors.items()}
    flows = plan_flows(graph, {name: Flow.of(form) for name, form in forms.items()})
    nodes = {spec.name: build_node(spec) for spec in graph.nodes}
    keepers = {name: node for name, node in nodes.items() if isinstance(node, Sink) and node.keeps}
    sinks = tuple(keepers)
    files, joined = _locate(job, keepers, writers)
    for name, each in joined.items():
        if each.file.exists():
            raise DataError(f"{each.file}: exists", remedy="give another name; files are never overwritten")
        run = _find_run(graph, writers[name][0], flows)
        joined[name] = replace(each, shares={writer: s._replace(run=run) for writer, s in each.shares.items()})
    plan = ArmPlan(
        graph=graph,
        job=job,
        groups={name: graph.group_of(name) for name in nodes},
        source=next(name for name, node in nodes.items() if node.inputs == (0, 0)),
        sources=frozenset(name for name, node in nodes.items() if node.inputs == (0, 0)),
        sinks=sinks,
        files=files,
        joined=joined,
        downstream=_find_downstream(graph, nodes, set(sinks)),
        remembers=frozenset(name for name, node in nodes.items() if node.remembers),
        orders={},
        control=f"ipc://{folder}/c",
        places=places,
    )
    credits_ = _find_credits(graph, forms)
    edges = _plan_edges(plan, flows, credits_, f"{UNIX}{folder}/{prefix}e")
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


def _locate(
    job: Job, keepers: dict[str, Sink], writers: dict[str, tuple[str, ...]]
) -> tuple[dict[str, Path], dict[str, Joined]]:
    """The file of each sink, and of those that share a flow."""
    files: dict[str, Path] = {}
    joined: dict[str, Joined] = {}
    owners = {writer: name for name, its in writers.items() for writer in its}
    for name in dict.fromkeys(owners.get(sink, sink) for sink in keepers):
        its = writers.get(name, (name,))
        plain = job.file.with_name(f"{job.file.stem}_{name}{job.file.suffix}") if files else job.file
        file = keepers[its[0]].locate(replace(job, file=plain))
        if name in writers:
            joined[name] = Joined(file, {writer: Share(index, len(its)) for index, writer in enumerate(its)})
            files |= {writer: name_writer_file(file, number) for number, writer in enumerate(its, 1)}
        else:
            files[name] = file
    return files, joined


def _find_run(graph: Graph, sink: str, flows: dict[str, dict[str, Flow]]) -> int:
    """Frame numbers in a block of what leads a sink's file."""
    inputs = {edge.input: flows[edge.node][edge.output or "out"] for edge in graph.inputs_of(sink)}
    leader = inputs[lay_out(inputs)[0].leader]
    return leader.block_frames * leader.every


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


def _plan_edges(
    plan: ArmPlan, flows: dict[str, dict[str, Flow]], credits_: dict[str, int], endpoint: str
) -> list[EdgePlan]:
    complete: dict[str, bool] = {}
    made: dict[int, EdgePlan] = {}
    specs = list(enumerate(plan.graph.edges))
    for name in plan.graph.order():
        for number, edge in specs:
            if edge.to == name:
                output = edge.output or "out"
                share = plan.shares.get(name, WHOLE)._replace(every=flows[edge.node][output].every)
                made[number] = EdgePlan(
                    origin=edge.node,
                    output=output,
                    to=edge.to,
                    input=edge.input,
                    policy=edge.policy,
                    endpoint=f"{endpoint}{number}" if plan.share_memory(edge.node, name) else _FREE_PORT,
                    token=secrets.token_hex(16),
                    credits=max(1, credits_[edge.node] // share.of),
                    needed=plan.needs(edge.to),
                    complete=edge.policy == "wait" and complete[edge.node],
                    share=share,
                )
        skips = find_kind(plan.graph.node(name).kind).skips
        complete[name] = not skips and all(made[number].complete for number, edge in specs if edge.to == name)
    return [made[number] for number, _ in specs]
