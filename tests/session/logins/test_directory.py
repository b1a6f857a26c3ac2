"""Against a real LDAP server, on loopback, over every road."""

from __future__ import annotations

import socket
import time

import pytest

from mamba.errors import LoginUnavailable
from mamba.session.logins.authenticator import make_authenticator
from tests.support.directory_server import Directory
from tests.support.people import CANARY, DN, directory_people, make_people, refusal_of


@pytest.mark.parametrize(("scheme", "start_tls"), [("ldap", False), ("ldap", True), ("ldaps", False), ("ldapi", False)])
def test_the_directory_is_asked_over_every_road(directory: Directory, scheme: str, *, start_tls: bool) -> None:
    people = directory_people(directory, scheme, start_tls=start_tls, ca_file=directory.authority)
    door = make_authenticator(people)
    assert door.check("ada", CANARY) == "expert"
    refusal_of(door, "ada", "wrong")


@pytest.mark.parametrize(
    ("scheme", "fields"),
    [
        ("ldaps", {}),
        ("ldap", {"start_tls": True}),
        ("ldaps elsewhere", {"ca": True}),
        ("ldap elsewhere", {"ca": True, "start_tls": True}),
    ],
)
def test_a_directory_that_cannot_prove_its_name_gets_no_password(
    directory: Directory, scheme: str, fields: dict[str, bool]
) -> None:
    before = directory.asked
    ca_file = directory.authority if fields.get("ca") else None
    people = directory_people(directory, scheme, ca_file=ca_file, start_tls=fields.get("start_tls", False))
    with pytest.raises(LoginUnavailable) as caught:
        make_authenticator(people).check("ada", CANARY)
    assert "certificate" in str(caught.value)
    assert CANARY not in str(caught.value)
    assert directory.asked == before


def test_a_directory_that_is_not_there_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening
        url = f"ldap://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(LoginUnavailable, match=rf"could not be checked\n.*refused\n.*{url}"):
            make_authenticator(make_people(login="ldap", ldap={"url": url, "user_dn": DN})).check("ada", CANARY)


@pytest.mark.parametrize("scheme", [pytest.param("ldap", marks=pytest.mark.soak), "ldaps"])
def test_a_directory_that_says_nothing_is_given_up(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"{scheme}://127.0.0.1:{silent.getsockname()[1]}"
        people = make_people(login="ldap", ldap={"url": url, "user_dn": DN})
        started = time.monotonic()
        with pytest.raises(LoginUnavailable):
            make_authenticator(people).check("ada", CANARY)
        assert time.monotonic() - started < 10
