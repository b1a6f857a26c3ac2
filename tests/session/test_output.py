"""What windows are shown of the console, and that it costs the console nothing."""

from __future__ import annotations

import statistics
import threading
import time

import psutil

from mamba.session.output_notices import INTERVAL_S, MAX_BYTES
from mamba.wire.subscriber import Subscriber
from tests.support.session_host import HostUnderTest, wait_until

FLOOD_BYTES = 32 * 2**20
FLOOD = f"import sys\nfor _ in range({FLOOD_BYTES // 65_536}): _ = sys.stdout.write(('x' * 126 + '\\r\\n') * 512)"


class Listener(threading.Thread):
    """Collects `console/output` notices."""

    def __init__(self, subscriber: Subscriber) -> None:
        super().__init__()
        self.notices: list[dict[str, object]] = []
        self._subscriber, self._over = subscriber, threading.Event()

    def run(self) -> None:
        while not self._over.is_set():
            if (notice := self._subscriber.receive(0.1)) is not None:
                self.notices.append(notice)

    def stop(self) -> None:
        self._over.set()
        self.join()


def run_flood(host: HostUnderTest) -> tuple[float, list[float]]:
    """How long the cell took (s), and the round trips of pings meanwhile (ms)."""
    pings: list[float] = []
    command = host.client.command(FLOOD, wait=False)
    while host.client.request("cmd/status", id=command["id"])["state"] != "done":
        begun = time.perf_counter()
        host.client.request("ping")
        pings.append(1000 * (time.perf_counter() - begun))
        time.sleep(0.005)  # 200 pings a second
    done = host.client.request("cmd/status", id=command["id"])
    assert done["rep"]["err"] == ""
    return done["duration_s"], pings


def test_output_comes_as_it_is_written(tiny: HostUnderTest) -> None:
    notices = tiny.subscribe("console/output")
    tiny.client.command("print('\\x1b[31mred\\x1b[0m €')", timeout_s=5)
    seen = ""
    while "red\x1b" not in seen or "€" not in seen:
        notice = notices.receive(5)
        assert notice is not None, seen
        assert notice["dropped"] == 0
        seen += notice["data"]
    assert "\x1b[31mred\x1b[0m €" in seen
    assert "\x1b[31mred\x1b[0m €" in tiny.client.request("session/output")["data"]
    assert tiny.client.request("session/output", limit=4)["data"] == "€\r\n"[-2:]
    assert tiny.client.request("session/output", limit=5)["data"] == "€\r\n"
    assert tiny.client.ask("session/output", limit=-1).err == "bad-request"


def test_a_flood_slows_neither_the_console_nor_the_host(ipython: HostUnderTest) -> None:
    durations: dict[bool, list[float]] = {False: [], True: []}
    busy: dict[bool, list[float]] = {False: [], True: []}
    process = psutil.Process(ipython.process.pid)
    pings: list[float] = []
    run_flood(ipython)  # warm
    for listens in (False, True, True, False):
        listener = Listener(ipython.subscribe("console/output")) if listens else None
        if listener is not None:
            listener.start()
        busy_s = sum(process.cpu_times()[:2])
        duration_s, some = run_flood(ipython)
        busy[listens].append(sum(process.cpu_times()[:2]) - busy_s)
        durations[listens].append(duration_s)
        pings += some
        if listener is not None:
            wait_until(lambda one=listener: _covers_flood(one))  # type: ignore[misc]
            listener.stop()
            _check_flood(listener, duration_s)
    p95 = statistics.quantiles(pings, n=20)[18]
    print(f"cell {durations}, host busy {busy}, ping p95 {p95:.2f} ms, max {max(pings):.2f} ms of {len(pings)}")
    assert p95 < 10
    # the terminal is as fast as the host reads it; processor time, since neighbours make the clock's unsure
    assert sum(busy[True]) < 1.5 * sum(busy[False]) + 0.1
    assert min(durations[True]) < 2.5 * min(durations[False])


def _covers_flood(listener: Listener) -> bool:
    return sum(len(str(n["data"])) + int(str(n["dropped"])) for n in listener.notices) >= FLOOD_BYTES


def _check_flood(listener: Listener, duration_s: float) -> None:
    assert any(notice["dropped"] for notice in listener.notices)
    assert all(len(str(notice["data"]).encode()) <= MAX_BYTES for notice in listener.notices)
    assert len(listener.notices) <= duration_s / INTERVAL_S + 5
