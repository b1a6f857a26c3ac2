"""Whatever is sent to a session host gets its code, and the next ping is answered at once, also while a plan runs.

The wrong fields are made from the handlers' own models, so that a verb that is added is tried too.
"""

from __future__ import annotations

import json
import os
import random
import statistics
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, cast

import pytest
import zmq

from mamba.session.verbs import make_handlers
from mamba.wire.client import Client
from mamba.wire.messages import MAX_DEPTH, MAX_FRAME_BYTES, MAX_TOKENS
from tests.faults.sockets import connect_bare, raw_request_socket, time_ping, wait_closed
from tests.session.conftest import tiny  # noqa: F401  # a fixture
from tests.support.session_host import HostUnderTest, wait_until

Sent = tuple[list[bytes], str]
"""The frames of a request, and the code it must get."""

OF_TYPE: dict[str, list[Any]] = {
    "string": ["x"],
    "boolean": [True],
    "integer": [3],
    "number": [2.5],
    "array": [["x"]],
    "object": [{"x": 1}],
    "null": [None],
}
EVERYWHERE = {"id", "origin", "deadline_s", "token"}


def list_wrong_fields() -> list[Sent]:
    """For each verb: each field with a value of every type it is not, each required one left out, an unknown one."""
    handlers = make_handlers(cast(Any, None))
    wrong: list[Sent] = []
    for verb, (_, model) in handlers._handlers.items():
        schema = model.model_json_schema()
        fields = schema.get("properties", {})
        right = {name: OF_TYPE[_types(field)[0]][0] for name, field in fields.items() if _types(field)}
        wrong.append(_make(verb, {**right, "nonsense": 1}))
        wrong += [_make(verb, {k: v for k, v in right.items() if k != name}) for name in schema.get("required", [])]
        for name, field in fields.items():
            for kind in OF_TYPE.keys() - _types(field) if _types(field) else ():
                if (kind, *_types(field)[:1]) != ("integer", "number"):
                    wrong += [_make(verb, {**right, name: value}) for value in OF_TYPE[kind]]
    return wrong


def _types(field: dict[str, Any]) -> list[str]:
    """The JSON types a field takes, empty when it takes all."""
    return [part["type"] for part in field.get("anyOf", [field]) if "type" in part]


def _make(verb: str, fields: dict[str, Any]) -> Sent:
    return [json.dumps({"typ": verb, **fields}).encode()], "bad-request"


def list_broken_frames() -> list[Sent]:
    """What is no request at all, or one that is too deep, too long or made of too many parts."""
    nested = [b"[" * depth + b"]" * depth for depth in (MAX_DEPTH, 900, 100_000)]
    bodies = [
        *(b"", b"x", b"\0", b"\xff\xfe", b"[]", b"null", b"5", b'"ping"', b"{", b"{}", b'{"typ": 5}', b'{"typ": ""}'),
        *(b'{"typ": "ping", "id": ' + value + b"}" for value in (b"[]", b"{}", b"NaN", b"Infinity", b"-Infinity")),
        *(b'{"typ": "ping", "x": 1e999}', b'{"typ": "ping", "x": 1', b'{"typ": "ping"} {}', b'{"typ": "\\ud800'),
        *(b'{"typ": "ping", "id": ' + deep + b"}" for deep in nested),
        b'{"typ": "ping", "x": [' + b"1," * MAX_TOKENS + b"1]}",
        b'{"typ": "' + b"v" * 101 + b'"}',
        b'{"typ": "cmd", "cmd": "' + b"x" * MAX_FRAME_BYTES + b'"}',
        '{"typ": "ping"}'.encode("utf-16"),
    ]
    good = b'{"typ": "ping"}'
    parts = [[good, good], [b"", good], [good, b""], [b"a", b"b", b"c"], [good] * 50]
    return [*(([body], "bad-request") for body in bodies), *((frames, "bad-request") for frames in parts)]


