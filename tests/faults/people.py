"""A session host where people log in with real accounts, one person of each role."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mamba.config import Role
from mamba.session.logins.account_file import Account, AccountFile
from mamba.session.logins.accounts import hash_password
from tests.session.conftest import TINY
from tests.support.session_host import HostUnderTest

PROFILE = "name: trial\nconsole: {startup: startup.py}\npeople: {login: accounts}\n"
PEOPLE: dict[Role, str] = {"observer": "Oda", "operator": "Ada", "expert": "Eve"}
PASSWORD = "difference engine"


@contextmanager
def host_with_people(console: list[str] | None = TINY) -> Iterator[HostUnderTest]:
    """The host, with its console ready; IPython for None."""
    host = HostUnderTest(console=console, profile=PROFILE)
    with AccountFile(host.folder / "accounts.json").change() as known:
        for role, person in PEOPLE.items():
            known[person] = Account(hash=hash_password(PASSWORD), role=role)
    try:
        host.wait_prompt()
        yield host
    finally:
        host.close()


def log_in(host: HostUnderTest, role: Role) -> str:
    """The token of a new login of the person with this role."""
    token: str = host.client.request("auth/login", person=PEOPLE[role], password=PASSWORD)["token"]
    return token
