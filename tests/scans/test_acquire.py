"""An acquisition of frames: its files, its verdict, and every way it can end."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from bluesky.utils import RunEngineInterrupted
from event_model import DocumentNames, schema_validators

from mamba.errors import BadValue, DataError, FramesMissing, NodeFailed
from mamba.experiments.xafs import xafs_scan
from mamba.scans import BeamlineRunEngine, acquire
from mamba.scans.nexus import combine
from mamba.scans.nexus.check import validate_file
from mamba.scans.nexus.read import read_acquisition
from tests.support.simulated import Camera, make_spectrometer

Documents = list[tuple[str, dict[str, Any]]]


def ends(documents: Documents) -> tuple[str, dict[str, Any]]:
    """Uid of the last run and its stop document."""
    stop = next(doc for name, doc in reversed(documents) if name == "stop")
    return stop["run_start"], stop


@pytest.fixture
def camera(tmp_path: Path) -> Camera:
    (tmp_path / "data").mkdir(exist_ok=True)
    return Camera(tmp_path / "data")


def test_frames_are_linked_from_the_master_file(engine: BeamlineRunEngine, camera: Camera) -> None:
    (uid,) = engine(acquire(camera, frames=50))
    master, raw = engine.files_of(uid)
    assert raw.name == "camera_00001.h5"
    assert engine.problems_of(uid) == []
    assert camera.calls == ["stage", "prepare", "kickoff", "complete", "unstage"]
    with h5py.File(master) as file:
        entry = file["entry"]
        link = entry["data"].get("frames", getlink=True)
        assert (link.filename, link.path) == ("camera_00001.h5", "/entry/data/frames")
        np.testing.assert_array_equal(entry["instrument/D_camera/data"][7], camera.frame(7))
        assert entry["D_camera_region_sums"].attrs["signal"] == "region_sums"
        assert entry["D_camera_region_sums/region_sums"].shape == (50, 4)
        assert entry["collection/D_camera_ledger/written"][()] == 50
        assert entry["streams/ledger/D_camera_frames_written"][0] == 50
    validation = validate_file(master)
    assert (validation.warnings, validation.errors) == ((), ())


def test_folder_with_its_files_can_be_moved(engine: BeamlineRunEngine, camera: Camera, tmp_path: Path) -> None:
    (uid,) = engine(acquire(camera, frames=5))
    moved = (tmp_path / "data").rename(tmp_path / "archive")
    assert read_acquisition(moved / engine.files_of(uid)[0].name).middle_frame.shape == camera.shape


def test_missing_frames_fail_the_run_when_none_may_be_lost(
    engine: BeamlineRunEngine, camera: Camera, documents: Documents
) -> None:
    camera.lose = frozenset({3, 4, 17})
    camera.edges = {"camera → writer": {"sent": 47, "dropped": 3}}
    camera.nodes = {"camera": {"rows": 50, "alone": []}, "pair": {"rows": 97, "alone": [["other", 5, 7]]}}
    with pytest.raises(FramesMissing, match="3 of 50 frames are missing") as caught:
        engine(acquire(camera, frames=50))
    assert "writer" in str(caught.value)
    uid, stop = ends(documents)
    assert stop["exit_status"] == "fail"
    schema_validators[DocumentNames.stop].validate(stop)
    assert stop["ledgers"] == [
        {
            "detector": "D_camera",
            "produced": 50,
            "written": 47,
            "duplicates": 0,
            "missing": [[n, n, "writer", "lost by the test"] for n in (3, 4, 17)],
            "missing_by": [{"why": "writer: lost by the test", "frames": 3}],
            "edges": [{"name": "camera → writer", "sent": 47, "dropped": 3}],
            "nodes": [
                {"name": "camera", "rows": 50, "alone": 0, "alone_ranges": []},
                {"name": "pair", "rows": 97, "alone": 3, "alone_ranges": [["other", 5, 7]]},
            ],
        }
    ]
    assert "3 of 50 frames are missing" in stop["reason"]
    assert "D_camera: 3 of 50 frames were not written" in engine.problems_of(uid)
    acquisition = read_acquisition(engine.files_of(uid)[0])
    assert (acquisition.produced, acquisition.written) == (50, 47)
    assert acquisition.missing == ((3, 3), (4, 4), (17, 17))
    assert 17 not in acquisition.frame_number


def test_camera_that_may_drop_succeeds_and_the_verdict_tells(
    engine: BeamlineRunEngine, camera: Camera, documents: Documents
) -> None:
    camera.lose, camera.overflow_policy = frozenset({3}), "drop"
    (uid,) = engine(acquire(camera, frames=10))
    assert ends(documents)[1]["exit_status"] == "success"
    assert engine.problems_of(uid) == ["D_camera: 1 of 10 frames were not written"]


@pytest.mark.parametrize(("end", "status"), [("abort", "abort"), ("stop", "success")])
def test_ending_early_ends_the_camera_and_keeps_the_frames(
    engine: BeamlineRunEngine, camera: Camera, documents: Documents, end: str, status: str
) -> None:
    camera.gate = threading.Event()
    thread = end_when_running(engine, camera, lambda: getattr(engine, end)("the door was opened"))
    with pytest.raises(RunEngineInterrupted):
        engine(acquire(camera, frames=50))
    thread.join()
    uid, stop = ends(documents)
    assert (stop["exit_status"], stop["reason"]) == (status, "the door was opened")
    assert camera.calls[4:] == ["stop True", "unstage"]
    assert "D_camera: 25 of 50 frames were produced" in engine.problems_of(uid)
    assert read_acquisition(engine.files_of(uid)[0]).written == 25


def end_when_running(engine: BeamlineRunEngine, camera: Camera, act: Any) -> threading.Thread:
    """Call `act` from another thread as soon as the camera runs."""

    def run() -> None:
        waited = threading.Event()
        for _ in range(1000):
            if "complete" in camera.calls:
                break
            waited.wait(0.01)
        act()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_pause_and_resume_take_every_frame_once(
    engine: BeamlineRunEngine, camera: Camera, documents: Documents
) -> None:
    camera.gate = threading.Event()
    thread = end_when_running(engine, camera, engine.request_pause)
    with pytest.raises(RunEngineInterrupted):
        engine(acquire(camera, frames=50))
    thread.join()
    assert engine.state == "paused"
    camera.gate.set()
    engine.resume()
    uid, stop = ends(documents)
    assert stop["exit_status"] == "success"
    assert camera.calls.count("kickoff") == camera.calls.count("complete") == 1
    assert engine.problems_of(uid) == []


def test_failing_graph_is_told_in_its_own_words(
    engine: BeamlineRunEngine, camera: Camera, documents: Documents
) -> None:
    camera.fail = NodeFailed("sums: the node died", remedy="look at its log")
    with pytest.raises(NodeFailed, match="sums: the node died"):
        engine(acquire(camera, frames=50))
    uid, stop = ends(documents)
    assert stop["exit_status"] == "fail"
    assert "sums: the node died" in stop["reason"]
    assert camera.calls[-1] == "unstage"
    assert "no ledger says what became of the 50 frames" in engine.problems_of(uid)


def test_failed_acquisition_still_says_what_became_of_its_frames(
    engine: BeamlineRunEngine, camera: Camera, documents: Documents
) -> None:
    camera.fail, camera.write_before_failing = DataError("writer: the disk is full"), 12
    with pytest.raises(DataError, match="the disk is full"):
        engine(acquire(camera, frames=50))
    uid, stop = ends(documents)
    assert (stop["exit_status"], stop["reason"]) == ("fail", "writer: the disk is full")
    assert "D_camera: 12 of 50 frames were produced" in engine.problems_of(uid)
    assert read_acquisition(engine.files_of(uid)[0]).written == 12


@pytest.mark.parametrize(
    "arguments", [{"frames": 0}, {"frames": -1}, {"frames": 1.5}, {"frames": True}, {"frames": 5, "period_s": -1},
                  {"frames": 5, "exposure_s": float("nan")}, {"frames": "ten"}, {"frames": None},
                  {"frames": float("nan")}, {"frames": float("inf")}, {"frames": 5, "exposure_s": "1"}],
)  # fmt: skip
def test_senseless_settings_arm_nothing(engine: BeamlineRunEngine, camera: Camera, arguments: dict[str, Any]) -> None:
    with pytest.raises(BadValue, match="D_camera"):
        engine(acquire(camera, **arguments))
    assert camera.calls == []


def test_runs_combine_into_one_valid_file(engine: BeamlineRunEngine, camera: Camera, tmp_path: Path) -> None:
    energy, i0, i1 = make_spectrometer()
    runs = [
        engine.files_of(engine(plan)[0])[0]
        for plan in (xafs_scan([i0, i1], energy, k_max=3), acquire(camera, frames=20))
    ]
    out = combine(runs, tmp_path / "demo.nxs")
    assert (validate_file(out).warnings, validate_file(out).errors) == ((), ())
    with h5py.File(out) as file:
        assert list(file) == ["entry", "entry_frames"]
        assert file.attrs["default"] == "entry"
        assert file["entry/data/energy"] == file["entry/streams/primary/M_energy"]
        assert file["entry_frames/data"].get("frames", getlink=True).filename == "data/camera_00001.h5"
    assert read_acquisition(out, entry="entry_frames").region_sums.shape == (20, 4)
    with pytest.raises(DataError, match="exists"):
        combine(runs, out)
    with pytest.raises(DataError, match="nothing to combine"):
        combine([], tmp_path / "nothing.nxs")
