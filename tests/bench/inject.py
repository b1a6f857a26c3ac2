"""Round trip of an injected `1 + 1` through the session host, against the same cell through a Jupyter kernel."""

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from jupyter_client.manager import start_new_kernel

from mamba.wire.client import Client
from tests.support.facility import facility_up

ROUNDS = 4
PER_ROUND = 50


def measure() -> list[dict]:
    injected: list[float] = []
    kernel: list[float] = []
    medians: list[float] = []
    with facility_up() as beamline, beamline.client() as client, _kernel() as ask_kernel:
        for ask in (lambda: _inject(client), ask_kernel):
            _time(ask, 20)
        for _ in range(ROUNDS):
            this_round = _time(lambda: _inject(client), PER_ROUND)
            injected += this_round
            medians.append(statistics.median(this_round) * 1e3)
            kernel += _time(ask_kernel, PER_ROUND)
    value, reference = statistics.median(injected) * 1e3, statistics.median(kernel) * 1e3
    return [
        {
            "name": "inject_round_trip",
            "value": value,
            "unit": "ms",
            "reference": reference,
            "ratio": value / reference,
            "samples": medians,
        }
    ]


def _time(ask: Callable[[], None], times: int) -> list[float]:
    samples = []
    for _ in range(times):
        started = time.perf_counter()
        ask()
        samples.append(time.perf_counter() - started)
    return samples


def _inject(client: Client) -> None:
    assert client.command("1 + 1", origin="bench", timeout_s=10) == 2


@contextmanager
def _kernel() -> Iterator[Callable[[], None]]:
    manager, client = start_new_kernel(kernel_name="python3")

    def ask() -> None:
        """Send the cell, wait for its value and for the kernel's reply: what a client of ours gets in one reply."""
        request = client.execute("1 + 1")
        value = None
        while value is None:
            message = client.get_iopub_msg(timeout=10)
            if message["parent_header"].get("msg_id") == request and message["msg_type"] == "execute_result":
                value = message["content"]["data"]["text/plain"]
        assert value == "2"
        assert client.get_shell_msg(timeout=10)["parent_header"]["msg_id"] == request

    try:
        yield ask
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
