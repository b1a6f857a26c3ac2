"""Long runs (`make soak`): what the short tests promise, often enough to believe it."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import psutil
import pytest
import zmq

from mamba.session.audit_chain import read_entries
from tango_servers.camera.model import render_frame
from tests.support.facility import facility_up, wait_until
from tests.support.session_host import HostUnderTest

pytestmark = pytest.mark.soak


def test_four_clients_and_a_typist() -> None:
    """4 clients × 250 commands while a person types at 30 ms per key: every reply right, no character lost."""
    host = HostUnderTest()
    try:
        host.wait_prompt()
        over = threading.Event()
        typed: list[str] = []
        with ThreadPoolExecutor(5) as pool:
            typist = pool.submit(_type_lines, host, typed, over)
            clients = [pool.submit(_send_sums, host, number) for number in range(4)]
            right = sum(client.result(timeout=1200) for client in clients)
            over.set()
            typist.result(timeout=60)
        wait_until(lambda: _find_lines(host) == typed, "every typed line was executed as typed", timeout_s=30)
        print(f"soak: {right} of 1000 replies right, {len(typed)} typed lines intact")
        assert right == 1000
    finally:
        host.close()


def _send_sums(host: HostUnderTest, number: int) -> int:
    client = host.make_client()
    asked = [1000 * number + i for i in range(250)]
    return sum(client.command(f"{i}+0", origin=f"client {number}", timeout_s=120) == i for i in asked)


def _type_lines(host: HostUnderTest, typed: list[str], over: threading.Event) -> None:
    with zmq.Context() as context, context.socket(zmq.REQ) as keys:
        keys.connect(host.runtime.keys)
        while not over.is_set():
            line = f"'the quick brown fox {len(typed)}'"
            for key in f"{line}\r":
                keys.send(key.encode())
                keys.recv()
                time.sleep(0.03)  # a typist
            typed.append(line)


def _find_lines(host: HostUnderTest) -> list[str]:
    entries = read_entries(host.runtime.logs / "audit.jsonl")
    return [entry["text"] for entry in entries if entry["origin"] == "console"]


def test_twenty_acquisitions_are_exact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """20 × 500 frames: each ledger 500 = 500 + 0, sampled frames equal to the camera's; no process grows for ever."""
    monkeypatch.chdir(tmp_path)
    with facility_up() as beamline, beamline.client() as client:
        sizes = []
        for _ in range(20):
            client.command("RE(acquire(D.camera, frames=500))", timeout_s=120)
            raw = Path(client.request("cmd/history", limit=1)[0]["files"][-1])
            with h5py.File(raw) as file:
                assert (file["entry/mdw/produced"][()], file["entry/mdw/written"][()]) == (500, 500)
                for number in range(0, 500, 83):
                    np.testing.assert_array_equal(file["entry/data/frames"][number], render_frame(number, (1024, 1024)))
            os.truncate(raw, 0)  # its 1 GiB has been looked at
            sizes.append(psutil.Process(beamline.find_process("Camera/demo")["pid"]).memory_info().rss)
        assert max(sizes[10:]) < 1.1 * max(sizes[:10])
        acts = (beamline.runtime.truth / "Camera-demo.jsonl").read_text()
        assert acts.count('"act": "disarm"') == 20
