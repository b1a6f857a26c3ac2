"""Verbs that the console adds: the start-up script or an add-on package serves them, the host passes them on."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from mamba.session.roles import Rule, find_added_rule
from mamba.wire.handlers import Handlers

log = logging.getLogger(__name__)


class AddedVerbs:
    """The verbs the console of the moment serves besides the host's.

    Attributes:
        rules: what each takes; read by the gate.
    """

    def __init__(self, handlers: Handlers, forward: Callable[..., Any]) -> None:
        self._handlers, self._forward = handlers, forward
        self.rules: dict[str, Rule] = {}

    def replace(self, roles: dict[str, str]) -> None:
        """Serve these verbs, for these roles, and no longer the ones before."""
        for verb in self.rules:
            self._handlers.remove(verb)
        self.rules.clear()
        for verb, role in roles.items():
            try:
                self._handlers.add(verb, self._forward)
            except ValueError as error:
                log.warning("console: cannot add a verb: %s", error)
            else:
                self.rules[verb] = find_added_rule(role)
