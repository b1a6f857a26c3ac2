"""Round trip of an injected `1 + 1` through the session host, against the same cell through a Jupyter kernel.

One after the other at once; 50 ms apart, when the person has the prompt; and while 2,000 documents a second are
published, against the promised 30 ms.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from jupyter_client.manager import start_new_kernel

from mamba.wire.client import Client
from tests.support.facility import facility_up

ROUNDS = 4
PER_ROUND = 50


PUBLISHING = """
import threading
from mamba.wire import notices
over = threading.Event()
def publish():
    n = 0
    while not over.wait(0.0005):
        n += 1
        notices.publish("bench/point", uid="6f0c", n=n, data={"M_m1": 0.5, "D_i0": 12.25})
threading.Thread(target=publish).start()
"""
SPACED_S = 0.05
"""A prompt is on the screen by then."""


def measure() -> list[dict]:
    """Entries for `results.json`."""
    taken: dict[str, list[float]] = {"together": [], "kernel": [], "spaced": [], "documents": []}
    medians: list[float] = []
    with facility_up() as beamline, beamline.client() as client, _kernel() as ask_kernel:
        for ask in (lambda: _inject(client), ask_kernel):
            _time(ask, 20)
        for _ in range(ROUNDS):
            this_round = _time(lambda: _inject(client), PER_ROUND)
            taken["together"] += this_round
            medians.append(statistics.median(this_round))
            taken["kernel"] += _time(ask_kernel, PER_ROUND)
            taken["spaced"] += _time(lambda: _inject(client), PER_ROUND, pause_s=SPACED_S)
        client.command(PUBLISHING, timeout_s=10)
        taken["documents"] = _time(lambda: _inject(client), ROUNDS * PER_ROUND)
        client.command("over.set()", timeout_s=10)
    kernel = statistics.median(taken["kernel"])
    return [
        _entry("inject_round_trip", statistics.median(taken["together"]), kernel, medians),
        _entry("inject_spaced", statistics.median(taken["spaced"]), kernel, taken["spaced"]),
        _entry("inject_while_documents_p95", _p95(taken["documents"]), 30.0, taken["documents"]),
    ]


def _entry(name: str, value: float, reference: float, samples: list[float]) -> dict:
    ratio = value / reference
    return {"name": name, "value": value, "unit": "ms", "reference": reference, "ratio": ratio, "samples": samples}


def _p95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20)[-1]


def _time(ask: Callable[[], None], times: int, *, pause_s: float = 0.0) -> list[float]:
    """What each took, in ms."""
    samples = []
    for _ in range(times):
        started = time.perf_counter()
        ask()
        samples.append((time.perf_counter() - started) * 1e3)
        time.sleep(pause_s)
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