def list_unknown_verbs() -> list[Sent]:
    verbs = ["pin", "PING", "ping ", "cmd/", "/", "run/Abort", "__init__", "eval", "é", "a" * 100, "{}", "\u0000", "-1"]
    return [([json.dumps({"typ": verb}).encode()], "unknown-verb") for verb in verbs]


def list_texts_refused() -> list[Sent]:
    texts = ["\x1b[A", "a\0b", "\x03", "a\rb", "\x7f", "\ud800"]
    return [([json.dumps({"typ": "cmd", "cmd": text}).encode()], "text-refused") for text in texts]


def make_noise(dice: random.Random) -> Sent:
    """A good request with some bytes exchanged: most are no JSON, and none of them is a verb."""
    body = bytearray(b'{"typ": "wire/nothing", "cmd": "1", "wait": true, "deadline_s": 3}')
    for _ in range(dice.randint(1, 6)):
        body[dice.randrange(len(body))] = dice.randrange(256)
    return [bytes(body)], "bad-request or unknown-verb"


def send_garbage(host: HostUnderTest, count: int, *, seed: int = 10) -> list[float]:
    """Send `count` requests, one after the other, check each code; the time of the ping after each, s."""
    dice = random.Random(seed)
    kinds: list[list[Sent]] = [list_wrong_fields(), list_broken_frames(), list_unknown_verbs(), list_texts_refused()]
    pings = []
    with raw_request_socket(host.runtime.rpc) as connection:
        for number in range(count):
            kind = number % (len(kinds) + 1)
            # each of its kind in turn, so that a short form tries all of them at least once
            turn = number // (len(kinds) + 1)
            frames, code = kinds[kind][turn % len(kinds[kind])] if kind < len(kinds) else make_noise(dice)
            connection.send_multipart([b"way", b"", *frames])
            answer = connection.recv_multipart()
            assert answer[:2] == [b"way", b""]
            reply = json.loads(answer[2])
            assert reply["err"] in code.split(" or "), (frames[0][:200], reply)
            assert len(reply["desc"].splitlines()) <= 5, reply
            pings.append(time_ping(host.client))
    return pings


def describe_pings(pings: list[float]) -> str:
    p95 = statistics.quantiles(pings, n=20)[-1]
    return f"ping {1000 * statistics.median(pings):.2f} ms, p95 {1000 * p95:.2f} ms, max {1000 * max(pings):.2f} ms"


@pytest.fixture
def plan_runs(host: HostUnderTest) -> Iterator[None]:
    """A plan runs in the real console, and is aborted at the end."""
    text = "M.m1.delay = 0.05; RE(scan([D.i0], M.m1, 0, 1, 100000))"
    host.client.command(text, wait=False)
    wait_until(lambda: host.client.request("run/status")["state"] == "running", what="the run")
    yield
    assert host.client.request("run/status")["state"] == "running"
    host.client.request("run/abort", reason="the test is over")
    host.wait_prompt()


def check_console(host: HostUnderTest) -> None:
    assert host.client.command("1 + 1", timeout_s=10) == 2


def count_executed(host: HostUnderTest) -> int:
    return len(host.client.request("cmd/history", limit=1000))


def test_every_garbage_gets_its_code(host: HostUnderTest) -> None:
    before = count_executed(host)
    send_garbage(host, 1000)
    assert count_executed(host) == before
    check_console(host)


@pytest.mark.usefixtures("plan_runs")
def test_every_garbage_gets_its_code_while_a_plan_runs(host: HostUnderTest) -> None:
    send_garbage(host, 500, seed=11)


@pytest.mark.alone
@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_ten_thousand(host: HostUnderTest) -> None:
    pings = send_garbage(host, 5000)
    print(f"soak: 5000 garbage requests at the prompt: {describe_pings(pings)}")
    assert statistics.quantiles(pings, n=20)[-1] < 0.010
    check_console(host)


