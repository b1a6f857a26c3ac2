"""The door: refuses what no way of checking may see, and holds every check to its time."""

from __future__ import annotations

import threading
import time
from typing import Protocol

from mamba.config import PeopleConfig, Role
from mamba.config.people import read_person
from mamba.errors import LoginUnavailable
from mamba.session.logins.accounts import AccountsLogin
from mamba.session.logins.directory import DirectoryLogin
from mamba.session.logins.pam import PamLogin
from mamba.session.logins.refusal import refuse

CHECK_TIMEOUT_S = 9.0
"""A check that is not done by then is given up."""
MAX_PASSWORD_BYTES = 1024
_AT_ONCE = 4  # each needs 64 MiB for Argon2, or a process


class Login(Protocol):
    """One way to check a password."""

    def verify(self, person: str, password: str, *, timeout_s: float) -> Role:
        """The role of a person whose password is right.

        Raises:
            LoginRefused: it is wrong, or the person may not log in.
            LoginUnavailable: it could not be checked, or not within `timeout_s`.
        """


class Authenticator:
    """Checks names and passwords in the way the profile names; may be called by several threads at once."""

    def __init__(self, login: Login, *, timeout_s: float = CHECK_TIMEOUT_S) -> None:
        self._login, self._timeout_s = login, timeout_s
        self._places = threading.BoundedSemaphore(_AT_ONCE)

    def check(self, person: str, password: str) -> Role:
        """The role of `person`; blocks for at most 10 s.

        Raises:
            LoginRefused: name or password is wrong, or the account may not be used; the message is the same for all.
            LoginUnavailable: the password cannot be checked now; says what to do.
        """
        person = self._read_name(person)
        self._refuse_password(password)
        deadline_s = time.monotonic() + self._timeout_s
        if not self._places.acquire(timeout=self._timeout_s / 2):
            raise LoginUnavailable("login: too many persons log in at once", remedy="try again in a minute")
        try:
            return self._login.verify(person, password, timeout_s=deadline_s - time.monotonic())
        finally:
            self._places.release()

    @staticmethod
    def _read_name(person: str) -> str:
        try:
            return read_person(person)
        except ValueError:
            raise refuse() from None

    @staticmethod
    def _refuse_password(password: str) -> None:
        # An empty one is an anonymous bind, which a directory answers with success; after a NUL, PAM reads no further.
        # What UTF-8 does not know (a lone surrogate) is nobody's password and would be an error that quotes it.
        size = len(password.encode("utf-8", errors="replace"))
        if not 0 < size <= MAX_PASSWORD_BYTES or any(c == "\0" or "\ud800" <= c <= "\udfff" for c in password):
            raise refuse()


def make_authenticator(people: PeopleConfig) -> Authenticator:
    """The way that the profile names.

    Raises:
        ValueError: `people.login` is "none": nobody has a password to check.
    """
    match people.login:
        case "accounts":
            return Authenticator(AccountsLogin(people.accounts))
        case "pam":
            return Authenticator(PamLogin(people))
        case "ldap":
            return Authenticator(DirectoryLogin(people))
    raise ValueError("people.login is none: there is nothing to check a password with")
