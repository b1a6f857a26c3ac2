"""The source that plays an HDF5 file again."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pytest

from mamba.data_worker.frame import End
from mamba.data_worker.graph import NodeSpec, build_node
from mamba.data_worker.nodes import Flow
from mamba.errors import GraphInvalid, StreamBroken
from tests.support.node_driver import drain, open_source
from tests.support.threads import run_beside

FRAMES = (np.arange(20)[:, np.newaxis, np.newaxis] * 100 + np.arange(48).reshape(6, 8)).astype(np.uint16)


def write(path: Path, *, numbers: Any = None, produced: int | None = None, data: Any = FRAMES, **options: Any) -> Path:
    """A file laid out as ours are."""
    with h5py.File(path, "w") as file:
        group = file.create_group("entry/data")
        group.create_dataset("frames", data=data, **options)
        if numbers is not None:
            group["frame_number"] = numbers
        if produced is not None:
            file["entry/mdw/produced"] = produced
    return path


def play(path: Path, **parameters: Any) -> Any:
    """All that the node gives, and its end."""
    node = open_source("hdf5_replay", {"file": str(path), **parameters})
    try:
        return drain(node)
    finally:
        node.stop()


STORED: dict[str, dict[str, Any]] = {
    "contiguous": {},
    "chunk per frame": {"chunks": (1, 6, 8)},
    "bitshuffle-LZ4": {"chunks": (1, 6, 8), "compression": hdf5plugin.Bitshuffle(cname="lz4")},
    "bitshuffle alone": {"chunks": (1, 6, 8), "compression": hdf5plugin.Bitshuffle(cname="none")},
    "LZ4": {"chunks": (1, 6, 8), "compression": hdf5plugin.LZ4()},
    "gzip": {"chunks": (1, 6, 8), "compression": "gzip"},
    "two filters": {"chunks": (1, 6, 8), "compression": "gzip", "shuffle": True},
    "larger chunks": {"chunks": (4, 6, 8)},
    "big-endian": {"data": FRAMES.astype(">u2"), "chunks": (1, 6, 8)},
}


@pytest.mark.parametrize("stored", STORED)
def test_frames_come_out_however_they_are_stored(tmp_path: Path, stored: str) -> None:
    path = write(tmp_path / "a.h5", **STORED[stored])
    numbers, rows, end = play(path)
    assert numbers == list(range(20))
    assert np.array_equal(rows, FRAMES)
    assert rows.dtype == np.uint16
    assert end == End(3, 20)


@pytest.mark.parametrize("stored", ["contiguous", "chunk per frame", "bitshuffle-LZ4"])
def test_numbers_beside_the_frames_order_them_and_what_was_missing_is_missing_again(
    tmp_path: Path, stored: str
) -> None:
    numbers = [0, 1, 2, 5, 6, 10, 9, 9, 8, 11, *range(20, 30)]
    path = write(tmp_path / "a.h5", numbers=numbers, produced=33, **STORED[stored])
    came, rows, end = play(path)
    assert came == sorted(set(numbers))
    assert np.array_equal(rows, FRAMES[[numbers.index(number) for number in came]])
    assert end == End(3, 33)


def test_a_table_keeps_its_columns_and_units(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5")
    with h5py.File(path, "a") as file:
        table = file["entry/data"].create_dataset("sums", data=np.arange(40.0).reshape(20, 2))
        table.attrs.update({"columns": ["a", "b"], "units": "counts"})
    spec = NodeSpec(name="source", kind="hdf5_replay", parameters={"file": str(path), "dataset": "entry/data/sums"})
    assert build_node(spec).plan({}) == Flow((2,), "float64", 10_000, units="counts", columns=("a", "b"))
    _, rows, _ = play(path, dataset="entry/data/sums")
    assert rows[:, 1].tolist() == list(range(1, 41, 2))


def test_a_rate_is_kept_and_not_overtaken(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5")
    began = time.monotonic()
    numbers, _, _ = play(path, rate=100.0)
    assert numbers == list(range(20))
    assert time.monotonic() - began >= 0.19


def test_stopping_ends_the_wait_for_a_slow_rate(tmp_path: Path) -> None:
    node = open_source("hdf5_replay", {"file": str(write(tmp_path / "a.h5")), "rate": 0.01})
    try:
        out = np.zeros((4, 6, 8), np.uint16)
        assert node.fill(out, 1.0) == (0, 1)
        assert node.fill(out, 0.05) is None
        with run_beside(node.stop):
            assert node.fill(out, 30.0) is None
    finally:
        node.stop()


def test_an_empty_dataset_ends_at_once(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", data=FRAMES[:0], chunks=(1, 6, 8), maxshape=(None, 6, 8))
    assert play(path)[2] == End(3, 0)


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no file": ({"file": "/nowhere/a.h5"}, "no such file"),
    "no dataset": ({"dataset": "entry/data/frame"}, r"datasets: /entry/data/frames, /text"),
    "a group": ({"dataset": "entry/data"}, "has no dataset entry/data"),
    "text": ({"dataset": "text"}, "cannot be played"),
    "rate": ({"rate": -1}, "rate"),
    "key": ({"speed": 1}, "speed"),
}


@pytest.mark.parametrize("bad", BAD)
def test_what_cannot_be_played_is_told_before_anything_starts(tmp_path: Path, bad: str) -> None:
    path = write(tmp_path / "a.h5")
    with h5py.File(path, "a") as file:
        file["text"] = "words"
    changed, seen = BAD[bad]
    with pytest.raises(GraphInvalid, match=seen):
        build_node(NodeSpec(name="source", kind="hdf5_replay", parameters={"file": str(path), **changed})).plan({})


def test_no_hdf5_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.h5").write_text("not HDF5")
    with pytest.raises(GraphInvalid, match="cannot be read"):
        build_node(NodeSpec(name="s", kind="hdf5_replay", parameters={"file": str(tmp_path / "a.h5")})).plan({})


def test_a_damaged_chunk_breaks_the_stream_with_its_frames(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", **STORED["bitshuffle-LZ4"])
    with h5py.File(path, "a") as file:
        file["entry/data/frames"].id.write_direct_chunk((7, 0, 0), b"damaged")
    with pytest.raises(
        StreamBroken, match=r"a.h5 cannot be read any more\n  seen: frames 0 to 19: 7 bytes are too few"
    ):
        play(path)