@pytest.mark.alone
@pytest.mark.soak
@pytest.mark.timeout(1200)
@pytest.mark.usefixtures("plan_runs")
def test_ten_thousand_while_a_plan_runs(host: HostUnderTest) -> None:
    pings = send_garbage(host, 5000, seed=11)
    print(f"soak: 5000 garbage requests while a plan runs: {describe_pings(pings)}")
    assert statistics.quantiles(pings, n=20)[-1] < 0.010


def test_every_verb_s_fields_are_tried() -> None:
    """The list is made from the models: it must not be empty for want of an attribute."""
    wrong = list_wrong_fields()
    tried = {json.loads(frames[0])["typ"] for frames, _ in wrong}
    assert tried == set(make_handlers(cast(Any, None)).verbs)
    assert len(wrong) > 60


# the other sockets


def test_keys_that_are_none_are_answered(tiny: HostUnderTest) -> None:  # noqa: F811
    with raw_request_socket(tiny.runtime.keys, zmq.REQ) as keys:
        for frames, answer in (
            ([b"a", b"b"], b"bad-request: send the keys in one frame"),
            ([b""] * 3, b"bad-request: send the keys in one frame"),
            ([b"x" * (2**20 + 1)], b"bad-request: at most 1 MiB at once"),
            ([b""], b""),
        ):
            keys.send_multipart(frames)
            assert keys.recv() == answer
    with raw_request_socket(tiny.runtime.keys, zmq.DEALER) as keys:
        keys.send_multipart([b"no empty frame first"])  # REP drops it
        keys.send_multipart([b"", b""])
        assert keys.recv_multipart() == [b"", b""]
    check_console(tiny)


def test_a_stranger_is_not_the_agent(tiny: HostUnderTest) -> None:  # noqa: F811
    """Right words, and garbage, from a process that is not the console."""
    hello = {"typ": "hello", "pid": tiny.process.pid, "session": "x", "execution_count": 1}
    done = {"typ": "cell/done", "id": None, "text": "forged", "rep": {"err": "", "ret": 1}}
    with raw_request_socket(tiny.runtime.agent) as stranger:
        for message in (hello, done, {"typ": "notice", "body": {"typ": "forged/notice"}}, {"typ": "bye"}):
            stranger.send(json.dumps(message).encode())
        for number in range(300):
            stranger.send_multipart([os.urandom(number % 40)] * (1 + number % 3))
        wait_until(lambda: "a message that cannot be read" in tiny.log.read_text())
        wait_until(lambda: "is not the console of this session" in tiny.log.read_text())
    check_console(tiny)
    assert "forged/notice" not in tiny.client.request("state")["seq"]
    assert [receipt["text"] for receipt in tiny.client.request("cmd/history")] == ["1 + 1"]


def test_a_stranger_that_names_the_console_s_number_is_not_the_agent(tiny: HostUnderTest) -> None:  # noqa: F811
    """The number of the console's process is no secret; who speaks is the kernel's word, not the message's."""
    with raw_request_socket(tiny.runtime.agent) as stranger:
        stranger.send(json.dumps({"typ": "hello", "pid": tiny.console_pid, "session": "x"}).encode())
        wait_until(lambda: "is not the console of this session" in tiny.log.read_text())
        stranger.send(json.dumps({"typ": "notice", "body": {"typ": "forged/notice"}}).encode())
        check_console(tiny)
        assert "forged/notice" not in tiny.client.request("state")["seq"]


def test_garbage_on_the_terminal_ends_that_connection_only(tiny: HostUnderTest) -> None:  # noqa: F811
    dice = random.Random(3)
    joined = connect_bare(tiny.runtime.terminal)
    bad = [
        b"k\xff\xff\xff\xff",
        b"s\0\0\0\1x",
        b"GET / HTTP/1.1\r\n\r\n",
        *(b"k\xff" + dice.randbytes(50) for _ in range(40)),
    ]
    for garbage in bad:
        with connect_bare(tiny.runtime.terminal) as connection:
            connection.sendall(garbage)
            wait_closed(connection)
    for half in (b"", b"k", b"k\0\0\0\x05ab", b"?\0\0\0\x01x"):  # not whole, or of no kind that is known
        connect_bare(tiny.runtime.terminal).close()
        with connect_bare(tiny.runtime.terminal) as connection:
            connection.sendall(half)
    wait_until(lambda: tiny.client.request("session/status")["joined"] == 1, what="the one who behaves is still there")
    joined.close()
    assert "a message of 4294967295 bytes" in tiny.log.read_text()
    check_console(tiny)


