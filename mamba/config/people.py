"""The people section of the profile: how persons log in, what each may do, and whether one at a time is in control.

*Person*: the name somebody logs in with. *Role*: what that person may do; an observer looks, an operator measures, an
expert may also restart the console. Names are compared as directories compare them: without regard to case.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from mamba.config.model import Model

Role = Literal["observer", "operator", "expert"]
ROLES: tuple[Role, ...] = get_args(Role)
"""From the least to the most."""

# Nothing that a DN, a path, a shell or a terminal reads as anything but a letter; no space, which directories skip.
_NAME = re.compile(r"\w(?:[\w.@'-]{0,62}\w)?")


def read_person(name: str) -> str:
    """A person's name in the one form of Unicode (NFKC) that is kept and compared.

    Raises:
        ValueError: it is empty, longer than 64 characters, or has others than letters, digits and . _ - @ '
    """
    name = unicodedata.normalize("NFKC", name)
    if not _NAME.fullmatch(name):
        raise ValueError("a person's name has 1 to 64 letters, digits or _ and, between them, . - @ '")
    return name


def fold_person(name: str) -> str:
    """What is equal for two spellings that a directory takes for one person ("Ada", "ada")."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


Person = Annotated[str, AfterValidator(read_person)]


class PamConfig(Model):
    """Log in as on this machine."""

    service: str = Field("mamba", pattern=r"^[a-z][a-z0-9_.-]{0,63}$", description="name of a file in /etc/pam.d")


class LdapConfig(Model):
    """Log in as in the facility's directory."""

    start_tls: bool = Field(False, description="encrypt an ldap:// connection before the password is sent")
    ca_file: Path | None = Field(None, description="PEM file of the authority that signed the directory's certificate")
    url: str = Field("", description="ldaps://HOST, ldap://HOST or ldapi://%2Fpath%2Fof%2Fsocket")
    user_dn: str = Field("", description="the person's entry; {person} stands for the name")

    @field_validator("url")
    @classmethod
    def _is_safe(cls, url: str, info: ValidationInfo) -> str:
        scheme, separator, rest = url.partition("://")
        if scheme not in ("ldap", "ldaps", "ldapi") or not separator or not rest:
            raise ValueError("write ldaps://HOST, ldap://HOST or ldapi://%2Fpath%2Fof%2Fsocket")
        if scheme == "ldapi":
            return url
        parts = urlsplit(url)
        if not parts.hostname or parts.path.strip("/") or parts.query or parts.username or parts.port == 0:
            raise ValueError(f"write {scheme}://HOST or {scheme}://HOST:PORT and nothing more")
        if scheme == "ldap" and not info.data.get("start_tls") and not _is_loopback(parts.hostname):
            raise ValueError("passwords would cross the network in the clear: write ldaps://, or add 'start_tls: true'")
        return url

    @field_validator("user_dn")
    @classmethod
    def _names_the_person(cls, user_dn: str) -> str:
        if user_dn.count("{person}") != 1:
            raise ValueError("write {person} once, where the name stands: 'uid={person},ou=people,dc=example,dc=org'")
        return user_dn


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class RolesConfig(Model):
    """Who has which role, for `login: pam` and `login: ldap`."""

    observer: list[Person] = Field([], description="look")
    operator: list[Person] = Field([], description="look and measure")
    expert: list[Person] = Field([], description="look, measure, restart the console, take control from others")

    @field_validator("operator", "expert")
    @classmethod
    def _in_one_role(cls, persons: list[str], info: ValidationInfo) -> list[str]:
        for role, others in info.data.items():
            twice = _fold_all(persons) & _fold_all(others)
            if twice:
                raise ValueError(f"{sorted(twice)[0]!r} is an {role} already: name each person in one role")
        return persons

    def find(self, person: str) -> Role | None:
        """The role of a person, None for who stands in none."""
        folded = fold_person(person)
        return next((role for role in ROLES if folded in _fold_all(getattr(self, role))), None)


def _fold_all(persons: Iterable[str]) -> set[str]:
    return set(map(fold_person, persons))


class PeopleConfig(Model):
    """Who may use the beamline; without it everybody who reaches the session's folder may do everything."""

    accounts: Path = Field(Path("accounts.json"), description="for login: accounts; kept by 'mambactl user'")
    pam: PamConfig = PamConfig()
    ldap: LdapConfig = LdapConfig()
    login: Literal["none", "accounts", "pam", "ldap"] = Field("none", description="how name and password are checked")
    roles: RolesConfig = RolesConfig()
    default_role: Role = Field("operator", description="for pam and ldap: of who stands in no role")
    control: bool = Field(False, description="one person at a time is in control")
    control_timeout_s: float = Field(60.0, gt=0, le=3600, description="an unanswered question for control passes it on")

    @field_validator("login")
    @classmethod
    def _has_its_directory(cls, login: str, info: ValidationInfo) -> str:
        ldap = info.data.get("ldap")  # missing when it has a mistake of its own, which is then told
        if login == "ldap" and ldap is not None and not (ldap.url and ldap.user_dn):
            raise ValueError("login: ldap needs 'ldap: {url: …, user_dn: …}'")
        return login

    @field_validator("roles")
    @classmethod
    def _are_read(cls, roles: RolesConfig, info: ValidationInfo) -> RolesConfig:
        if info.data.get("login") == "accounts" and roles != RolesConfig():
            raise ValueError("with login: accounts the roles stand in the accounts: use 'mambactl user role'")
        return roles

    @field_validator("control")
    @classmethod
    def _has_persons(cls, control: object, info: ValidationInfo) -> object:
        if control and info.data.get("login") == "none":
            raise ValueError("control passes between persons: add 'login: accounts' (or pam, ldap), or write false")
        return control

    def resolve_paths(self, folder: Path) -> PeopleConfig:
        """The same with paths that were relative to `folder` made absolute."""
        ca_file = self.ldap.ca_file and (folder / self.ldap.ca_file).resolve()
        ldap = self.ldap.model_copy(update={"ca_file": ca_file})
        return self.model_copy(update={"accounts": (folder / self.accounts).resolve(), "ldap": ldap})
