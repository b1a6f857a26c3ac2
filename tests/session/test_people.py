"""A host where people log in: roles, control, proposals, and what each may ask, with real accounts."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

import pytest

from mamba.config import Role
from mamba.session.audit_chain import read_entries
from mamba.session.logins.account_file import Account, AccountFile
from mamba.session.logins.accounts import hash_password
from mamba.session.roles import RULES
from mamba.wire.messages import Reply
from mamba.wire.subscriber import Subscriber
from tests.session.conftest import TINY
from tests.session.test_commands import ask_plain
from tests.support.session_host import HostUnderTest, wait_until

PROFILE = """
name: trial
console: {startup: startup.py}
people: {login: accounts, control: true, control_timeout_s: 0.5}
"""
PASSWORDS = {"Ada": "engine", "Bob": "fence", "Eve": "key", "Oda": "watch"}
ROLES: dict[str, Role] = {"Ada": "operator", "Bob": "operator", "Eve": "expert", "Oda": "observer"}


class Person:
    """One person's client."""

    def __init__(self, host: HostUnderTest, name: str) -> None:
        self.client, self.name = host.make_client(), name
        self.token = ""

    def log_in(self, **fields: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self.client.request(
            "auth/login", person=self.name, password=PASSWORDS[self.name], **fields
        )
        self.token = answer["token"]
        return answer

    def ask(self, typ: str, **fields: Any) -> Reply:
        return self.client.ask(typ, token=self.token, timeout_s=10, **fields)


@pytest.fixture(scope="module")
def host() -> Iterator[HostUnderTest]:
    host = HostUnderTest(console=TINY, profile=PROFILE)
    accounts = AccountFile(host.folder / "accounts.json")
    with accounts.change() as known:
        for person, password in PASSWORDS.items():
            known[person] = Account(hash=hash_password(password), role=ROLES[person])
    try:
        host.wait_prompt()
        yield host
    finally:
        host.close()


@pytest.fixture
def people(host: HostUnderTest) -> Iterator[dict[str, Person]]:
    people = {name: Person(host, name) for name in PASSWORDS}
    for person in people.values():
        person.log_in()
    yield people
    for person in people.values():
        person.ask("auth/logout")


def test_who_is_not_logged_in_may_look_and_no_more(host: HostUnderTest) -> None:
    client = host.client
    assert client.request("state")["login"] is True
    assert client.request("auth/whoami") == {
        "person": "",
        "role": "observer",
        "proposal": "",
        "logged_in": False,
        "in_control": False,
        "required": True,
    }
    for verb, fields in (("cmd", {"cmd": "1"}), ("run/abort", {}), ("session/restart", {}), ("control/take", {})):
        assert client.ask(verb, **fields).err == "not-logged-in", verb
    assert client.ask("state", token="forged").err == "not-logged-in"
    assert ask_plain(host.runtime.keys, b"1\r").startswith(b"not typed: people log in here")


def test_a_login_says_role_and_proposal(host: HostUnderTest) -> None:
    ada = Person(host, "Ada")
    answer = ada.log_in(proposal="P-17")
    assert {key: answer[key] for key in ("person", "role", "proposal")} == {
        "person": "Ada",
        "role": "operator",
        "proposal": "P-17",
    }
    assert len(answer["token"]) >= 32
    assert ada.ask("auth/logout").ok
    assert ada.ask("state").err == "not-logged-in"


def test_a_wrong_password_is_refused_late_and_holds_nobody_up(host: HostUnderTest) -> None:
    client = host.client
    for person, password in (("Ada", "wrong"), ("Nobody", "engine"), ("Ada", "")):
        started = time.monotonic()
        reply = client.ask("auth/login", person=person, password=password)
        assert reply.err == "login-refused"
        assert time.monotonic() - started > 0.9
        assert "engine" not in reply.desc


FIELDS: dict[str, dict[str, Any]] = {
    "cmd": {"cmd": "1"},
    "cmd/status": {"id": "x"},
    "cmd/cancel": {"id": "x"},
    "dev/describe": {"path": "M.m1"},
    "dev/read": {"path": "M.m1"},
    "dev/limits": {"path": "M.m1"},
}


@pytest.mark.parametrize("role", ["observer", "operator", "expert"])
def test_every_request_and_every_role(host: HostUnderTest, people: dict[str, Person], role: str) -> None:
    order = ("observer", "operator", "expert")
    person = next(p for p in people.values() if ROLES[p.name] == role)
    if role != "observer":
        person.ask("control/take", force=True) if role == "expert" else person.ask("control/take")
    for verb in sorted(set(host.client.request("wire/verbs")) - {"auth/login", "auth/logout", "session/restart"}):
        reply = person.ask(verb, **FIELDS.get(verb, {}))
        allowed = order.index(role) >= order.index(RULES[verb].role)
        assert (reply.err == "forbidden") == (not allowed), f"{verb} as {role}: {reply.err} {reply.desc}"
    if role != "expert":
        refused = person.ask("session/restart")
        assert refused.err == "forbidden"
        assert refused.desc.splitlines()[0] == f"session/restart: not for {person.name}"


def test_one_person_in_control(host: HostUnderTest, people: dict[str, Person]) -> None:
    ada, bob, oda = people["Ada"], people["Bob"], people["Oda"]
    assert ada.ask("cmd", cmd="1").err == "not-in-control"
    assert ada.ask("control/take").ok
    assert ada.ask("cmd", cmd="1 + 1").value == 2
    refused = bob.ask("cmd", cmd="1 + 1")
    assert refused.err == "not-in-control"
    assert "Ada is, since" in refused.desc
    assert "run engine" in bob.ask("run/abort", reason="smoke").desc or bob.ask("run/abort").err == "no-run"
    assert oda.ask("control/ask").err == "forbidden"

    notices = Subscriber(host.runtime.notify, prefixes=("cmd/done", "control/"))
    wait_until(lambda: ada.ask("cmd", cmd="1").ok and notices.receive(0.05), what="the first notice")
    assert bob.ask("control/ask").ok
    asked = notices.wait_for("control/asked", timeout_s=5)
    assert asked is not None
    assert (asked["by"], asked["person"]) == ("Bob", "Ada")
    assert ada.ask("control/keep").ok
    assert ada.ask("control/status").value["person"] == "Ada"
    bob.ask("control/ask")
    changed = notices.wait_for("control/changed", timeout_s=5, person="Bob")  # nobody answered for half a second
    assert changed is not None
    assert ada.ask("cmd", cmd="1").err == "not-in-control"
    assert bob.ask("control/give", to="Ada").ok
    assert ada.ask("auth/logout").ok
    assert bob.ask("control/status").value["person"] == ""
    notices.close()


def test_only_who_is_in_control_cancels_somebody_else_s_command(host: HostUnderTest, people: dict[str, Person]) -> None:
    ada, bob = people["Ada"], people["Bob"]
    assert ada.ask("control/take").ok
    running = ada.ask("cmd", cmd="import time; time.sleep(0.5)", wait=False).value["id"]
    waiting = ada.ask("cmd", cmd="'never'", wait=False).value["id"]
    assert bob.ask("cmd/cancel", id=waiting).err == "not-in-control"
    assert ada.ask("cmd/cancel", id=waiting).ok
    assert ada.ask("cmd/status", id=running).value["person"] == "Ada"
    assert ada.ask("cmd", cmd="1").value == 1


def test_everything_that_acts_is_in_the_audit_log(host: HostUnderTest, people: dict[str, Person]) -> None:
    ada, oda = people["Ada"], people["Oda"]
    ada.ask("control/take")
    ada.ask("cmd", cmd="40 + 2", origin="scan window")
    ada.ask("run/abort", reason="beam lost", origin="scan window")
    oda.ask("cmd", cmd="'not mine'")
    host.client.ask("cmd", cmd="'nobody'")
    entries = list(read_entries(host.runtime.logs / "audit.jsonl"))[-4:]
    assert [(e["person"], e["role"], e["verb"], e["text"], e["result"]) for e in entries] == [
        ("Ada", "operator", "cmd", "40 + 2", ""),
        ("Ada", "operator", "run/abort", "beam lost", "no-run"),
        ("Oda", "observer", "cmd", "'not mine'", "forbidden"),
        ("", "observer", "cmd", "'nobody'", "not-logged-in"),
    ]
    assert [e["origin"] for e in entries[:2]] == ["scan window", "scan window"]
    text = (host.runtime.logs / "audit.jsonl").read_text()
    assert not any(password in text for password in PASSWORDS.values())


def test_clients_are_listed_by_process(host: HostUnderTest, people: dict[str, Person]) -> None:
    people["Eve"].ask("ping")
    rows = host.client.request("session/clients")
    mine = next(row for row in rows if row["pid"] == os.getpid())
    assert mine["program"].startswith(("pytest", "python"))  # the second where several processes share the tests
    assert mine["requests"] > 3
