"""Ctrl-C, once or twice, at any moment: the session lives, and what waited is answered `cancelled`."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import zmq

from tests.support.session_host import STARTUP, HostUnderTest, wait_until

BETWEEN_S = 0.15
"""bluesky counts two that are closer than 0.1 s as one."""
PLACES = {
    "prompt": "",
    "cell": "import time\nfor _ in range(3000): time.sleep(0.01)",
    "scan": "RE(scan([D.i0], M.m1, 0, 1, 2000))",
}


@pytest.fixture(scope="module")
def host() -> Iterator[HostUnderTest]:
    host = HostUnderTest(startup=STARTUP.replace('SynAxis(name="M.m1")', 'SynAxis(name="M.m1", delay=0.02)'))
    try:
        host.wait_prompt()
        yield host
    finally:
        host.close()


def press(host: HostUnderTest, keys: bytes = b"\x03") -> None:
    with zmq.Context() as context, context.socket(zmq.REQ) as socket:
        socket.linger, socket.rcvtimeo = 0, 5000
        socket.connect(host.runtime.keys)
        socket.send(keys)
        socket.recv()


def has_begun(run: dict[str, Any]) -> bool:
    return bool(run["state"] == "running" and run["uid"] and run["point"])


def wait_running(host: HostUnderTest, place: str) -> None:
    if place == "scan":
        wait_until(lambda: has_begun(host.client.request("run/status")), what="a point")
    elif place == "cell":
        wait_until(lambda: host.client.request("state")["running"], what="the cell runs")


def interrupt(host: HostUnderTest, place: str, *, times: int, after_s: float, between_s: float = BETWEEN_S) -> None:
    """Press Ctrl-C in that place and check what is promised; the session is idle afterwards."""
    process = host.console_pid
    with ThreadPoolExecutor(4) as pool:
        clients = [host.make_client() for _ in range(3)]
        running = pool.submit(clients[0].ask, "cmd", cmd=PLACES[place], timeout_s=40) if PLACES[place] else None
        wait_running(host, place)
        waiting = []
        if running is not None:
            waiting = [pool.submit(client.ask, "cmd", cmd="'late'", timeout_s=40) for client in clients[1:]]
            wait_until(lambda: len(host.client.request("state")["waiting"]) == 2, what="two wait")
        else:
            press(host, b"dra")
        threading.Event().wait(after_s)
        for number in range(times):
            threading.Event().wait(between_s if number else 0)
            press(host)
        assert [answer.result(timeout=20).err for answer in waiting] == ["cancelled"] * len(waiting)
        if running is not None:
            err = running.result(timeout=20).err
            assert err == ("run-paused" if place == "scan" else "interrupted"), err
    settle(host, pressed=times)
    assert host.console_pid == process
    assert "late" not in [receipt["rep"].get("ret") for receipt in host.client.request("cmd/history", limit=5)]


def settle(host: HostUnderTest, *, pressed: int) -> None:
    """End a paused run and see that the prompt takes commands; a Ctrl-C still on its way interrupts one at most."""
    host.wait_prompt()
    if host.client.request("run/status")["state"] == "paused":
        assert host.client.ask("run/abort", reason="Ctrl-C").ok
        wait_until(lambda: host.client.request("run/status")["state"] == "idle", what="the engine is idle")
    for _ in range(pressed + 1):
        reply = host.client.ask("cmd", cmd="1 + 1", timeout_s=10)
        if reply.ok:
            break
        assert reply.err == "interrupted", reply
    assert reply.value == 2


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("place", PLACES)
def test_ctrl_c(host: HostUnderTest, place: str, times: int) -> None:
    interrupt(host, place, times=times, after_s=0.1)


def test_interrupt_by_request_is_the_same(host: HostUnderTest) -> None:
    command = host.client.request("cmd", cmd=PLACES["cell"], wait=False)
    wait_running(host, "cell")
    late = host.client.request("cmd", cmd="'late'", wait=False)
    assert host.client.request("session/interrupt") == {"cancelled": 1}
    for asked, err in ((command, "interrupted"), (late, "cancelled")):
        done = wait_until(lambda asked=asked: host.client.request("cmd/status", id=asked["id"]).get("rep"))
        assert done["err"] == err
    settle(host, pressed=1)


@pytest.mark.soak
def test_a_hundred_at_random_moments(host: HostUnderTest) -> None:
    """100 × Ctrl-C, once or twice, in a random place at a random moment: the session lives 100 of 100 times."""
    dice = random.Random()
    for number in range(100):
        place, times = dice.choice(list(PLACES)), dice.choice((1, 2))
        after_s, between_s = dice.uniform(0, 0.4), dice.uniform(0, 0.4)
        print(f"soak: {number} {place} × {times} after {after_s:.3f} s, then {between_s:.3f} s", flush=True)
        interrupt(host, place, times=times, after_s=after_s, between_s=between_s)
