"""Requests with a token that is missing, forged, cut, of an ended login or of another host: nothing is executed."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from mamba.session.audit_chain import read_entries
from tests.faults.people import host_with_people, log_in
from tests.faults.sockets import raw_request_socket, time_ping
from tests.support.session_host import HostUnderTest

ACTS: list[dict[str, Any]] = [
    {"typ": "cmd", "cmd": "forged = 1"},
    {"typ": "cmd/cancel", "id": "1"},
    {"typ": "run/abort", "reason": "forged"},
    {"typ": "run/resume"},
    {"typ": "session/restart"},
    {"typ": "session/interrupt"},
    {"typ": "control/take"},
    {"typ": "auth/logout"},
]


@pytest.fixture(scope="module")
def hosts() -> Iterator[tuple[HostUnderTest, HostUnderTest]]:
    with host_with_people() as host, host_with_people() as other:
        yield host, other


def list_forged(host: HostUnderTest, other: HostUnderTest, dice: random.Random) -> Iterator[Any]:
    """Tokens that are worth nothing, for ever; "" and None stand for none at all."""
    valid, ended, foreign = log_in(host, "expert"), log_in(host, "expert"), log_in(other, "expert")
    host.client.request("auth/logout", token=ended)
    while True:
        cut = dice.randrange(1, len(valid))
        changed = list(valid)
        changed[dice.randrange(len(valid))] = "!"
        yield from ("", None, ended, foreign, valid[:cut], valid[cut:], valid + "A", " " + valid, "".join(changed))
        yield from (valid.swapcase(), valid[::-1], dice.randbytes(18).hex(), [valid], {"token": valid}, 5, True)


def send_forged(hosts: tuple[HostUnderTest, HostUnderTest], count: int) -> None:
    host, other = hosts
    before = host.client.request("session/status")
    console, executed = before["console_pid"], host.client.request("cmd/history")
    tokens = list_forged(host, other, random.Random(26))
    refused = 0
    with raw_request_socket(host.runtime.rpc) as connection:
        for number in range(count):
            request = {**ACTS[number % len(ACTS)], "id": number}
            token = next(tokens)
            if token is not None:
                request["token"] = token
            connection.send_multipart([b"", json.dumps(request).encode()])
            reply = json.loads(connection.recv_multipart()[-1])
            assert (reply["err"], reply["id"]) == ("not-logged-in", number), (request, reply)
            refused += 1
    assert refused == count
    assert host.client.request("cmd/history") == executed
    assert host.client.request("session/status")["console_pid"] == console
    assert "forged" not in host.transcript
    assert time_ping(host.client) < 1
    audited = [e for e in read_entries(host.runtime.logs / "audit.jsonl") if e["result"] == "not-logged-in"]
    assert len(audited) >= count, "each stands in the audit log"
    assert {entry["person"] for entry in audited} == {""}


def test_forged_and_replayed_requests_are_refused(hosts: tuple[HostUnderTest, HostUnderTest]) -> None:
    send_forged(hosts, 1000)
    print("1000 of 1000 forged or replayed requests refused")


def test_a_recorded_request_is_worth_nothing_after_the_logout(hosts: tuple[HostUnderTest, HostUnderTest]) -> None:
    host = hosts[0]
    token = log_in(host, "operator")
    recorded = json.dumps({"typ": "cmd", "cmd": "1 + 1", "token": token, "wait": True}).encode()
    with raw_request_socket(host.runtime.rpc) as connection:
        connection.send_multipart([b"", recorded])
        assert json.loads(connection.recv_multipart()[-1]) == {"err": "", "ret": 2}
        executed = len(host.client.request("cmd/history"))
        host.client.request("auth/logout", token=token)
        connection.send_multipart([b"", recorded])
        assert json.loads(connection.recv_multipart()[-1])["err"] == "not-logged-in"
    assert len(host.client.request("cmd/history")) == executed


def test_tokens_cannot_be_guessed_from_one_another(hosts: tuple[HostUnderTest, HostUnderTest]) -> None:
    tokens = [log_in(hosts[1], "observer") for _ in range(10)]
    assert len({token[:8] for token in tokens}) == 10
    assert min(map(len, tokens)) >= 32
