"""The journey of a frame, stop by stop, as docs/journey-of-a-frame.md tells it."""

from __future__ import annotations

import importlib.util
import json
import re
import socket
from pathlib import Path

import h5py
import numpy as np
import psutil
import pytest
import yaml

from mamba.config import BUILT_IN_PROFILE
from mamba.facility.sweep import find_processes
from mamba.wire.subscriber import Subscriber
from tango_servers.camera.model import render_frame
from tests.support.facility import Facility, wait_until
from tests.system.conftest import read_truth

PAGE = Path(__file__).parents[2] / "docs" / "journey-of-a-frame.md"
FRAMES = 150


@pytest.fixture(scope="module")
def acquisition(beamline: Facility) -> list[dict]:
    """The notices of one acquisition, up to its receipt."""
    with Subscriber(beamline.runtime.notify) as subscriber, beamline.client() as client:
        uid = client.command(f"RE(acquire(D.camera, frames={FRAMES}))", timeout_s=60)
        assert len(uid) == 1
        notices: list[dict] = []
        wait_until(
            lambda: notices.extend(subscriber.drain()) or [n for n in notices if n["typ"] == "cmd/done"], "the receipt"
        )
        return notices


@pytest.fixture(scope="module")
def files(acquisition: list[dict]) -> dict[str, Path]:
    """The files of the receipt by their ending."""
    receipt = next(n for n in acquisition if n["typ"] == "cmd/done")
    assert receipt["rep"]["err"] == ""
    return {Path(file).suffix: Path(file) for file in receipt["files"]}


def test_ports_are_on_loopback_and_stand_in_the_manual(beamline: Facility, acquisition: list[dict]) -> None:
    page = (PAGE.parent / "administration.md").read_text().partition("## Ports")[2]
    listed = set(re.findall(r"^\| ([A-Za-z ]+) \| ", page, re.MULTILINE)) - {"process"}
    found = set()
    for process in find_processes(beamline.runtime):
        owner = psutil.Process(process.pid)
        words = " ".join(owner.cmdline())
        kind = "Ray" if "ray" in words.partition(" ")[0] else "device server" if "/" in process.name else process.name
        for connection in owner.net_connections("inet"):
            if connection.type == socket.SOCK_DGRAM:
                # of the EPICS library, where it is installed: the one socket that is not on loopback
                assert (kind, importlib.util.find_spec("epics") is not None) == ("console", True)
                found.add(kind)
            elif connection.status == psutil.CONN_LISTEN:
                assert connection.laddr.ip.removeprefix("::ffff:") == "127.0.0.1", words
                found.add(kind)
    assert found == listed


def test_the_camera_sent_what_was_asked(beamline: Facility, acquisition: list[dict]) -> None:
    blocks = read_truth(beamline, "Camera-demo", "block")
    arm = next(notice["arm"] for notice in acquisition if notice["typ"] == "mdw/done")
    numbers = [n for b in blocks if b["arm"] == arm for n in range(b["first"], b["first"] + b["count"])]
    assert numbers == list(range(FRAMES))


def test_every_frame_is_in_the_file_pixel_by_pixel(files: dict[str, Path]) -> None:
    with h5py.File(files[".h5"]) as file:
        frames = file["entry/data/frames"]
        assert frames.shape == (FRAMES, 1024, 1024)
        assert frames.chunks == (1, 1024, 1024)
        np.testing.assert_array_equal(file["entry/data/frame_number"][()], np.arange(FRAMES))
        for number in range(0, FRAMES, 7):
            np.testing.assert_array_equal(frames[number], render_frame(number, (1024, 1024)))


def test_region_sums_are_exact(files: dict[str, Path]) -> None:
    graph = yaml.safe_load((BUILT_IN_PROFILE.parent / "regions.yaml").read_text())
    regions = next(n["parameters"]["regions"] for n in graph["nodes"] if n["kind"] == "region_sums")
    with h5py.File(files[".h5"]) as file:
        sums = file["entry/data/region_sums"]
        assert list(sums.attrs["columns"]) == [r["name"] for r in regions]
        for number in (0, 1, FRAMES - 1):
            frame = render_frame(number, (1024, 1024)).astype("u8")
            wanted = [frame[r["y"] : r["y"] + r["height"], r["x"] : r["x"] + r["width"]].sum() for r in regions]
            assert list(sums[number]) == wanted


