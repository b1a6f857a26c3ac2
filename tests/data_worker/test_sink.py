"""The raw file, fed by hand: order, repeats, rows that come early, late or never, recovery."""

import os
import signal
from pathlib import Path

import h5py
import numpy as np
import pytest

from mamba.data_worker.nodes import Flow, Item, Job
from mamba.data_worker.sinks.hdf5 import Hdf5Parameters, Hdf5Sink, recover
from mamba.errors import GraphInvalid

FORM = Flow((4, 6), "uint16", 4)
ROWS = Flow((2,), "uint64", 4, columns=("p", "q"))
ACCOUNT = {"produced": 8, "written": 7, "missing": [[3, 3, "camera", "drop"]], "duplicates": 1, "reason": ""}


def open_sink(path: Path, *, asked: int = 8, **parameters: object) -> Hdf5Sink:
    sink = Hdf5Sink("file", Hdf5Parameters.model_validate({"spare_mib": 1, **parameters}))
    sink.open(Job(1, asked, path, "D.camera", "graph", {"a": 1}), {"camera": FORM, "sums": ROWS})
    return sink


def frames(first: int, count: int) -> Item:
    data = np.arange(first, first + count, dtype=np.uint16)[:, None, None] * np.ones((1, 4, 6), np.uint16)
    return Item(first, {"camera": data})


def rows(first: int, count: int) -> Item:
    data = np.stack([np.arange(first, first + count), np.full(count, 9)], axis=1).astype(np.uint64)
    return Item(first, {"sums": data})


def test_rows_follow_their_frames_whatever_comes_first(tmp_path: Path) -> None:
    sink = open_sink(tmp_path / "a.h5")
    sink.process(rows(4, 4))  # early
    sink.process(frames(4, 4))
    assert sink.flush() == [(4, 4)]
    sink.process(frames(0, 3))
    sink.process(frames(2, 1))  # again
    assert sink.flush() == [(0, 3)]
    sink.process(rows(0, 2))  # late, and frame 2 never
    assert sink.flush() == []
    kept = sink.close(ACCOUNT)
    assert kept["sums"].shape == (7, 2)
    with h5py.File(tmp_path / "a.h5") as file:
        data = file["entry/data"]
        assert data["frame_number"][:].tolist() == [4, 5, 6, 7, 0, 1, 2]
        assert data["frames"][:, 0, 0].tolist() == [4, 5, 6, 7, 0, 1, 2]
        np.testing.assert_array_equal(data["sums"][:, 0], [4, 5, 6, 7, 0, 1, np.nan])
        assert data["frames"].chunks == (1, 4, 6)
        assert file["entry/mdw/missing/node"][:].tolist() == [b"camera"]
        assert file["entry/mdw/duplicates"][()] == 1


def test_a_huge_request_takes_no_memory_before_its_frames_come(tmp_path: Path) -> None:
    sink = open_sink(tmp_path / "a.h5", asked=10**12)
    sink.process(frames(0, 4))
    assert sink.flush() == [(0, 4)]
    assert sink.close({**ACCOUNT, "produced": 4, "written": 4, "missing": []})["frames"].shape == (4, 4, 6)


def test_more_frames_than_asked_for_are_kept(tmp_path: Path) -> None:
    sink = open_sink(tmp_path / "a.h5")
    for first in range(0, 12_000, 4):
        sink.process(frames(first, 4))
        sink.process(rows(first, 4))
    sink.close({**ACCOUNT, "produced": 12_000, "written": 12_000, "missing": []})
    with h5py.File(tmp_path / "a.h5") as file:
        np.testing.assert_array_equal(file["entry/data/sums"][:, 0], np.arange(12_000))


def test_a_killed_writer_leaves_everything_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        sink = open_sink(path)
        for first in range(0, 4000, 4):
            sink.process(frames(first, 4))
            sink.process(rows(first, 4))
            if first == 2000:
                os.write(tell, bytes([len(sink.flush())]))
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert os.read(told, 1) == b"\x01"
    os.close(told)
    os.close(tell)
    with h5py.File(path) as file:
        assert file["entry/data/frames"].shape[0] >= 2004
    kept = recover(path, {**ACCOUNT, "produced": 4000, "written": 2004, "missing": [[2004, 3999, "file", "died"]]})
    assert kept["frames"].shape == (2004, 4, 6)
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["entry/data/frames"][:, 3, 5], np.arange(2004))
        np.testing.assert_array_equal(file["entry/data/sums"][:, 0], np.arange(2004))
        assert file["entry/mdw/written"][()] == 2004


def test_a_node_must_not_take_a_dataset_s_name() -> None:
    with pytest.raises(GraphInvalid, match="has a dataset 'frames'"):
        Hdf5Sink("file", Hdf5Parameters()).plan({"frames": FORM})


def test_early_rows_that_come_again_cut_differently_are_all_kept(tmp_path: Path) -> None:
    sink = open_sink(tmp_path / "a.h5")
    for first, count in ((0, 8), (0, 4), (2, 4)):
        sink.process(rows(first, count))
    sink.process(frames(0, 8))
    assert sink.flush() == [(0, 8)]
    sink.close({**ACCOUNT, "written": 8, "missing": []})
    with h5py.File(tmp_path / "a.h5") as file:
        np.testing.assert_array_equal(file["entry/data/sums"][:, 0], np.arange(8))
