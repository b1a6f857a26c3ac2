"""What may change in a graph that runs: branches on which no file depends, such as a screen or a feedback.

Nodes that a file depends on, and the edges into them, stay as they are until the arm ends. Everything else may come, go
or get other parameters; actors are the unit, so what changes must not share a group with what stays.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mamba.data_worker.edges import EdgePlan
from mamba.data_worker.graph import EdgeSpec, Graph
from mamba.data_worker.planning import ArmPlan, Detector, plan_arm
from mamba.errors import GraphInvalid


@dataclass(frozen=True)
class Change:
    """From one plan to the next.

    Attributes:
        plan: the new one; what stays has its endpoints and tokens of before.
        removed, added: names of nodes; one with other parameters is in both.
        detach: by origin that stays, the readers that leave it.
        attach: by origin that stays, its new edges, as in an order.
    """

    plan: ArmPlan
    removed: frozenset[str]
    added: frozenset[str]
    detach: dict[str, list[str]]
    attach: dict[str, list[dict[str, Any]]]

    @property
    def note(self) -> str:
        """For the ledger."""
        parts = [
            f"{sign} {', '.join(sorted(names))}" for sign, names in (("-", self.removed), ("+", self.added)) if names
        ]
        return f"graph changed: {' '.join(parts) or 'nothing'}"


def plan_change(
    plan: ArmPlan, graph: Graph, detectors: dict[str, Detector], folder: Path, *, generation: int
) -> Change:
    """Plan the way from a graph that runs to another.

    Args:
        plan: what runs.
        graph: what shall run.
        detectors: as for `plan_arm`.
        folder: for sockets; the same as before.
        generation: a number that no change of this arm had.

    Raises:
        GraphInvalid: it touches what a file depends on, or an actor that has to stay; names what.
    """
    new = plan_arm(graph, plan.job, detectors, folder, prefix=f"g{generation}", places=plan.places)
    _refuse_files(plan, new)
    stays = _find_what_stays(plan, new)
    _refuse_groups(plan, new, stays)
    removed, added = frozenset(set(plan.groups) - stays), frozenset(set(new.groups) - stays)
    attach = {
        node: edges
        for node in sorted(stays)
        if (edges := [edge for edge in _node_order(new, node)["outs"] if edge["to"] in added])
    }
    _refuse_ports(graph, attach)
    detach = {
        node: gone
        for node in sorted(stays)
        if (gone := [edge["to"] for edge in _node_order(plan, node)["outs"] if edge["to"] in removed])
    }
    groups, orders = dict(new.groups), {}
    for group, order in new.orders.items():
        if new.nodes_of(group) & stays:
            nodes = [_rewire(node, removed, attach) for node in plan.orders[group]["nodes"]]
            orders[group] = {**plan.orders[group], "nodes": nodes}
            continue
        # its actor is made while the one that it follows still runs
        name = f"{group}~{generation}" if group in plan.orders else group
        orders[name] = {**order, "group": name}
        groups |= dict.fromkeys(new.nodes_of(group), name)
    return Change(replace(new, groups=groups, orders=orders), removed, added, detach, attach)


def _refuse_ports(graph: Graph, attach: dict[str, list[dict[str, Any]]]) -> None:
    for edges in attach.values():
        for edge in [each for each in edges if EdgePlan(**each).remote]:
            raise GraphInvalid(
                f"graph {graph.name}: cannot change now: {edge['origin']} → {edge['to']} would go to another Ray node",
                remedy="place it on the node of its origin",
            )


def _rewire(order: dict[str, Any], removed: frozenset[str], attach: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    outs = [edge for edge in order["outs"] if edge["to"] not in removed]
    return {**order, "outs": outs + attach.get(order["spec"]["name"], [])}


def _node_order(plan: ArmPlan, name: str) -> dict[str, Any]:
    orders = plan.orders[plan.groups[name]]["nodes"]
    found: dict[str, Any] = next(order for order in orders if order["spec"]["name"] == name)
    return found


def _edges_into(graph: Graph, name: str) -> set[EdgeSpec]:
    return set(graph.inputs_of(name))


def _refuse_files(plan: ArmPlan, new: ArmPlan) -> None:
    remedy = "what a file depends on stays until the arm ends; change branches that only show or steer"
    for name in sorted({n for n in plan.groups if plan.needs(n)} | {n for n in new.groups if new.needs(n)}):
        if name not in plan.groups or name not in new.groups:
            what = "would be new" if name in new.groups else "would be gone"
            raise GraphInvalid(f"graph {new.graph.name}: cannot change now: node {name!r} {what}", remedy=remedy)
        if plan.graph.node(name) != new.graph.node(name):
            raise GraphInvalid(
                f"graph {new.graph.name}: cannot change now: node {name!r} would be another", remedy=remedy
            )
        if _edges_into(plan.graph, name) != _edges_into(new.graph, name):
            raise GraphInvalid(
                f"graph {new.graph.name}: cannot change now: the edges into {name!r} would be others", remedy=remedy
            )


def _find_what_stays(plan: ArmPlan, new: ArmPlan) -> set[str]:
    stays: set[str] = set()
    for name in new.graph.order():
        known = name in plan.groups and plan.graph.node(name) == new.graph.node(name)
        fed_alike = known and _edges_into(plan.graph, name) == _edges_into(new.graph, name)
        if fed_alike and all(edge.node in stays for edge in new.graph.inputs_of(name)):
            stays.add(name)
    return stays


def _refuse_groups(plan: ArmPlan, new: ArmPlan, stays: set[str]) -> None:
    for group in {plan.groups[name] for name in stays}:
        wanted = {name for name in new.groups if new.graph.group_of(name) == group}
        for name in sorted((plan.nodes_of(group) | wanted) - stays):
            raise GraphInvalid(
                f"graph {new.graph.name}: cannot change now: node {name!r} shares the actor {group!r} with what stays",
                remedy="give it a group of its own",
            )
