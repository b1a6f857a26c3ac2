"""The gate every request passes: who asks, whether they may, and a line in the audit log for what changes something."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from mamba.errors import NotLoggedIn
from mamba.session.control import Control
from mamba.session.people import People
from mamba.session.roles import RULES, Caller, Rule, check_role
from mamba.wire.messages import Rep
from mamba.wire.server import Call

_MAX_CLIENTS = 1000


class Audit(Protocol):
    """Where the gate writes what was asked and what became of it."""

    def __call__(
        self,
        verb: str,
        *,
        person: str,
        role: str,
        origin: str,
        pid: int | None,
        text: str,
        result: str,
        desc: str,
        duration_s: float,
    ) -> None:
        """Add an entry."""


@dataclass
class _Client:
    """A process that asked something; `last` in s, monotonic."""

    origin: str
    person: str
    role: str
    requests: int
    last: float


class Gate:
    """Admits requests.

    Args:
        people: who is logged in.
        control: who is in control.
        added: rules of the verbs that the console added.
        audit: gets an entry per request that changes something, once it is answered or refused.
    """

    def __init__(self, people: People, control: Control, *, added: Mapping[str, Rule], audit: Audit) -> None:
        self._people, self._control, self._added, self._audit = people, control, added, audit
        self._clients: dict[int, _Client] = {}

    def find_caller(self, call: Call) -> Caller:
        """Who asks; for the console's own requests who types there.

        Raises:
            NotLoggedIn: the token is worth nothing.
        """
        if call.source == "console":
            return self._people.terminal
        return self._people.identify(call.token)

    def admit(self, call: Call) -> None:
        """Let a request pass.

        Raises:
            NotLoggedIn, Forbidden, NotInControl: why not.
        """
        verb = call.request.typ
        rule = RULES.get(verb) or self._added.get(verb)
        if rule is None:
            return  # nobody serves it, and that is its answer
        started = time.monotonic()
        caller = Caller("", "observer")
        if rule.audited:
            call.on_reply = lambda rep: self._audit_reply(call, caller, rep, started)
        if verb != "auth/login":
            caller = self.find_caller(call)
        self._note_client(call, caller)
        if call.source == "console" or verb in ("auth/login", "auth/logout"):
            return  # who types at the prompt may do everything there; and everybody may say who they are
        if rule.role != "observer" and self._people.is_required and not caller.token:
            raise NotLoggedIn(f"{verb}: takes a login", remedy="auth/login, then send its token along")
        check_role(caller, verb, rule)
        if rule.control:
            self._control.require(caller, verb)

    def explain_watching(self, token: str) -> str:
        """Why who joined the terminal with this token may only watch; "" if they may type."""
        if not self._people.is_required:
            return ""
        try:
            caller = self._people.identify(token)
        except NotLoggedIn:
            caller = Caller("", "observer")
        if not caller.token:
            return "you are watching; to type, join with 'mambactl console --login YOU'"
        if caller.role == "observer":
            return f"you are watching; {caller.person} is an observer"
        if not self._control.has(caller.person):
            return f"you are watching; {self._control.holder or 'nobody'} is in control"
        return ""

    def may_interrupt(self, token: str) -> bool:
        """Whether who joined with this token may press Ctrl-C, though perhaps nothing else: holding is everybody's."""
        try:
            return not self._people.is_required or self._people.identify(token).role != "observer"
        except NotLoggedIn:
            return False

    def _audit_reply(self, call: Call, caller: Caller, rep: Rep, started: float) -> None:
        fields = call.request.fields
        text = next((fields[key] for key in ("cmd", "reason", "to") if isinstance(fields.get(key), str)), "")
        verb = call.request.typ
        self._audit(
            verb,
            person=str(fields.get("person", "")) if verb == "auth/login" else caller.person,
            role=caller.role,
            origin=call.origin,
            pid=call.peer.pid,
            text=text,
            result=rep["err"],
            desc=str(rep.get("desc", "")),
            duration_s=time.monotonic() - started,
        )

    def _note_client(self, call: Call, caller: Caller) -> None:
        pid = call.peer.pid
        if call.source == "console" or pid is None:
            return
        client = self._clients.get(pid)
        if client is None:
            if len(self._clients) >= _MAX_CLIENTS:
                self._forget_dead()
            client = self._clients[pid] = _Client("", "", "", 0, 0.0)
        client.origin = call.origin or client.origin
        client.person, client.role = caller.person, caller.role
        client.requests += 1
        client.last = time.monotonic()

    def _forget_dead(self) -> None:
        self._clients = {pid: client for pid, client in self._clients.items() if _read_program(pid)}

    def list_clients(self) -> list[dict[str, Any]]:
        """`pid, program, origin, person, role, requests, last_s` of each process that lives, the last to ask first."""
        self._forget_dead()
        now = time.monotonic()
        rows = [
            {
                "pid": pid,
                "program": _read_program(pid),
                "origin": client.origin,
                "person": client.person,
                "role": client.role,
                "requests": client.requests,
                "last_s": round(now - client.last, 3),
            }
            for pid, client in self._clients.items()
        ]
        return sorted(rows, key=lambda row: float(str(row["last_s"])))


def _read_program(pid: int) -> str:
    """The name of a process; "" for one that is gone."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return ""
    # python -m taurus_gui, python scan.py: the module or the script says more than the interpreter
    if "-m" in words[:-1]:
        return words[words.index("-m") + 1]
    interpreter, *arguments = [word for word in words if word] or [""]
    # what follows -c is a whole program, no name of one
    script = next((word for word in arguments if not word.startswith("-")), "") if "-c" not in arguments else ""
    return Path(script if Path(interpreter).name.startswith("python") and script else interpreter).name
