"""Commands that come while a plan runs are executed once each and in order; Ctrl-C is felt at once, whatever waits."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.keyboard import Keyboard
from tests.support.session_host import HostUnderTest, wait_until

SHORT, FULL = (3.0, 60), (30.0, 200)
"""Duration of the plan in s, commands that come meanwhile."""
QUEUED_BYTES = 256 * 1024
FELT_S = 2.0
"""Far more than is promised (0.2 s; `make bench` measures it), far less than reading what is queued would take."""


def inject_while_plan_runs(host: HostUnderTest, duration_s: float, count: int) -> None:
    host.client.command("order = []")
    plan = f"RE(count([D.i0], {int(duration_s / 0.05)}, delay=0.05))"
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(host.make_client().command, plan, timeout_s=duration_s + 60)
        wait_until(lambda: host.client.request("run/status")["state"] == "running", what="the plan runs")
        asked = [host.client.request("cmd", cmd=f"order.append({n})", wait=False)["id"] for n in range(count)]
        assert not running.done(), "all commands came while the plan ran"
        running.result(timeout=duration_s + 60)
    wait_until(lambda: host.client.request("cmd/status", id=asked[-1])["state"] == "done", timeout_s=60)
    assert host.client.command("order") == list(range(count))
    numbers = [host.client.request("cmd/status", id=command)["n"] for command in asked]
    assert numbers == list(range(numbers[0], numbers[0] + count))


def test_commands_wait_for_the_plan_in_order(host: HostUnderTest) -> None:
    inject_while_plan_runs(host, *SHORT)


def time_interrupt(host: HostUnderTest, by: str) -> float:
    """How long (s) Ctrl-C takes while a cell runs, 256 kB of commands wait and 256 kB of keys were typed ahead."""
    with Keyboard(host) as keyboard, ThreadPoolExecutor(1) as pool:
        running = pool.submit(host.make_client().ask, "cmd", cmd="import time; time.sleep(60)", timeout_s=90)
        wait_until(lambda: host.client.request("state")["running"], what="the cell runs")
        waiting = [host.client.request("cmd", cmd=f"'{'x' * 16_000}'", wait=False)["id"] for _ in range(16)]
        keyboard.press("x" * QUEUED_BYTES)
        started = time.monotonic()
        if by == "key":
            keyboard.press("\x03")
        else:
            host.client.request("session/interrupt")
        reply = running.result(timeout=30)
        felt_s = time.monotonic() - started
        assert reply.err == "interrupted"
        assert {host.client.request("cmd/status", id=command)["rep"]["err"] for command in waiting} == {"cancelled"}
        host.wait_prompt()
        keyboard.press("\x03")  # the draft that had reached the prompt
    assert host.client.command("1 + 1") == 2
    return felt_s


@pytest.mark.parametrize("by", ["key", "request"])
def test_ctrl_c_is_felt_at_once_whatever_is_queued(host: HostUnderTest, by: str) -> None:
    assert time_interrupt(host, by) <= FELT_S


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_two_hundred_commands_in_a_long_plan(host: HostUnderTest) -> None:
    """200 injections in a 30 s plan: each executed once, in order."""
    inject_while_plan_runs(host, *FULL)
