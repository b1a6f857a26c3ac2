"""`login: pam`: name and password as on this machine, through the PAM stack that the profile names."""

from __future__ import annotations

import logging
from pathlib import Path

from mamba.config import PeopleConfig, Role
from mamba.errors import LoginUnavailable
from mamba.session.logins.outside import ask_outside, not_checked
from mamba.session.logins.refusal import refuse

log = logging.getLogger(__name__)

STACKS = (Path("/etc/pam.d"), Path("/usr/lib/pam.d"))


class PamLogin:
    """Checks with PAM; `stacks` replaces the system's folder of stacks."""

    def __init__(self, people: PeopleConfig, *, stacks: Path | None = None) -> None:
        self._people, self._stacks = people, stacks

    def verify(self, person: str, password: str, *, timeout_s: float) -> Role:
        """See `Login`."""
        self._require_service()
        service = self._people.pam.service
        remedy = f"see the stack {service!r} in /etc/pam.d and the machine's log of authentication"
        answer = ask_outside(
            "mamba.session.logins.pam_check",
            {
                "service": service,
                "stacks": str(self._stacks) if self._stacks else None,
                "person": person,
                "password": password,
            },
            timeout_s=timeout_s,
            remedy=remedy,
        )
        if answer["verdict"] == "unavailable":
            raise not_checked(answer["why"], remedy)
        if answer["verdict"] == "wrong":
            log.info("login refused by PAM: %s", answer["why"])
            raise refuse()
        # a module may have made another name of it ("ada@EXAMPLE.ORG" → "ada"): roles are of who PAM says it is
        return self._people.roles.find(answer["person"]) or self._people.default_role

    def _require_service(self) -> None:
        # asked before: without a stack PAM takes the one named 'other', which says 'wrong' to everybody
        service = self._people.pam.service
        folders = (self._stacks,) if self._stacks else STACKS
        if not any((folder / service).is_file() for folder in folders):
            raise LoginUnavailable(
                f"login: PAM knows no service {service!r}",
                seen=f"no file {folders[0] / service}",
                remedy="write it (docs/reference/people.md has one), or name another in people.pam.service",
            )
