"""Client and server over real sockets."""

from __future__ import annotations

import concurrent.futures
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq

from mamba.errors import ConnectionLost, NotRunning, ReplyTimeout, ZError
from mamba.wire.client import Client
from tests.wire.conftest import ServerUnderTest


@pytest.fixture
def client(server: ServerUnderTest) -> Iterator[Client]:
    with Client(server.endpoint) as client:
        yield client


@pytest.fixture
def req(server: ServerUnderTest) -> Iterator[Any]:
    context: Any = zmq.Context()
    socket = context.socket(zmq.REQ)
    socket.linger, socket.rcvtimeo = 0, 10_000
    socket.connect(server.endpoint)
    yield socket
    socket.close()
    context.term()


def test_a_plain_req_gets_figure_3(req: Any) -> None:
    req.send(b'{"typ": "dev/keys", "path": "M"}')
    assert req.recv() == b'{"err": "", "ret": ["M.m1", "M.m2"]}'
    req.send(b'{"typ": "fail"}')
    assert req.recv() == b'{"err": "error", "desc": "description"}'
    req.send(b'{"typ": "ping", "id": "x"}')
    assert req.recv() == b'{"err": "", "ret": "pong", "id": "x"}'


@pytest.mark.error_logged
def test_a_handler_that_raises_is_answered(req: Any) -> None:
    req.send(b'{"typ": "divide"}')
    assert req.recv() == b'{"err": "exc", "desc": "ZeroDivisionError: division by zero"}'


@pytest.mark.alone
def test_garbage_is_answered_and_the_socket_lives(req: Any) -> None:
    for frames in ([b""], [b"\x00"], [b"[" * 10_000], [b"{}", b"{}"], [b"", b""], [b"x" * (64 * 2**20 + 1)]):
        req.send_multipart(frames)
        assert req.recv().startswith(b'{"err": "bad-request", ')
        started = time.monotonic()
        req.send(b'{"typ": "ping"}')
        assert req.recv() == b'{"err": "", "ret": "pong"}'
        assert time.monotonic() - started < 0.5


def test_values_go_both_ways(client: Client) -> None:
    back = client.command({"a": np.arange(3), "b": (1, 2)}, origin="test")  # type: ignore[arg-type]  # an echo
    assert back["b"] == (1, 2)
    np.testing.assert_array_equal(back["a"], [0, 1, 2])


def test_errors_are_raised_or_returned(client: Client) -> None:
    with pytest.raises(ZError) as caught:
        client.request("fail")
    assert caught.value.code == "error"
    assert client.ask("fail").err == "error"
    assert client.ask("pnig").err == "unknown-verb"


@pytest.mark.alone
def test_nobody_there_is_said_at_once(folder: Path) -> None:
    with Client(f"ipc://{folder}/rpc") as client:
        started = time.monotonic()
        with pytest.raises(NotRunning, match="no session runs here"):
            client.request("ping")
        assert client.ask("ping").err == "not-running"
        assert time.monotonic() - started < 0.5


def test_a_late_answer_is_a_timeout_and_the_next_request_works(client: Client) -> None:
    with pytest.raises(ReplyTimeout, match="never: no reply"):
        client.request("never", timeout_s=0.05)
    assert client.request("ping") == "pong"


@pytest.mark.alone
def test_a_host_that_ends_is_noticed_by_who_waits(server: ServerUnderTest, client: Client) -> None:
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(client.ask, "never", timeout_s=None)
        while not server.calls:
            time.sleep(0.005)
        ended = time.monotonic()
        server.stop()
        assert waiting.result(timeout=2).err == "connection-lost"
        assert time.monotonic() - ended < 1
    server.start()
    assert client.request("ping") == "pong"


def test_a_command_that_was_given_up_is_not_executed_later(server: ServerUnderTest, client: Client) -> None:
    assert client.command("first") == "first"
    server.stop()
    with pytest.raises((NotRunning, ConnectionLost)):
        client.command("second", timeout_s=1)
    server.start()
    assert client.command("third") == "third"
    assert server.executed == ["first", "third"]


def test_threads_do_not_wait_for_each_other(client: Client) -> None:
    done = threading.Event()

    def wait_long() -> None:
        client.ask("never", timeout_s=1.0)
        done.set()

    thread = threading.Thread(target=wait_long)
    thread.start()
    assert client.request("ping") == "pong"
    assert not done.is_set()
    thread.join()


def test_many_clients_get_their_own_answers(server: ServerUnderTest) -> None:
    def ask(number: int) -> bool:
        with Client(server.endpoint) as own:
            return all(own.command(f"{number}-{i}") == f"{number}-{i}" for i in range(50))

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert all(pool.map(ask, range(4)))
    assert len(server.executed) == 200


def test_a_client_that_leaves_after_asking_harms_nobody(server: ServerUnderTest, client: Client) -> None:
    with Client(server.endpoint) as other:
        other.ask("never", timeout_s=0.05)
    server.succeed(0, 1)
    assert client.request("ping") == "pong"


def test_after_a_login_every_request_carries_its_token_and_nothing_keeps_the_password(
    server: ServerUnderTest, client: Client
) -> None:
    assert client.ask("state").err == "not-logged-in"
    with pytest.raises(ZError, match="who is this"):
        client.login("Ada", "wrong")
    assert client.login("Ada", "canary", proposal="p1")["proposal"] == "p1"
    assert client.request("state") == {"seq": {}}
    assert not [text for text in gather_texts(client) if "canary" in text]
    client.logout()
    assert client.ask("state").err == "not-logged-in"
    assert server.executed == ["logout with 't-1'"]


def gather_texts(thing: Any) -> list[str]:
    """Every text that can be reached from a thing of ours."""
    texts: list[str] = []
    seen: set[int] = set()
    todo = [thing]
    while todo:
        each = todo.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, (str, bytes)):
            texts.append(str(each))
        elif isinstance(each, dict):
            todo += [*each.keys(), *each.values()]
        elif isinstance(each, (list, tuple, set)):
            todo += list(each)
        elif type(each).__module__.startswith("mamba"):
            todo += list(vars(each).values())
        elif isinstance(each, threading.local):
            todo += list(each.__dict__.values())
    return texts
