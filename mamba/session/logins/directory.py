"""`login: ldap`: name and password as in the facility's directory, by a simple bind as the person's entry."""

from __future__ import annotations

import logging

from mamba.config import PeopleConfig, Role
from mamba.session.logins.outside import ask_outside, not_checked
from mamba.session.logins.refusal import refuse

log = logging.getLogger(__name__)


class DirectoryLogin:
    """Checks with the directory that the profile names."""

    def __init__(self, people: PeopleConfig) -> None:
        self._people = people

    def verify(self, person: str, password: str, *, timeout_s: float) -> Role:
        """See `Login`."""
        ldap = self._people.ldap
        remedy = f"see that {ldap.url} can be reached from here, and people.ldap in the profile"
        answer = ask_outside(
            "mamba.session.logins.directory_check",
            {**ldap.model_dump(mode="json"), "person": person, "password": password, "timeout_s": timeout_s},
            timeout_s=timeout_s,
            remedy=remedy,
        )
        if answer["verdict"] == "unavailable":
            raise not_checked(answer["why"], remedy)
        if answer["verdict"] == "wrong":
            log.info("login refused by the directory: %s", answer["why"])
            raise refuse()
        return self._people.roles.find(person) or self._people.default_role