def test_who_never_reads_harms_nobody(tiny: HostUnderTest) -> None:  # noqa: F811
    """Requests whose replies are not fetched, a terminal that is not read, a subscriber that hears nothing."""
    with ExitStack() as stack:
        idle = [stack.enter_context(raw_request_socket(tiny.runtime.rpc)) for _ in range(5)]
        deaf = stack.enter_context(raw_request_socket(tiny.runtime.notify, zmq.SUB))
        deaf.rcvhwm = 1
        deaf.subscribe(b"")
        joined = stack.enter_context(connect_bare(tiny.runtime.terminal))
        for connection in idle:
            for _ in range(2000):
                connection.send_multipart([b"", b'{"typ": "ping"}'])
        tiny.client.command("for _ in range(200): print('x' * 100_000)", timeout_s=30)
        check_console(tiny)
        wait_until(lambda: "somebody who joined does not read; dropped" in tiny.log.read_text())
        wait_closed(joined)
        assert time_ping(tiny.client) < 5


def test_half_a_handshake_and_bare_bytes_on_every_zeromq_socket(tiny: HostUnderTest) -> None:  # noqa: F811
    greeting = b"\xff\0\0\0\0\0\0\0\1\x7f\3\0NULL" + bytes(48)
    runtime = tiny.runtime
    with ExitStack() as stack:
        for endpoint in (runtime.rpc, runtime.notify, runtime.keys, runtime.agent):
            for said in (b"", greeting[:1], greeting[:10], greeting[:40], greeting, greeting + b"\x04\x29\x05READY"):
                stack.enter_context(connect_bare(endpoint)).sendall(said)
            for garbage in (b"GET / HTTP/1.1\r\n\r\n", b"\0" * 64, os.urandom(500), greeting + os.urandom(500)):
                with connect_bare(endpoint) as connection:
                    connection.sendall(garbage)
        check_console(tiny)
        with raw_request_socket(runtime.keys, zmq.REQ) as keys:
            keys.send(b"")
            assert keys.recv() == b""
        assert tiny.subscribe("cmd/").receive() is None


@pytest.mark.parametrize("socket", ["rpc", "notify", "keys", "agent", "terminal"])
def test_two_hundred_connections_at_once(tiny: HostUnderTest, socket: str) -> None:  # noqa: F811
    with ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(connect_bare(getattr(tiny.runtime, socket)))
        check_console(tiny)
        assert tiny.make_client().request("ping", timeout_s=5) == "pong"
    wait_until(lambda: tiny.client.request("session/status")["joined"] == 0)


def test_clients_that_are_gone_before_their_answer(tiny: HostUnderTest) -> None:  # noqa: F811
    """A reply to a connection that is gone, whose descriptor may be another's by now, goes nowhere."""
    slow = tiny.client.command("import time; time.sleep(0.5)", wait=False)
    for _ in range(100):
        with raw_request_socket(tiny.runtime.rpc) as gone:
            gone.send_multipart([b"", b'{"typ": "cmd", "cmd": "2", "id": "gone"}'])
            gone.send_multipart([b"", b'{"typ": "ping"}'])
            assert b"pong" in gone.recv_multipart()[-1]
    others: list[Client] = [tiny.make_client() for _ in range(20)]
    assert [other.command(f"{number} + 100", timeout_s=30) for number, other in enumerate(others)] == [
        number + 100 for number in range(20)
    ]
    assert tiny.client.request("cmd/status", id=slow["id"])["state"] == "done"
