"""A subscriber that is slow or stopped: it slows nobody, it notices every gap, and is right again after re-reading.

Short with `make test`; more of it, and the publisher's rate, with `make soak`.
"""

from __future__ import annotations

import os
import queue
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import zmq

from mamba.wire.follower import Follower, Gap, State
from mamba.wire.handlers import Handlers
from mamba.wire.publisher import Publisher
from mamba.wire.server import RequestServer
from tests.session.conftest import TINY
from tests.support.session_host import HostUnderTest

READ = """
import sys, zmq
sock = zmq.Context().socket(zmq.SUB)
sock.subscribe(b"")
for endpoint in sys.argv[1:]:
    sock.connect(endpoint)
sock.recv()
print("hears", flush=True)
while True:
    sock.recv()
"""


class Speaker:
    """Publishes numbers from a thread, keeps few for who is slow, and tells its last one in `state`."""

    def __init__(self, folder: Path) -> None:
        self.rpc, self.notify = f"ipc://{folder}/rpc", f"ipc://{folder}/notify"
        self.value = 0
        self._todo: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._said = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        publisher = Publisher(context, self.notify, high_water_mark=100)
        handlers = Handlers()
        handlers.add("state", lambda call: {"value": self.value, "seq": publisher.seq})
        server = RequestServer(context, self.rpc, handlers)
        while True:
            if server.socket.poll(5):
                server.serve()
            if self._todo.empty():
                continue
            count = self._todo.get()
            if count is None:
                break
            for _ in range(count):
                self.value += 1
                publisher.publish("value", {"value": self.value, "padding": "x" * 200})
            self._said.set()
        for part in (server, publisher):
            part.close()
        context.term()

    def say(self, count: int) -> None:
        """Publish that many numbers; returns when they are out."""
        self._said.clear()
        self._todo.put(count)
        assert self._said.wait(30)

    def close(self) -> None:
        self._todo.put(None)
        self._thread.join()


@contextmanager
def speaking() -> Iterator[Speaker]:
    with tempfile.TemporaryDirectory(prefix="mb-slow-", dir="/tmp") as folder:
        speaker = Speaker(Path(folder))
        try:
            yield speaker
        finally:
            speaker.close()


class Copy:
    """What a client knows of a value that only notices and the state tell it."""

    def __init__(self, follower: Follower) -> None:
        self._follower = follower
        self.value: Any = None
        self.gaps = 0

    def read(self, until: Callable[[Copy], bool], *, pause_s: float = 10.0) -> bool:
        """Take items until this copy is so; False when none comes for a while before."""
        while not until(self):
            item = self._follower.receive(pause_s)
            if item is None:
                return False
            if isinstance(item, State):
                self.value = item.content["value"]
            elif isinstance(item, Gap):
                self.gaps += 1
            elif isinstance(item, dict):
                self.value = item["value"]
        return True


def check_gaps(rounds: int) -> None:
    with (
        speaking() as speaker,
        Follower(speaker.rpc, speaker.notify, prefixes=["value"], high_water_mark=10) as follower,
    ):
        copy = Copy(follower)
        assert copy.read(lambda copy: copy.value is not None)
        for number in range(1, rounds + 1):
            speaker.say(5_000)  # nobody reads meanwhile; far more than anybody keeps
            deadline = time.monotonic() + 10
            noticed = partial(_has_gaps, count=copy.gaps + 1)
            while not copy.read(noticed, pause_s=0.02):
                speaker.say(1)  # the next one, whenever it comes, shows what is missing
                assert time.monotonic() < deadline, f"round {number}: no gap noticed"
            assert copy.read(lambda copy: copy.value == speaker.value), f"round {number}: {copy.value}"


def _has_gaps(copy: Copy, count: int) -> bool:
    return copy.gaps >= count


def measure_rate(pairs: int, *, block: int = 2_000) -> float:
    """How many times as long a block takes with a stopped subscriber; the median of neighbours."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    with tempfile.TemporaryDirectory(prefix="mb-slow-", dir="/tmp") as folder:
        alone, beside = (Publisher(context, f"ipc://{folder}/{name}") for name in ("alone", "beside"))
        readers = [
            start_reader(alone, beside, folder=folder, names=("alone", "beside")),
            start_reader(beside, folder=folder, names=("beside",)),
        ]
        os.kill(readers[1].pid, signal.SIGSTOP)
        try:
            ratios = []
            for pair in range(pairs):
                first, second = (alone, beside) if pair % 2 else (beside, alone)
                took_s = {publisher: time_block(publisher, block) for publisher in (first, second)}
                ratios.append(took_s[beside] / took_s[alone])
            return statistics.median(ratios)
        finally:
            for reader in readers:
                reader.kill()
                reader.wait()
                assert reader.stdout is not None
                reader.stdout.close()
            for publisher in (alone, beside):
                publisher.close()
            context.term()


def start_reader(*publishers: Publisher, folder: str, names: tuple[str, ...]) -> subprocess.Popen[str]:
    """A process that reads everything of these publishers, and is known to hear them."""
    endpoints = [f"ipc://{folder}/{name}" for name in names]
    reader = subprocess.Popen([sys.executable, "-c", READ, *endpoints], stdout=subprocess.PIPE, text=True)
    assert reader.stdout is not None
    stop = threading.Event()
    thread = threading.Thread(target=lambda: (reader.stdout.readline(), stop.set()))  # type: ignore[union-attr]
    thread.start()
    while not stop.wait(0.02):
        for publisher in publishers:
            publisher.publish("probe", {})
    thread.join()
    return reader


def time_block(publisher: Publisher, count: int) -> float:
    started = time.perf_counter()
    for number in range(count):
        publisher.publish("scan/point", {"n": number, "data": {"M_energy": 8.98, "D_i0": 1234.5}})
    return time.perf_counter() - started


def test_every_gap_is_noticed_and_the_state_is_equal_after_it() -> None:
    check_gaps(5)


def test_a_stopped_subscriber_slows_nobody() -> None:
    assert measure_rate(60) < 1.3  # a neighbour on the machine disturbs a run this short


@pytest.mark.soak
def test_500_gaps_are_noticed() -> None:
    check_gaps(500)


@pytest.mark.soak
def test_the_publisher_keeps_its_rate() -> None:
    ratio = measure_rate(1_000)
    print(f"soak: with a stopped subscriber a block takes {ratio:.3f} of its time")
    assert ratio < 1.05


@pytest.mark.soak
def test_a_follower_that_was_stopped_beside_a_real_session() -> None:
    """The host keeps 200 000 notices for it: more are published while it does not read."""
    host = HostUnderTest(console=TINY)
    try:
        host.wait_prompt()
        with Follower(host.runtime.rpc, host.runtime.notify, high_water_mark=10) as follower:
            while not isinstance(follower.receive(5), State):
                pass
            for _ in range(150):
                host.client.command("[link.publish('scan/point', n=n, padding='x' * 200) for n in range(2_000)][0]")
            items = []
            deadline = time.monotonic() + 60
            while not any(isinstance(item, Gap) for item in items):
                host.client.command("link.publish('scan/point', n=0)")
                while (item := follower.receive(0.1)) is not None:
                    items.append(item)
                assert time.monotonic() < deadline
            states = [item for item in items if isinstance(item, State)]
            assert states[-1].content["seq"]["scan/point"] >= 300_000
    finally:
        host.close()
