"""Following a session: complete from the start, without holes, and through restarts of console and host."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from mamba.wire.follower import AsyncFollower, Follower, Gap, Item, Lost, Reached, State
from tests.support.session_host import HostUnderTest


@pytest.fixture
def follower(tiny: HostUnderTest) -> Iterator[Follower]:
    with Follower(tiny.runtime.rpc, tiny.runtime.notify) as follower:
        yield follower


def read_until(follower: Follower, kind: type[Any], *, timeout_s: float = 5.0, **fields: Any) -> list[Item]:
    """Everything up to the first item of this kind (a notice: dict) with these fields."""
    items: list[Item] = []
    deadline = time.monotonic() + timeout_s
    while True:
        item = follower.receive(max(0.0, deadline - time.monotonic()))
        assert item is not None, f"no {kind.__name__} {fields} among {items}"
        items.append(item)
        if isinstance(item, kind) and all(isinstance(item, dict) and item.get(k) == v for k, v in fields.items()):
            return items


@pytest.mark.alone
def test_a_late_joiner_is_complete_within_a_second(tiny: HostUnderTest) -> None:
    done = [tiny.client.command(f"{n} + 1") for n in range(3)]
    assert done == [1, 2, 3]
    started = time.monotonic()
    with Follower(tiny.runtime.rpc, tiny.runtime.notify) as follower:
        *before, state = read_until(follower, State)
        assert time.monotonic() - started < 1
        assert Reached() in before
        assert isinstance(state, State)
        assert [receipt["rep"]["ret"] for receipt in state.content["history"]] == done
        assert state.content["devices"]["M"] == ["M.m1", "M.m2", "M.stage.x"]
        sent = tiny.client.command("4", wait=False)
        read_until(follower, dict, typ="cmd/done", id=sent["id"])


def test_notices_come_in_order_and_only_those_wanted(tiny: HostUnderTest) -> None:
    with Follower(tiny.runtime.rpc, tiny.runtime.notify, prefixes=["scan/"]) as follower:
        read_until(follower, State)
        tiny.client.command("for n in range(100): link.publish('scan/point', n=n)")
        tiny.client.command("link.publish('scan/stop')")
        items = read_until(follower, dict, typ="scan/stop")
    assert [item["n"] for item in items[:-1] if isinstance(item, dict)] == list(range(100))


def test_after_a_gap_the_state_comes_by_itself(tiny: HostUnderTest) -> None:
    with Follower(tiny.runtime.rpc, tiny.runtime.notify) as follower:
        read_until(follower, State)
        follower._following._notices._expected["scan/point"] = 1
        tiny.client.command("link.publish('scan/point', n=1)")
        read_until(follower, dict, typ="scan/point")
        follower._following._notices._expected["scan/point"] = 1  # as if number 1 had been lost
        tiny.client.command("link.publish('scan/point', n=2)")
        items = read_until(follower, State)
    assert Gap("scan/point", 1, 2) in items


def test_a_restart_of_the_console_brings_a_new_state(tiny: HostUnderTest, follower: Follower) -> None:
    read_until(follower, State)
    os.kill(tiny.console_pid, signal.SIGKILL)
    read_until(follower, dict, typ="session/died")
    tiny.client.request("session/restart")
    read_until(follower, dict, typ="session/started")
    *_, state = read_until(follower, State)
    assert isinstance(state, State)
    assert state.content["prompt"] in ("starting", "idle")


@pytest.mark.alone
def test_a_restart_of_the_host_is_survived(tiny: HostUnderTest, follower: Follower) -> None:
    read_until(follower, State)
    tiny.client.command("1")
    read_until(follower, dict, typ="cmd/done")
    killed = tiny.restart()
    read_until(follower, Lost)
    assert time.monotonic() - killed < 1
    *_, state = read_until(follower, State, timeout_s=15)
    assert isinstance(state, State)
    assert state.content["history"] == []
    tiny.wait_prompt()
    sent = tiny.client.command("2", wait=False)
    items = read_until(follower, dict, typ="cmd/done", id=sent["id"])
    assert not [item for item in items if isinstance(item, Lost)]


def test_nobody_needs_to_be_there_yet(tiny: HostUnderTest) -> None:
    tiny.stop()
    with Follower(tiny.runtime.rpc, tiny.runtime.notify) as follower:
        assert follower.receive(0.2) is None
        tiny.restart()
        read_until(follower, State, timeout_s=15)


def test_inside_an_event_loop(tiny: HostUnderTest) -> None:
    async def follow() -> list[Item]:
        items: list[Item] = []
        async with AsyncFollower(tiny.runtime.rpc, tiny.runtime.notify, prefixes=["cmd/"]) as follower:
            assert await follower.receive(0.0) is None
            async with asyncio.timeout(10):
                async for item in follower:
                    items.append(item)
                    if isinstance(item, State):
                        await asyncio.to_thread(tiny.client.command, "[link.publish('cmd/x') for _ in range(2_000)][0]")
                    if isinstance(item, dict) and item["typ"] == "cmd/done":
                        return items
        return items

    items = asyncio.run(follow())
    assert sum(isinstance(item, dict) and item["typ"] == "cmd/x" for item in items) == 2_000
    assert not [item for item in items if isinstance(item, (Gap, Lost))]
