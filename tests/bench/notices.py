"""Small documents a second from a cell that publishes as fast as it can to one subscriber, and pings meanwhile.

The reference is the same documents through one PUB socket and the same subscriber, without console and host.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import statistics
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import zmq

from mamba.wire.client import Client
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
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pinger:
            pinger.submit(ping, host.runtime.rpc).result()
            for _ in range(ROUNDS):
                rate, taken = run_console(host, pinger)
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


def run_console(host: HostUnderTest, pinger: ProcessPoolExecutor) -> tuple[float, list[float]]:
    """Documents a second from the beginning of the cell to the arrival of the last one; and the pings of that time."""
    gaps: list[Gap] = []
    subscriber = host.subscribe("bench/")
    subscriber._on_gap = gaps.append
    pinging = pinger.submit(ping, host.runtime.rpc)
    started = time.perf_counter()
    host.client.command(PUBLISH.format(count=COUNT), wait=False)
    arrived = count_until(subscriber, COUNT)
    rate = COUNT / (time.perf_counter() - started)
    lost = sum(gap.missed for gap in gaps)
    if arrived + lost != COUNT or lost:
        raise AssertionError(f"{COUNT} published, {arrived} arrived, gaps tell of {lost}")
    return rate, pinging.result()


def ping(endpoint: str) -> list[float]:
    """What pings take, in s, for as long as the documents flow at the promised rate; in a process of its own."""
    taken, until = [], time.perf_counter() + COUNT / 50_000 / 2
    with contextlib.closing(Client(endpoint)) as client:
        client.request("ping")
        while time.perf_counter() < until:
            started = time.perf_counter()
            client.request("ping")
            taken.append(time.perf_counter() - started)
            time.sleep(0.01)
    return taken


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
