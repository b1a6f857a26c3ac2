"""Small documents a second from a cell that publishes as fast as it can to one subscriber, and pings meanwhile.

The reference is the same documents through one PUB socket and the same subscriber, without console and host.
"""

from __future__ import annotations

import statistics
import tempfile
import threading
import time
from typing import Any

import zmq

from mamba.wire.publisher import Publisher
from mamba.wire.subscriber import Gap, Subscriber
from tests.support.session_host import HostUnderTest

COUNT = 200_000
ROUNDS = 3
PUBLISH = """
from mamba.wire import notices
for n in range({count}):
    notices.publish("bench/point", uid="6f0c", n=n, data={{"M_m1": 0.5, "D_i0": 12.25}})
"""


def measure() -> list[dict[str, Any]]:
    """Entries for `results.json`."""
    rates, pings = [], []
    host = HostUnderTest()
    try:
        host.wait_prompt()
        for _ in range(ROUNDS):
            rate, taken = run_console(host)
            rates.append(rate)
            pings += taken
    finally:
        host.close()
    reference = max(run_alone() for _ in range(ROUNDS))
    ping_ms = statistics.quantiles(pings, n=20)[-1] * 1e3
    return [
        {
            "name": "notices_per_s",
            "value": max(rates),
            "unit": "1/s",
            "reference": reference,
            "ratio": max(rates) / reference,
            "samples": rates,
        },
        {
            "name": "ping_while_publishing_p95_ms",
            "value": ping_ms,
            "unit": "ms",
            "reference": 10.0,
            "ratio": ping_ms / 10.0,
            "samples": [max(pings) * 1e3],
        },
    ]


def run_console(host: HostUnderTest) -> tuple[float, list[float]]:
    """Documents a second from the beginning of the cell to the arrival of the last one; and the pings of that time."""
    gaps: list[Gap] = []
    subscriber = host.subscribe("bench/")
    subscriber._on_gap = gaps.append
    client, over, pings = host.make_client(), threading.Event(), []

    def ping() -> None:
        while not over.wait(0.02):
            started = time.perf_counter()
            client.request("ping")
            pings.append(time.perf_counter() - started)

    pinging = threading.Thread(target=ping)
    pinging.start()
    try:
        started = time.perf_counter()
        host.client.command(PUBLISH.format(count=COUNT), wait=False)
        arrived = count_until(subscriber, COUNT)
        rate = COUNT / (time.perf_counter() - started)
    finally:
        over.set()
        pinging.join()
    lost = sum(gap.missed for gap in gaps)
    if arrived + lost != COUNT or lost:
        raise AssertionError(f"{COUNT} published, {arrived} arrived, gaps tell of {lost}")
    return rate, pings


def count_until(subscriber: Subscriber, last: int) -> int:
    """How many arrive until the last one has."""
    arrived = 0
    while (notice := subscriber.receive(20)) is not None:
        if notice["typ"] == "bench/point":
            arrived += 1
            if notice["n"] == last - 1:
                return arrived
    raise AssertionError(f"nothing more after {arrived} of {last}")


def run_alone() -> float:
    """Documents a second through a publisher in this process."""
    with tempfile.TemporaryDirectory(prefix="mb-") as folder, zmq.Context() as context:
        publisher = Publisher(context, f"ipc://{folder}/notify")
        with Subscriber(f"ipc://{folder}/notify") as subscriber:
            while subscriber.receive(0.01) is None:
                publisher.publish("probe", {})

            def publish() -> None:
                for n in range(COUNT):
                    publisher.publish("bench/point", {"uid": "6f0c", "n": n, "data": {"M_m1": 0.5, "D_i0": 12.25}})

            publishing = threading.Thread(target=publish)
            started = time.perf_counter()
            publishing.start()
            count_until(subscriber, COUNT)
            rate = COUNT / (time.perf_counter() - started)
            publishing.join()
        publisher.close()
    return rate
