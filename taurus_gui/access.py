"""What the person at this window may do, and why not. Plain Python, no Qt.

*Acting* starts or goes on with something: a command, the resume of a run. *Holding* brings a run to rest: pause, stop,
abort, halt. *In control*: where the profile wants it, one person at a time may act; every operator may hold.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Access:
    """Who is at this window, in which role, and who is in control.

    Attributes:
        required: people have to log in.
        person: who is logged in here; without logins who measures.
        role: "observer", "operator" or "expert".
        proposal: whose beam time it is; "" when it was not said.
        is_lost: the host has forgotten the login of this window.
        control: there is control.
        holder: who is in control; "" for nobody.
        since: since when (s since 1970).
        asked_by: who waits for the holder's answer; "" for nobody.
        until: when control passes on without an answer (s since 1970).
    """

    required: bool = False
    person: str = ""
    role: str = "expert"
    proposal: str = ""
    is_lost: bool = False
    control: bool = False
    holder: str = ""
    since: float | None = None
    asked_by: str = ""
    until: float | None = None

    @property
    def is_logged_in(self) -> bool:
        """Somebody is logged in here, where people log in."""
        return self.required and bool(self.person)

    @property
    def is_holder(self) -> bool:
        """Whoever is at this window is in control."""
        return bool(self.person) and self.holder == self.person

    @property
    def is_asked(self) -> bool:
        """Somebody waits for an answer of whoever is at this window."""
        return self.control and self.is_holder and bool(self.asked_by)

    @property
    def why_not_hold(self) -> str:
        """Why a run cannot be paused or ended from here; "" when it can."""
        if not self.required:
            return ""
        if not self.person:
            return "log in again: the session has forgotten this login" if self.is_lost else "log in first"
        return f"{self.person} is an observer: may look, not act" if self.role == "observer" else ""

    @property
    def why_not_stop_all(self) -> str:
        """Why what moves cannot be stopped from here; "" when it can: by everybody who is known, in any role."""
        return self.why_not_hold if self.required and not self.person else ""

    @property
    def why_not_act(self) -> str:
        """Why no command can be sent from here; "" when it can."""
        if self.why_not_hold or not self.control or self.is_holder:
            return self.why_not_hold
        if not self.holder:
            return "nobody is in control: take control first"
        since = time.strftime(", since %H:%M:%S", time.localtime(self.since)) if self.since else ""
        return f"{self.holder} is in control{since}"

    def see_control(self, control: dict[str, Any]) -> Access:
        """The same with the answer to `control/status`."""
        return replace(
            self,
            control=bool(control.get("enabled")),
            holder=str(control.get("person") or ""),
            since=control.get("since"),
            asked_by=str(control.get("asked_by") or ""),
            until=control.get("until"),
        )

    def see_person(self, person: dict[str, Any]) -> Access:
        """The same with the answer to `auth/login` or `auth/whoami`; a lost login stays lost until the next one."""
        name = str(person.get("person") or "")
        return replace(
            self,
            person=name,
            role=str(person.get("role") or ""),
            proposal=str(person.get("proposal") or ""),
            is_lost=self.is_lost and not name,
        )
