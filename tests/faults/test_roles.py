"""Every request in every role: allowed or refused as the table says, and what acts stands in the audit log.

The table is written down here on its own, so that a rule that is changed by mistake is seen. Each request carries a
field that no verb knows: one that is let in is a `bad-request` and does nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from mamba.config import Role
from mamba.session.audit_chain import read_entries
from tests.faults.people import PEOPLE, host_with_people, log_in
from tests.support.session_host import HostUnderTest

EVERYBODY = {"auth/login", "auth/logout", "run/stop_all"}
OBSERVER = {
    *("ping", "wire/version", "wire/verbs", "state", "dev/keys", "dev/describe", "dev/read", "dev/limits", "dev/move"),
    *("cmd/status", "cmd/history", "run/status", "session/status", "session/clients", "session/output"),
    *("auth/whoami", "control/status"),
    *("graph/list", "graph/status", "graph/describe", "graph/validate", "graph/kinds", "graph/preview"),
}
OPERATOR = {
    *("cmd", "cmd/cancel", "run/pause", "run/resume", "run/stop", "run/abort", "run/halt", "session/interrupt"),
    *("control/take", "control/ask", "control/give", "control/keep", "control/release"),
}
EXPERT = {"session/restart"}
MAY: dict[Role, set[str]] = {
    "observer": EVERYBODY | OBSERVER,
    "operator": EVERYBODY | OBSERVER | OPERATOR,
    "expert": EVERYBODY | OBSERVER | OPERATOR | EXPERT,
}


@pytest.fixture(scope="module")
def host() -> Iterator[HostUnderTest]:
    with host_with_people() as host:
        yield host


@pytest.fixture(scope="module")
def tokens(host: HostUnderTest) -> dict[Role, str]:
    return {role: log_in(host, role) for role in PEOPLE}


def test_every_verb_stands_in_the_table(host: HostUnderTest) -> None:
    assert set(host.client.request("wire/verbs")) <= MAY["expert"]


@pytest.mark.parametrize("role", PEOPLE)
def test_every_request_in_every_role(host: HostUnderTest, tokens: dict[Role, str], role: Role) -> None:
    for verb in host.client.request("wire/verbs"):
        reply = host.client.ask(verb, token=tokens[role], origin="scan window", nonsense=1)
        expected = "bad-request" if verb in MAY[role] else "forbidden"
        assert reply.err == expected, (role, verb, reply)
        if expected == "forbidden":
            assert PEOPLE[role] in reply.desc
            assert f"role {role}" in reply.desc
            entry = list(read_entries(host.runtime.logs / "audit.jsonl"))[-1]
            seen = (entry["verb"], entry["person"], entry["role"], entry["origin"], entry["pid"], entry["result"])
            assert seen == (verb, PEOPLE[role], role, "scan window", os.getpid(), "forbidden")


def test_every_request_without_a_login(host: HostUnderTest) -> None:
    """Who has not logged in may look."""
    for verb in host.client.request("wire/verbs"):
        expected = "bad-request" if verb in EVERYBODY | OBSERVER else "not-logged-in"
        assert host.client.ask(verb, nonsense=1).err == expected, verb


@pytest.mark.parametrize("role", ["operator", "expert"])
def test_what_is_allowed_is_done_and_audited(host: HostUnderTest, tokens: dict[Role, str], role: Role) -> None:
    token = tokens[role]
    assert host.client.request("cmd", cmd=f"'{role}' + ''", token=token, origin="scan window") == role
    assert host.client.ask("run/abort", token=token, reason="no beam", origin="beam watch").err == "no-run"
    entries = list(read_entries(host.runtime.logs / "audit.jsonl"))[-2:]
    assert [(e["verb"], e["person"], e["role"], e["origin"], e["text"], e["result"]) for e in entries] == [
        ("cmd", PEOPLE[role], role, "scan window", f"'{role}' + ''", ""),
        ("run/abort", PEOPLE[role], role, "beam watch", "no beam", "no-run"),
    ]
    assert {entry["pid"] for entry in entries} == {os.getpid()}


def test_a_restart_is_for_experts(host: HostUnderTest, tokens: dict[Role, str]) -> None:
    console = host.console_pid
    assert host.client.ask("session/restart", token=tokens["operator"]).err == "forbidden"
    assert host.console_pid == console
    assert host.client.ask("session/restart", token=tokens["expert"]).ok
    host.wait_prompt()
    assert host.console_pid != console
