"""Who may ask for what: one rule per verb.

*Role*: observer (looks), operator (measures), expert (also restarts the console). *Control*: where the profile wants
one person in control at a time, what starts something new is theirs alone. Holding still is everybody's: an operator
may pause, stop, abort, halt and interrupt at any time, and whoever sees a collision coming may stop all that moves.
"""

from __future__ import annotations

from dataclasses import dataclass

from mamba.config import ROLES, Role
from mamba.errors import Forbidden


@dataclass(frozen=True)
class Caller:
    """Who asks; `token` is "" where nobody has to log in."""

    person: str
    role: Role
    proposal: str = ""
    token: str = ""


@dataclass(frozen=True)
class Rule:
    """What a verb takes: a role at least, control where there is control, and whether it goes into the audit log."""

    role: Role
    control: bool = False
    audited: bool = False


LOOK = Rule("observer")
_WATCHED = Rule("observer", audited=True)
_HOLD = Rule("operator", audited=True)
_ACT = Rule("operator", control=True, audited=True)
_ADMINISTER = Rule("expert", audited=True)

RULES: dict[str, Rule] = {
    **dict.fromkeys(("ping", "wire/version", "wire/verbs", "state", "run/status", "cmd/status", "cmd/history"), LOOK),
    **dict.fromkeys(("session/status", "session/clients", "session/output", "auth/whoami", "control/status"), LOOK),
    **dict.fromkeys(("dev/keys", "dev/describe", "dev/read", "dev/limits", "dev/move"), LOOK),
    **dict.fromkeys(
        ("graph/list", "graph/status", "graph/describe", "graph/validate", "graph/kinds", "graph/preview"), LOOK
    ),
    **dict.fromkeys(("auth/login", "auth/logout", "run/stop_all"), _WATCHED),
    **dict.fromkeys(("run/pause", "run/stop", "run/abort", "run/halt", "session/interrupt", "cmd/cancel"), _HOLD),
    **dict.fromkeys(("control/take", "control/ask", "control/give", "control/keep", "control/release"), _HOLD),
    **dict.fromkeys(("cmd", "run/resume"), _ACT),
    "session/restart": _ADMINISTER,
}
"""The rule of each verb of the host; a verb that the console adds brings its own."""

ADDED = (LOOK, _ACT, _ADMINISTER)


def find_added_rule(role: str) -> Rule:
    """The rule of a verb that an add-on registered for `role`: what an observer may ask changes nothing."""
    return next((rule for rule in ADDED if rule.role == role), _ADMINISTER)


def check_role(caller: Caller, verb: str, rule: Rule) -> None:
    """Refuse a verb to a role that is too low.

    Raises:
        Forbidden: names the person, the role and the one that is needed.
    """
    if ROLES.index(caller.role) < ROLES.index(rule.role):
        raise Forbidden(
            f"{verb}: not for {caller.person}",
            seen=f"role {caller.role}; it takes {rule.role}",
            remedy="ask somebody who has that role, or an administrator for it",
        )
