"""The control token: one person in control at a time, where the profile wants it.

*Holder*: the person in control. Who wants it *asks*; the holder gives it or keeps it, and an unanswered question passes
control on when its time is over. Control that nobody has, or whose holder is logged in nowhere, is taken at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from mamba.errors import NotInControl, ZError
from mamba.session.loop import Loop, Timer
from mamba.session.roles import Caller


class Control:
    """Who is in control.

    Args:
        loop: for the time of a question.
        enabled: without control everybody who may act, may act.
        timeout_s: how long the holder has to answer.
        is_present: whether a person is logged in anywhere.
        publish: publishes a notice.
    """

    def __init__(
        self,
        loop: Loop,
        *,
        enabled: bool,
        timeout_s: float,
        is_present: Callable[[str], bool],
        publish: Callable[[str, dict[str, Any]], None],
    ) -> None:
        self._loop, self._timeout_s, self._is_present, self._publish = loop, timeout_s, is_present, publish
        self.enabled = enabled
        self.holder = ""
        self._since: float | None = None
        self._asked_by = ""
        self._until: float | None = None
        self._timer: Timer | None = None

    def describe(self) -> dict[str, Any]:
        """`enabled, person` ("" for nobody), `since, asked_by, until` (s since 1970, None without a question)."""
        return {
            "enabled": self.enabled,
            "person": self.holder,
            "since": self._since,
            "asked_by": self._asked_by,
            "until": self._until,
        }

    def has(self, person: str) -> bool:
        """Whether `person` may act now: holds control, or there is no control."""
        return not self.enabled or (bool(person) and self.holder == person)

    def require(self, caller: Caller, verb: str) -> None:
        """Refuse what only the person in control may do.

        Raises:
            NotInControl: says who is, and since when.
        """
        if self.has(caller.person):
            return
        raise NotInControl(
            f"{verb}: {caller.person} is not in control",
            seen=self._say_holder(),
            remedy="control/take" if not self.holder else "control/ask; pause, stop and abort need no control",
        )

    def _say_holder(self) -> str:
        if not self.holder:
            return "nobody is"
        return f"{self.holder} is, since {time.strftime('%H:%M:%S', time.localtime(self._since))}"

    def take(self, caller: Caller, *, force: bool) -> dict[str, Any]:
        """Take what nobody holds; an expert may take it from its holder.

        Raises:
            NotInControl: somebody holds it.
            ZError: `no-control`, where there is none to take.
        """
        self._require_enabled()
        free = self.holder in ("", caller.person) or not self._is_present(self.holder)
        if not free and not (force and caller.role == "expert"):
            raise NotInControl(
                f"control/take: {caller.person} cannot take control",
                seen=self._say_holder(),
                remedy="control/ask: it passes on when the holder gives it or does not answer",
            )
        return self._pass_to(caller.person)

    def ask(self, caller: Caller) -> dict[str, Any]:
        """Ask the holder; control passes at `until` (s since 1970) unless the holder answers first.

        Raises:
            ZError: `already-asked`, when somebody else's question is open.
        """
        self._require_enabled()
        if self.holder in ("", caller.person) or not self._is_present(self.holder):
            self._pass_to(caller.person)
            return {"until": time.time()}
        if self._asked_by == caller.person:
            return {"until": self._until}
        if self._asked_by:
            raise ZError("already-asked", f"control/ask: {self._asked_by} has asked already; wait for the answer")
        self._asked_by, self._until = caller.person, time.time() + self._timeout_s
        self._timer = self._loop.call_later(self._timeout_s, self._pass_to_who_asked)
        self._publish("control/asked", {"by": caller.person, "person": self.holder, "until": self._until})
        return {"until": self._until}

    def give(self, caller: Caller, to: str) -> dict[str, Any]:
        """Hand over to `to`, or to who asked.

        Raises:
            NotInControl: the caller has nothing to give.
            ZError: `not-logged-in`, when the other person is not, or nobody is named and nobody asked.
        """
        self._require_holder(caller, "control/give")
        to = to or self._asked_by
        if not to or not self._is_present(to):
            raise ZError("not-logged-in", f"control/give: {to[:100] or 'nobody asked, and nobody'} is logged in")
        return self._pass_to(to)

    def keep(self, caller: Caller) -> dict[str, Any]:
        """Decline the open question."""
        self._require_holder(caller, "control/keep")
        asked_by = self._asked_by
        self._forget_question()
        if asked_by:
            self._publish("control/changed", {"person": self.holder, "since": self._since, "declined": asked_by})
        return {"person": self.holder}

    def release(self, caller: Caller) -> dict[str, Any]:
        """Give control back; who asked gets it."""
        self._require_holder(caller, "control/release")
        self._pass_to(self._asked_by)
        return {"person": self.holder}

    def leave(self, person: str) -> None:
        """A person has logged out everywhere."""
        if self._asked_by == person:
            self._forget_question()
        if self.holder == person and person:
            self._pass_to(self._asked_by)

    def _require_enabled(self) -> None:
        if not self.enabled:
            raise ZError("no-control", "control: is off; everybody may act (people.control in the profile)")

    def _require_holder(self, caller: Caller, verb: str) -> None:
        self._require_enabled()
        if self.holder != caller.person:
            self.require(caller, verb)

    def _pass_to_who_asked(self) -> None:
        self._pass_to(self._asked_by)

    def _pass_to(self, person: str) -> dict[str, Any]:
        self._forget_question()
        if person != self.holder:
            self.holder, self._since = person, time.time() if person else None
            self._publish("control/changed", {"person": person, "since": self._since, "declined": ""})
        return {"person": person}

    def _forget_question(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._asked_by, self._until, self._timer = "", None, None
