"""auth/… and control/…: who is who, and who is in control."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import Field

from mamba.errors import BadRequest, NotLoggedIn
from mamba.session.roles import Caller
from mamba.session.verbs.base import Text, Verbs
from mamba.wire.handlers import PENDING
from mamba.wire.server import Call

Name = Annotated[str, Field(min_length=1, max_length=100)]
"""A person or a proposal."""


class PersonVerbs(Verbs):
    """Logging in and out."""

    def verbs(self) -> dict[str, Callable[..., Any]]:
        """Handler by verb."""
        return {"auth/login": self.login, "auth/logout": self.logout, "auth/whoami": self.whoami}

    def login(
        self,
        call: Call,
        *,
        person: Name,
        password: Annotated[str, Field(max_length=1024)] = "",
        proposal: Annotated[str, Field(max_length=100)] = "",
    ) -> Any:
        """Log in; answered with the token that later requests carry, or after 1 s with a refusal."""
        for field, text in (("person", person), ("proposal", proposal)):
            if not text.isprintable() or (text and not text.strip()):
                raise BadRequest(f"auth/login: field {field!r} must be printable text")

        def on_login(result: Caller | Exception) -> None:
            if isinstance(result, Exception):
                call.fail(result)
                return
            if call.source == "console" or not self.host.people.is_required:
                self.host.set_terminal(result)
            call.succeed(
                {"person": result.person, "role": result.role, "proposal": result.proposal, "token": result.token}
            )

        self.host.people.log_in(person.strip(), password, proposal.strip(), on_login)
        return PENDING

    def logout(self, call: Call) -> Any:
        """Log out; the token is worth nothing from now on."""
        host = self.host
        people = host.people
        if people.is_required:
            caller = host.gate.find_caller(call)
            people.log_out(caller)
            if not people.is_present(caller.person):
                host.control.leave(caller.person)
        elif not people.terminal.person:
            raise NotLoggedIn("nobody is logged in")
        if call.source == "console" or not people.is_required:
            host.set_terminal(Caller("", "observer" if people.is_required else "expert"))
        return {"person": people.person}

    def whoami(self, call: Call) -> Any:
        """Who asks, by its token."""
        host = self.host
        caller = host.gate.find_caller(call)
        return {
            "person": caller.person,
            "role": caller.role,
            "proposal": caller.proposal,
            "logged_in": bool(caller.token or (host.people.terminal.person and not host.people.is_required)),
            "in_control": host.control.has(caller.person),
            "required": host.people.is_required,
        }


class ControlVerbs(Verbs):
    """The control token."""

    def verbs(self) -> dict[str, Callable[..., Any]]:
        """Handler by verb."""
        return {
            "control/status": self.status,
            "control/take": self.take,
            "control/ask": self.ask,
            "control/give": self.give,
            "control/keep": self.keep,
            "control/release": self.release,
        }

    def status(self, call: Call) -> Any:
        """Who is in control, and who asked for it."""
        return self.host.control.describe()

    def take(self, call: Call, *, force: bool = False) -> Any:
        """Take what nobody holds."""
        return self.host.control.take(self.host.gate.find_caller(call), force=force)

    def ask(self, call: Call) -> Any:
        """Ask the holder."""
        return self.host.control.ask(self.host.gate.find_caller(call))

    def give(self, call: Call, *, to: Text = "") -> Any:
        """Hand over."""
        return self.host.control.give(self.host.gate.find_caller(call), to)

    def keep(self, call: Call) -> Any:
        """Decline."""
        return self.host.control.keep(self.host.gate.find_caller(call))

    def release(self, call: Call) -> Any:
        """Give back."""
        return self.host.control.release(self.host.gate.find_caller(call))