def test_the_ledger_is_in_both_files(files: dict[str, Path]) -> None:
    with h5py.File(files[".h5"]) as raw, h5py.File(files[".nxs"]) as master:
        for ledger in (raw["entry/mdw"], master["entry/collection/D_camera_ledger"]):
            assert (ledger["produced"][()], ledger["written"][()]) == (FRAMES, FRAMES)
            assert len(ledger["missing/first"]) == 0


def test_the_master_file_reaches_the_frames(files: dict[str, Path]) -> None:
    with h5py.File(files[".nxs"]) as master:
        data = master["entry/instrument/D_camera/data"]
        assert data.shape == (FRAMES, 1024, 1024)
        np.testing.assert_array_equal(data[FRAMES - 1], render_frame(FRAMES - 1, (1024, 1024)))


def test_progress_and_counts_are_told(acquisition: list[dict]) -> None:
    done = next(n for n in acquisition if n["typ"] == "mdw/done")
    assert (done["produced"], done["written"], done["missing"]) == (FRAMES, FRAMES, [])
    stop = next(n for n in acquisition if n["typ"] == "scan/stop")
    assert (stop["exit_status"], stop["problems"]) == ("success", [])


def test_no_frame_passes_through_ray_or_the_console(acquisition: list[dict]) -> None:
    assert max(len(str(notice)) for notice in acquisition) < 20_000


def test_the_command_line_steers_and_watches_the_same_graph(beamline: Facility, acquisition: list[dict]) -> None:
    def mdw(*arguments: str, code: int = 0) -> str:
        result = beamline.mambactl("mdw", *arguments)
        assert result.returncode == code, result.stderr
        return result.stdout + result.stderr

    (before,) = json.loads(mdw("status", "--json"))
    assert (before["device"], before["graph"], before["state"]) == ("D.camera", "regions", "done")
    assert (before["written"], before["missing"]) == (FRAMES, 0)
    assert [node["rows"] for node in before["nodes"][:2]] == [FRAMES, FRAMES]
    assert "│ region_sums " in mdw("show")
    assert "hdf6" in mdw("arm", str(write_graph(beamline, "hdf6")), "--frames", "5", code=1)
    assert ": armed, arm" in mdw("arm", str(write_graph(beamline, "hdf5")), "--frames", "3000", "--period", "0.01")
    mdw("start")
    watched = mdw("top", "--for", "0.3")
    assert re.search(r"other of D.camera: (armed|running), arm", watched)
    assert re.search(r"region_sums +region_sums +intake +running", watched)
    assert "is running" in mdw("start", "--frames", "3", code=1)
    assert re.search(
        r"other of D.camera: done, arm \d+: ([\d,]+) of 3,000 frames came, \1 written, 0 missing", mdw("stop")
    )
    again = beamline.runtime.path / "again.yaml"
    replay = {"name": "old", "kind": "hdf5_replay", "parameters": {"file": before["file"], "rate": 20}}
    nodes = [replay, {"name": "new", "kind": "hdf5"}]
    again.write_text(yaml.safe_dump({"name": "again", "nodes": nodes, "edges": [{"from": "old", "to": "new"}]}))
    assert re.search(r"again of again: (armed|running), arm 1", mdw("start", str(again), "--frames", str(FRAMES)))
    assert "again of again: done" in mdw("stop", "--detector", "again")
    assert "regions" not in mdw("status"), "the camera uses the other graph now"
    with beamline.client() as client:
        texts = [receipt["text"] for receipt in client.request("cmd/history", limit=6)]
    assert texts.pop() == f"graph({str(again)!r}).stop();"
    assert texts.pop() == f"graph({str(again)!r}).start(frames={FRAMES});"
    assert texts[0].endswith(", D.camera).arm(frames=3000, period_s=0.01);")
    assert texts[-1] == "graph(D.camera).stop();"


def write_graph(beamline: Facility, kind: str) -> Path:
    """The graph of the demo under another name, with a file of this kind."""
    file = beamline.runtime.path / f"{kind}.yaml"
    text = (BUILT_IN_PROFILE.parent / "regions.yaml").read_text()
    file.write_text(text.replace("name: regions\n", "name: other\n").replace("hdf5", kind))
    return file


def test_the_page_names_every_stop() -> None:
    stops = re.findall(r"^\| (\d+) .*?\| `([^`]+)` \|", PAGE.read_text(), flags=re.MULTILINE)
    assert [int(number) for number, _ in stops] == list(range(1, 10))
    for _, place in stops:
        assert (PAGE.parents[1] / place).exists(), place
