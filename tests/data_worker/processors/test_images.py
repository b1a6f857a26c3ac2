"""Processors of images against plain NumPy."""

from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mamba.errors import DataError
from tests.data_worker.processors.steps import feed, flow_of, make, run

IMAGES = hnp.arrays(
    st.sampled_from([np.uint8, np.uint16, np.int32, np.float32]),
    hnp.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=9),
    elements=st.integers(0, 255),
)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A dark (mean of three), a flat with two dead pixels, a mask."""
    path = tmp_path / "pictures.h5"
    flat = np.full((4, 6), 1010.0)
    flat[0, 0], flat[3, 5] = 10, 2
    mask = np.zeros((4, 6), np.uint8)
    mask[1, 1] = mask[1, 2] = 4
    with h5py.File(path, "w") as file:
        file["dark"] = np.stack([np.full((4, 6), level) for level in (9, 10, 11)]).astype(np.uint16)
        file["flat"], file["mask"], file["small"] = flat, mask, np.zeros((2, 2))
        file["hole"] = np.full((4, 6), np.nan)
        file.create_dataset("run", (1001, 4, 6), np.uint16)
        file.create_dataset("packed", data=np.full((2, 4, 6), 10, np.uint16), **hdf5plugin.Bitshuffle(cname="lz4"))
    return path


def test_dark_and_flat_from_a_file(pictures: Path, caplog: pytest.LogCaptureFixture) -> None:
    frames = np.full((5, 4, 6), 510, np.uint16)
    frames[2, 1, 1] = 4
    dark = {"file": str(pictures), "dataset": "/dark"}
    flat = {"file": str(pictures), "dataset": "flat"}
    ran = run("dark_flat", {"dark": dark, "flat": flat, "bad_value": -1, "most_bad": 0.1}, frames)
    expected = np.full((5, 4, 6), 0.5)
    expected[2, 1, 1] = -0.006
    expected[:, 0, 0] = expected[:, 3, 5] = -1
    np.testing.assert_allclose(ran.stacked, expected, rtol=1e-6)
    assert (ran.flow.dtype, ran.flow.units, ran.node.bad_pixels) == ("float32", "", 2)  # type: ignore[attr-defined]
    assert "2 pixels have no flat and become -1" in caplog.text
    with pytest.raises(DataError, match=r"the flat cannot be used\n  seen: 2 of 24 pixels"):
        run("dark_flat", {"dark": dark, "flat": flat}, frames)


def test_a_packed_dark(pictures: Path) -> None:
    ran = run("dark_flat", {"dark": {"file": str(pictures), "dataset": "packed"}}, np.full((2, 4, 6), 15, np.uint16))
    assert (ran.stacked == 5).all()


@given(IMAGES, st.integers(0, 50), st.integers(51, 300))
@settings(max_examples=40)
def test_dark_and_flat_are_the_formula(frames: Any, dark: int, flat: int) -> None:
    parameters = {"dark": {"value": dark}, "flat": {"value": flat}}
    ran = run("dark_flat", parameters, frames)
    np.testing.assert_allclose(ran.stacked, (frames.astype(float) - dark) / (flat - dark), rtol=1e-6)
    kept = run("dark_flat", {**parameters, "result": "counts"}, frames, flow=flow_of(frames, units="counts"))
    np.testing.assert_allclose(kept.stacked, frames.astype(float) - dark, rtol=1e-6)
    assert kept.flow.units == "counts"


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ("small", r"cannot use .*pictures.h5 small\n  seen: shape \(2, 2\), frames have \(4, 6\)"),
        ("dork", r"no such dataset\n  do:   it has: /dark, /flat, /hole"),
        ("hole", "24 pixels are not finite"),
        ("run", r"seen: shape \(1001, 4, 6\), frames have \(4, 6\)\n  do:   take one, or up to 1000"),
    ],
)
def test_a_picture_that_cannot_be_used_is_named(pictures: Path, dataset: str, message: str) -> None:
    with pytest.raises(DataError, match=rf"(?s)node 'step': .*{message}"):
        run("dark_flat", {"dark": {"file": str(pictures), "dataset": dataset}}, np.zeros((1, 4, 6), np.uint16))
    with pytest.raises(DataError, match=r"gone.h5 /entry/data/frames\n.*No such file"):
        run("dark_flat", {"dark": {"file": str(pictures.with_name("gone.h5"))}}, np.zeros((1, 4, 6), np.uint16))


def test_bad_pixels_get_a_value_or_their_neighbours_median(pictures: Path) -> None:
    frames = np.arange(2 * 24, dtype=np.uint16).reshape(2, 4, 6) * 10
    from_file = {"file": str(pictures), "dataset": "mask", "pixels": [[0, 3]]}
    expected = frames.copy()
    for x, y in ((1, 1), (2, 1), (0, 3)):
        expected[:, y, x] = 7
    np.testing.assert_array_equal(run("mask", {**from_file, "value": 7}, frames).stacked, expected)
    ran = run("mask", {**from_file, "by": "neighbours"}, frames)
    for n, frame in enumerate(frames):
        good = [frame[y, x] for y in (0, 1, 2) for x in (0, 1, 2) if (x, y) not in ((1, 1), (2, 1))]
        assert ran.rows[n][1, 1] == np.rint(np.median(good))
        assert ran.rows[n][3, 0] == np.rint(np.median([frame[2, 0], frame[2, 1], frame[3, 1]]))
    assert ran.node.bad_pixels == 3  # type: ignore[attr-defined]


@given(IMAGES, st.data())
@settings(max_examples=40)
def test_a_mask_changes_nothing_but_bad_pixels(frames: Any, data: Any) -> None:
    _, height, width = frames.shape
    pixel = st.tuples(st.integers(0, width - 1), st.integers(0, height - 1))
    bad = data.draw(st.lists(pixel, min_size=1))
    ran = run("mask", {"pixels": bad, "by": "neighbours", "value": 3, "reach": 1}, frames)
    hidden = np.zeros((height, width), bool)
    for x, y in bad:
        hidden[y, x] = True
    np.testing.assert_array_equal(ran.stacked[:, ~hidden], frames[:, ~hidden])
    for y, x in np.argwhere(hidden):
        near = np.s_[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]
        good = frames[:, near[0], near[1]][:, ~hidden[near]]
        median = np.median(good, axis=1) if good.size else np.full(len(frames), 3)
        np.testing.assert_array_equal(ran.stacked[:, y, x], np.rint(median) if frames.dtype.kind != "f" else median)


@given(IMAGES, st.integers(0, 100), st.integers(100, 255))
@settings(max_examples=40)
def test_a_threshold_is_where(frames: Any, low: int, high: int) -> None:
    ran = run("threshold", {"low": low, "high": high, "below": 1}, frames)
    np.testing.assert_array_equal(ran.stacked, np.where(frames < low, 1, np.minimum(frames, high)))
    assert ran.flow.dtype == frames.dtype.name


def test_a_threshold_keeps_not_a_number() -> None:
    frames = np.array([[[np.nan, 1.0, 9.0]]], np.float32)
    parameters = {"low": 2, "high": 8, "below": float("nan"), "above": 0}
    np.testing.assert_array_equal(run("threshold", parameters, frames).stacked, [[[np.nan, np.nan, 0]]])


@given(IMAGES, st.integers(1, 4), st.integers(1, 4), st.sampled_from(["sum", "mean"]))
@settings(max_examples=40)
def test_rebin_is_a_sum_of_blocks(frames: Any, down: int, across: int, by: str) -> None:
    count, height, width = frames.shape
    down, across = min(down, height), min(across, width)
    ran = run("rebin", {"factors": [down, across], "by": by, "crop": True}, frames)
    rows, columns = height // down, width // across
    blocks = frames[:, : rows * down, : columns * across].reshape(count, rows, down, columns, across)
    truth = blocks.astype(float).sum(axis=(2, 4)) if by == "sum" else blocks.astype(float).mean(axis=(2, 4))
    np.testing.assert_allclose(ran.stacked, truth, rtol=1e-6)


def test_rebin_is_exact_at_full_scale() -> None:
    for dtype, wide in (("uint16", "uint32"), ("uint32", "uint64"), ("int16", "int32")):
        frames = np.full((2, 64, 64), np.iinfo(dtype).max, dtype)
        ran = run("rebin", {"factors": [32, 32]}, frames)
        assert ran.flow.dtype == wide
        assert ran.stacked.ravel().tolist() == [np.iinfo(dtype).max * 1024] * 8


@given(IMAGES, st.permutations(["sum", "mean", "min", "max", "std"]))
@settings(max_examples=40)
def test_values_of_frames(frames: Any, of: list[str]) -> None:
    ran = run("frame_values", {"of": of}, frames)
    wide = frames.astype(float)
    truth = np.stack([getattr(wide, name)(axis=(1, 2)) for name in of], axis=1)
    np.testing.assert_allclose(ran.stacked, truth, rtol=1e-12, atol=1e-12)
    assert ran.flow.columns == tuple(of)


def test_a_sum_of_a_frame_is_exact() -> None:
    frames = np.full((1, 512, 512), 2**32 - 1, np.uint32)
    assert run("frame_values", {"of": ["sum"]}, frames).stacked.tolist() == [[(2**32 - 1) * 2**18]]


@given(IMAGES, st.integers(2, 5), st.sampled_from(["sum", "mean", "min", "max"]), st.sets(st.integers(0, 9)))
@settings(max_examples=40)
def test_n_frames_become_one(frames: Any, n: int, by: str, cuts: set[int]) -> None:
    ran = run("combine_frames", {"frames": n, "by": by}, frames, cuts=cuts)
    truth = [getattr(frames[i : i + n].astype(float), by)(axis=0) for i in range(0, len(frames), n)]
    assert list(ran.rows) == list(range(len(truth)))
    np.testing.assert_allclose(ran.stacked, truth, rtol=1e-6)
    assert ran.flow.every == n


@given(st.sets(st.integers(0, 40), min_size=1), st.integers(2, 6), st.sampled_from(["give", "leave_out"]), st.data())
@settings(max_examples=40)
def test_groups_in_which_frames_are_missing(there: set[int], n: int, incomplete: str, data: Any) -> None:
    numbers, items = sorted(there), []
    while numbers:
        run_length = next((i for i, number in enumerate(numbers) if number != numbers[0] + i), len(numbers))
        taken = data.draw(st.integers(1, run_length))
        items.append((numbers[0], np.array(numbers[:taken], np.uint16)))
        numbers = numbers[taken:]

    empty = np.zeros((41,), np.uint16)
    parameters = {"frames": n, "by": "sum", "incomplete": incomplete}
    ran = feed(*make("combine_frames", parameters, {"camera": flow_of(empty)}), items)
    groups: dict[int, list[int]] = {}
    for number in sorted(there):
        groups.setdefault(number // n, []).append(number)
    kept = {g: sum(m) for g, m in groups.items() if len(m) == n or incomplete == "give"}
    assert {number: int(row) for number, row in ran.rows.items()} == kept


def test_frames_that_come_again_count_once() -> None:

    items = [(0, np.arange(3, dtype=np.uint16)), (1, np.arange(1, 6, dtype=np.uint16))]
    ran = feed(*make("combine_frames", {"frames": 3, "by": "sum"}, {"camera": flow_of(np.zeros(6, np.uint16))}), items)
    assert {n: int(row) for n, row in ran.rows.items()} == {0: 3, 1: 12}


def test_one_channel_of_stacked_images() -> None:
    frames = np.arange(5 * 3 * 4 * 6, dtype=np.uint32).reshape(5, 3, 4, 6)
    ran = run("channel", {"index": 2}, frames)
    assert ran.flow.shape == (4, 6)
    assert np.array_equal(ran.stacked, frames[:, 2])
