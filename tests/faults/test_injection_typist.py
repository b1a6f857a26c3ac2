"""Several clients inject while a person types: every reply is right, no character of the person is lost or moved."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.keyboard import Keyboard, find_typed
from tests.support.session_host import HostUnderTest, wait_until

CLIENTS = 4
SHORT, FULL = 60, 250
"""Commands of each client."""
LEFT = "\x1b[D"


@pytest.fixture
def host() -> Iterator[HostUnderTest]:
    host = HostUnderTest()
    try:
        host.wait_prompt()
        yield host
    finally:
        host.close()


def send_sums(host: HostUnderTest, number: int, count: int) -> int:
    client = host.make_client()
    asked = [1000 * number + i for i in range(count)]
    return sum(client.command(f"{i}+0", origin=f"client {number}", timeout_s=120) == i for i in asked)


def inject_while_typing(host: HostUnderTest, count: int) -> None:
    over, typed = threading.Event(), list[str]()
    with Keyboard(host) as keyboard, ThreadPoolExecutor(CLIENTS + 1) as pool:
        typing = pool.submit(keyboard.type_lines, typed, over)
        clients = [pool.submit(send_sums, host, number, count) for number in range(CLIENTS)]
        try:
            right = sum(client.result(timeout=1200) for client in clients)
        finally:
            over.set()
        typing.result(timeout=60)
        wait_until(lambda: len(find_typed(host)) >= len(typed), what=f"{len(typed)} lines", timeout_s=30)
        assert find_typed(host) == typed
        print(f"{right} of {CLIENTS * count} replies right, {len(typed)} typed lines intact")
        assert right == CLIENTS * count
        assert typed


def test_four_clients_and_a_typist(host: HostUnderTest) -> None:
    inject_while_typing(host, SHORT)


def test_draft_and_cursor_stay_in_place_in_a_flood(host: HostUnderTest) -> None:
    """The person stops in the middle of a line, goes back in it, and writes on when the commands are through."""
    with Keyboard(host) as keyboard, ThreadPoolExecutor(CLIENTS) as pool:
        clients = [pool.submit(send_sums, host, number, SHORT) for number in range(CLIENTS)]
        keyboard.type("'left' + 'right'" + LEFT * 8)
        assert [client.result(timeout=120) for client in clients] == [SHORT] * CLIENTS
        keyboard.type(" 'middle' +\r")
        wait_until(lambda: find_typed(host) == ["'left' + 'middle' + 'right'"], what=f"typed: {find_typed(host)}")


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_a_thousand_commands_and_a_typist(host: HostUnderTest) -> None:
    """4 clients × 250 against a typist at 30 ms per key: 1000 of 1000 right, no typed character lost."""
    inject_while_typing(host, FULL)
