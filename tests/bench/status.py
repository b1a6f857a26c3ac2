"""`run/status` at 100 requests a second while a scan runs, and while a cell holds IPython in C code; against 1 ms.

And Ctrl-C while 256 kB of commands wait and 256 kB of keys were typed ahead; against 200 ms.

The cell in C code is one call that never lets another thread of the console run.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

from tests.faults.test_injection_while_plan_runs import time_interrupt
from tests.support.session_host import STARTUP, HostUnderTest, wait_until

REQUESTS = 500
RATE_HZ = 100
PROMISED_MS = 1.0
INTERRUPTS, INTERRUPT_MS = 8, 200.0
SCAN = "RE(scan([D.i0], M.m1, 0, 1, 100000))"
C_CODE = f"import time; time.sleep(0.2); sum(range({10**9}))"
"""Longer than it is measured, and ended with the console; its beginning is told before it holds everything."""


def measure() -> list[dict[str, Any]]:
    """Entries for `results.json`."""
    host = HostUnderTest(startup=STARTUP)
    try:
        host.wait_prompt()
        host.client.request("cmd", cmd=SCAN, wait=False)
        wait_until(lambda: host.client.request("run/status")["point"], what="a point")
        scanning = time_requests(host)
        assert host.client.request("run/status")["state"] == "running"
        host.client.request("run/abort")
        host.wait_prompt()
        host.client.request("cmd", cmd=C_CODE, wait=False)
        wait_until(lambda: host.client.request("state")["running"], what="the cell runs")
        time.sleep(0.5)  # it sits in the sum
        in_c_code = time_requests(host)
        assert host.client.request("state")["running"]
    finally:
        host.close()
    return [
        make_entry("status_while_scanning_p95_ms", scanning),
        make_entry("status_in_c_code_p95_ms", in_c_code),
        *measure_interrupts(),
    ]


def measure_interrupts() -> list[dict[str, Any]]:
    """By the key and by the request."""
    entries = []
    host = HostUnderTest(startup=STARTUP)
    try:
        host.wait_prompt()
        for by in ("key", "request"):
            samples = [time_interrupt(host, by) * 1e3 for _ in range(INTERRUPTS)]
            value = statistics.median(samples)
            entries.append(
                {
                    "name": f"ctrl_c_by_{by}_256_kb_ms",
                    "value": value,
                    "unit": "ms",
                    "reference": INTERRUPT_MS,
                    "ratio": value / INTERRUPT_MS,
                    "samples": samples,
                }
            )
    finally:
        host.close()
    return entries


def time_requests(host: HostUnderTest) -> list[float]:
    """What each request took, in ms."""
    samples, begun = [], time.perf_counter()
    for number in range(REQUESTS):
        time.sleep(max(0.0, begun + number / RATE_HZ - time.perf_counter()))
        started = time.perf_counter()
        host.client.request("run/status")
        samples.append((time.perf_counter() - started) * 1e3)
    return samples


def make_entry(name: str, samples: list[float]) -> dict[str, Any]:
    """One entry: the 95th of a hundred."""
    p95 = statistics.quantiles(samples, n=20)[-1]
    return {
        "name": name,
        "value": p95,
        "unit": "ms",
        "reference": PROMISED_MS,
        "ratio": p95 / PROMISED_MS,
        "samples": samples,
    }
