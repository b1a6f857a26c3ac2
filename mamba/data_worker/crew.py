"""The actors of one arm: given their orders, started, replaced when they die, freed at the end."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping
from typing import Any

from mamba.data_worker.planning import ArmPlan
from mamba.data_worker.reports import load_error
from mamba.data_worker.runner import Runner
from mamba.errors import MambaError, NodeFailed

_ATTEMPTS = 3
"""So often an actor may be killed in its own replacement."""
_REPLACED_WITHIN_S = 40.0
_FINISHED_WITHIN_S = 15.0

_replacers: set[threading.Thread] = set()
"""Those who replace a dead actor at this moment, of whatever arm."""


class Crew:
    """Has the runner's actors do what a plan orders.

    Args:
        runner: keeps an actor for each group of the plan.
        plan: of the arm.

    Attributes:
        plan: the present one; who changes it enlists the new groups before, and has them begin afterwards.
    """

    def __init__(self, runner: Runner, plan: ArmPlan) -> None:
        self.plan = plan
        self._runner, self._over = runner, False
        self._endpoints: dict[str, str] = {}  # of edges over TCP, by token

    def prepare(self) -> None:
        """Have every node make ready, and its ends of edges.

        Raises:
            MambaError: what a node could not do; nothing is left of what the others did.
        """
        prepared: list[str] = []
        try:
            for group, order in self.plan.orders.items():
                self._endpoints |= self._prepare(group, order)
                prepared.append(group)
        except MambaError:
            for group in prepared:
                self._runner.call(group, "discard")
            raise
        self._note_endpoints()

    def _prepare(self, group: str, order: Mapping[str, Any]) -> dict[str, str]:
        """Returns the endpoints that its edges over TCP have got, by token."""
        answer = self._runner.call(group, "prepare", json.dumps(order))
        if answer["err"]:
            raise load_error(answer)
        endpoints: dict[str, str] = answer["endpoints"]
        return endpoints

    def _note_endpoints(self) -> None:
        """Whoever takes a dead actor's place serves, and looks, where that one did."""
        for order in self.plan.orders.values():
            for node in order["nodes"]:
                for edge in [*node["ins"], *node["outs"]]:
                    edge["endpoint"] = self._endpoints.get(edge["token"], edge["endpoint"])

    def start(self) -> None:
        """Have all nodes begin.

        Raises:
            NodeFailed: an actor died before.
        """
        for group in self.plan.orders:
            self._runner.call(group, "start", json.dumps(self._endpoints))

    def enlist(self, plan: ArmPlan, groups: Iterable[str]) -> None:
        """See that an actor lives and is ready for each group that the next plan brings.

        Raises:
            MambaError: a new node cannot be made ready; none of them lives.
        """
        try:
            self._runner.start_groups([*self.plan.orders, *groups], self.plan.places)
            for group in groups:
                self._prepare(group, plan.orders[group])
        except MambaError:
            self.dismiss(groups)
            raise

    def begin(self, groups: Iterable[str]) -> None:
        """Have the nodes of groups begin that were enlisted."""
        for group in groups:
            self._runner.call(group, "start")

    def dismiss(self, groups: Iterable[str]) -> None:
        """End the actors of these groups."""
        for group in groups:
            self._runner.kill(group)

    def replace(self, group: str) -> None:
        """End a group's actor, if it still lives, and have another go on with its work.

        Raises:
            MambaError: that cannot be done.
        """
        this = threading.current_thread()
        _replacers.add(this)
        try:
            for _ in range(_ATTEMPTS):
                try:
                    self._runner.restart(group)
                    self._resume(group)
                except NodeFailed:
                    if self._runner.lives(group) or not self._runner.running or self._runner.find_dead_parts():
                        raise
                    continue  # killed again before it could begin; after the last time the supervisor sees it dead
                break
            if self._over:
                self._runner.kill(group)  # it came too late, and would be taken for idle
        finally:
            _replacers.discard(this)

    def _resume(self, group: str) -> None:
        order = self.plan.orders[group]
        self._prepare(group, {**order, "job": {**order["job"], "resume": True}})
        self._runner.call(group, "start")

    def free(self, dead: set[str]) -> None:
        """The arm is over: end the actors of `dead` groups and those that do not finish, the others may idle."""
        self._over = True
        self.dismiss(group for group in self.plan.orders if group in dead or not self._await_finish(group))

    def _await_finish(self, group: str) -> bool:
        try:
            return not self._runner.call(group, "finish", timeout_s=_FINISHED_WITHIN_S)["err"]
        except NodeFailed:
            return False


def await_replacers() -> None:
    """Wait for those who replace an actor of whatever arm, also of one that is over."""
    for thread in list(_replacers):
        thread.join(_REPLACED_WITHIN_S)
