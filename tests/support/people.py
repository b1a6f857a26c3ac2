"""What the tests of logins share: persons with passwords, and a PAM stack of our own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from mamba.config import PeopleConfig
from mamba.errors import LoginRefused
from mamba.session.logins.authenticator import Authenticator
from tests.support.directory_server import Directory

CANARY = "Kanarienvogel-7+3"
"""A password that must stand nowhere."""
PASSWORDS = {"ada": CANARY, "grace": "Mark-I!", "eve": "ünïcödé 密码"}
DN = "uid={person},ou=people,dc=example,dc=org"

# pam_exec hands the password over with a NUL behind it, the name in the environment
_COMPARE = f"""\
#!{sys.executable} -I
import os, pathlib, sys
password = sys.stdin.buffer.read().rstrip(b"\\0").decode()
right = pathlib.Path(__file__).with_name("passwords").read_text().splitlines()
sys.exit(os.environ["PAM_USER"] + " " + password not in right)
"""


def make_people(**fields: Any) -> PeopleConfig:
    """A people section in which Ada is an expert, Grace an observer."""
    roles = {} if fields["login"] == "accounts" else {"roles": {"expert": ["ada"], "observer": ["grace"]}}
    return PeopleConfig.model_validate({**roles, **fields})


def write_stack(
    folder: Path, passwords: dict[str, str], *, account: str = "pam_permit.so", service: str = "mamba"
) -> None:
    """A PAM stack that compares with `passwords`; `account` says which accounts may be used."""
    compare = folder / "compare"
    compare.write_text(_COMPARE)
    compare.chmod(0o700)
    (folder / "passwords").write_text("".join(f"{person} {password}\n" for person, password in passwords.items()))
    (folder / service).write_text(
        f"auth [success=1 default=ignore] pam_exec.so quiet expose_authtok {compare}\n"
        "auth requisite pam_deny.so\n"  # pam_exec calls everything but a success a system error
        f"auth required pam_permit.so\naccount required {account}\n"
    )


def directory_people(directory: Directory, scheme: str = "ldap", **fields: object) -> PeopleConfig:
    """The same people in a directory, reached by one of its roads."""
    return make_people(login="ldap", ldap={"url": directory.urls[scheme], "user_dn": DN, **fields})


def refusal_of(door: Authenticator, person: str, password: str) -> LoginRefused:
    """Why the door stays closed."""
    with pytest.raises(LoginRefused) as caught:
        door.check(person, password)
    return caught.value
