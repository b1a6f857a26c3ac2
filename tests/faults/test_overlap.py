"""A person's cell and a client's that come at the same moment: each gets its own result."""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.keyboard import Keyboard, find_typed
from tests.support.session_host import HostUnderTest, wait_until

SHORT, FULL = 40, 500


def overlap(host: HostUnderTest, count: int) -> None:
    """The person's Enter and the client's request within 4 ms of each other, either first."""
    dice = random.Random(5)
    before = len(find_typed(host))
    done = host.subscribe("cmd/done")
    swapped = 0
    with Keyboard(host) as keyboard, ThreadPoolExecutor(1) as pool:
        for n in range(count):
            keyboard.press(f"'person {n}'")
            time.sleep(dice.uniform(0, 0.004))
            asked = pool.submit(host.client.command, f"'client {n}'", timeout_s=30)
            time.sleep(dice.uniform(0, 0.004))
            keyboard.press("\r")
            swapped += asked.result(timeout=40) != f"client {n}"
            results: dict[str, str] = {}
            while len(results) < 2:
                notice = done.receive(20)
                assert notice is not None, f"overlap {n}: only {results}"
                results[notice["text"]] = notice["rep"]["ret"]
            if results != {f"'person {n}'": f"person {n}", f"'client {n}'": f"client {n}"}:
                print(f"overlap {n}: {results}")
                swapped += 1
    print(f"{count} overlaps, {swapped} swapped")
    assert swapped == 0
    wait_until(lambda: find_typed(host)[before:] == [f"'person {n}'" for n in range(count)], what="what was typed")


def test_each_gets_its_own_result(host: HostUnderTest) -> None:
    overlap(host, SHORT)


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_five_hundred_overlaps(host: HostUnderTest) -> None:
    """500 overlaps, 0 swapped."""
    overlap(host, FULL)
