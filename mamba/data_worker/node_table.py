"""What each node of an arm is doing, from the meters that their actors send; finds those that hang or grow."""

from __future__ import annotations

import time
from collections import Counter, deque
from typing import Any

from mamba.data_worker.meters import NodeProgress
from mamba.data_worker.planning import ArmPlan

_RATE_OVER_S = 1.0
_SILENT_S = 2.0


class NodeTable:
    """Keeps the newest meters of all nodes; belongs to the supervisor's thread."""

    def __init__(self, plan: ArmPlan) -> None:
        self._plan = plan
        self._states = dict.fromkeys(plan.groups, "opening")
        self._meters: dict[str, dict[str, Any]] = {}
        self._past: dict[str, deque[tuple[float, int, int]]] = {name: deque() for name in plan.groups}
        self._actors: dict[str, dict[str, Any]] = {}
        self._heard = dict.fromkeys(plan.orders, time.monotonic())  # by group, when its actor has sent meters
        self._through: set[str] = set()  # nodes that have told their last
        self._edges: dict[str, dict[str, int]] = {}
        self._before: dict[str, dict[str, int]] = {}  # by edge, what actors that are dead had told
        self._rows_before: dict[str, int] = {}  # by node, likewise

    def change(self, plan: ArmPlan, *, removed: frozenset[str], added: frozenset[str]) -> None:
        """Other nodes run from now on; what was told of the edges of those that are gone stays."""
        self._plan = plan
        for node in removed:
            self.set_state(node, "replaced")
        for node in removed - added:
            del self._states[node], self._past[node]
        for node in added:
            self._states[node], self._past[node] = "opening", deque()
        self._actors = {group: actor for group, actor in self._actors.items() if group in plan.orders}
        self._heard = {group: self._heard.get(group, time.monotonic()) for group in plan.orders}

    def set_state(self, node: str, state: str) -> None:
        """A node began, failed, or is being replaced."""
        self._states[node] = state
        if state == "replaced":
            gone = self._meters.pop(node, {})
            self._rows_before[node] = self._rows_before.get(node, 0) + gone.get("rows", 0)
            self._through.discard(node)
            self._past[node].clear()
            for name in [edge for edge in self._edges if edge.startswith(f"{node} → ")]:
                self._before[name] = self._add_before(name, self._edges.pop(name))

    def take(self, group: str, report: dict[str, Any]) -> None:
        """Meters of a group's nodes; they may be older than what a node said at its end, or of a group that is gone."""
        if group not in self._plan.orders:
            return
        self._actors[group] = report
        self._heard[group] = time.monotonic()
        for node, meter in report["nodes"].items():
            if node not in self._through:
                self._take_meter(node, meter)

    def take_last(self, node: str, meter: dict[str, Any]) -> None:
        """The meter of a node through which nothing more will come."""
        self._take_meter(node, meter)
        self._through.add(node)
        if self._states[node] == "running":
            self._states[node] = "ended"

    def _take_meter(self, node: str, meter: dict[str, Any]) -> None:
        now = time.monotonic()
        self._meters[node] = meter
        past = self._past[node]
        past.append((now, meter["rows"], meter["bytes"]))
        while len(past) > 2 and past[0][0] < now - _RATE_OVER_S:
            past.popleft()
        self._edges |= meter["edges"]

    def _add_before(self, name: str, counts: dict[str, int]) -> dict[str, int]:
        before = self._before.get(name, {})
        return {what: count + before.get(what, 0) for what, count in counts.items()}

    @property
    def edges(self) -> dict[str, dict[str, int]]:
        """By edge, such as "camera → file": frame numbers sent and dropped; of a dead actor what it told last.

        What was sent to a killed actor and sent again to its successor counts twice.
        """
        return {name: self._add_before(name, counts) for name, counts in {**self._zero(), **self._edges}.items()}

    @property
    def rows(self) -> dict[str, int]:
        """By node, rows taken in (of a source: given out), with what dead actors had told."""
        names = dict.fromkeys([*self._plan.groups, *self._rows_before])
        return {name: self._meters.get(name, {}).get("rows", 0) + self._rows_before.get(name, 0) for name in names}

    def _zero(self) -> dict[str, dict[str, int]]:
        return {name: {"sent": 0, "dropped": 0} for name in self._before}

    def find_offenders(self) -> list[tuple[str, str]]:
        """Groups with a node that takes too long for one item, or with too much memory: (group, why)."""
        found = []
        for group, report in self._actors.items():
            for node, meter in report["nodes"].items():
                limit_s = self._plan.graph.node(node).time_limit_s
                if meter["busy_s"] > limit_s:
                    found.append((group, f"node {node}: process() has taken more than {limit_s:g} s"))
            limit_mib = min(self._plan.graph.node(node).memory_limit_mib for node in self._plan.nodes_of(group))
            if report["memory_bytes"] > limit_mib << 20:
                names = ", ".join(sorted(self._plan.nodes_of(group)))
                found.append((group, f"node {names}: its actor has grown beyond {limit_mib} MiB"))
        for group, _ in found:
            self._actors.pop(group, None)
        return found

    def find_silent(self) -> list[str]:
        """Groups whose actor has sent no meters for long: its process may be stopped."""
        before = time.monotonic() - _SILENT_S
        return [group for group, heard in self._heard.items() if heard < before]

    def read(self) -> tuple[NodeProgress, ...]:
        """All nodes, in the graph's order."""
        dropped = Counter[str]()
        for edge, counts in self.edges.items():
            dropped[edge.rpartition(" → ")[2]] += counts["dropped"]
        return tuple(self._read(name, dropped[name]) for name in self._plan.groups)

    def _read(self, name: str, dropped: int) -> NodeProgress:
        meter, group = self._meters.get(name, {}), self._plan.groups[name]
        actor = self._actors.get(group, {})
        past = self._past[name]
        span = past[-1][0] - past[0][0] if len(past) > 1 else 0.0
        return NodeProgress(
            name=name,
            kind=self._plan.graph.node(name).kind,
            group=group,
            state=self._states[name],
            rows=meter.get("rows", 0),
            rows_per_s=(past[-1][1] - past[0][1]) / span if span else 0.0,
            bytes_per_s=(past[-1][2] - past[0][2]) / span if span else 0.0,
            queued=meter.get("queued", 0),
            credits=meter.get("credits", 0),
            dropped=dropped,
            lag_s=meter.get("lag_s", 0.0),
            cpu_percent=actor.get("cpu_percent", 0.0),
            memory_bytes=actor.get("memory_bytes", 0),
        )
