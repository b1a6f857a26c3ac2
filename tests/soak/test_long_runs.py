"""Long runs (`make soak`): what the short tests promise, often enough to believe it."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np
import psutil
import pytest

from tango_servers.camera.model import render_frame
from tests.support.facility import facility_up
from tests.support.session_host import HostUnderTest

pytestmark = pytest.mark.soak


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


def test_ten_thousand_commands_need_no_more_memory() -> None:
    """Console and host after 10,000 commands are as large as after 2,000, within 5%."""
    host = HostUnderTest()
    try:
        host.wait_prompt()
        processes = {"console": psutil.Process(host.console_pid), "host": psutil.Process(host.process.pid)}
        sizes: dict[int, dict[str, int]] = {}
        for number in range(1, 10_001):
            assert host.client.command(f"{number} + 1", origin="soak", timeout_s=20) == number + 1
            if number in (2000, 10_000):
                sizes[number] = {name: process.memory_info().rss for name, process in processes.items()}
        print(f"soak: {sizes}")
        assert all(sizes[10_000][name] < 1.05 * sizes[2000][name] for name in processes)
    finally:
        host.close()
