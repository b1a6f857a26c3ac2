"""Regions, centroids and rolling statistics against plain NumPy."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mamba.data_worker.processors.region_sums import RegionSums
from tests.data_worker.processors.steps import flow_of, run

ROWS = hnp.arrays(np.float64, st.tuples(st.integers(1, 30), st.just(2)), elements=st.integers(-1000, 1000))


@given(st.sampled_from(["uint8", "uint16", "uint32", "int16", "int32", "float32", "float64"]), st.data())
@settings(max_examples=40)
def test_sums_of_many_regions(dtype: str, data: Any) -> None:
    random = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    limits = (-1000, 1000) if dtype[0] == "f" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    frames = random.integers(*limits, (3, 60, 80), endpoint=True).astype(dtype)
    regions = []
    for number in range(data.draw(st.integers(1, 40))):  # the frame is small: from a few on, the running sum is taken
        width, height = random.integers(1, 50, 2).tolist()
        x, y = int(random.integers(0, 80 - width + 1)), int(random.integers(0, 60 - height + 1))
        shape = ["rectangle", "ellipse"][number % 2]
        regions.append({"name": f"r{number}", "x": x, "y": y, "width": width, "height": height, "shape": shape})
    ran = run("region_sums", {"regions": regions}, frames)
    rows, columns = np.indices((60, 80)) + 0.5
    for column, r in enumerate(regions):
        inside = (abs(columns - r["x"] - r["width"] / 2) * 2 <= r["width"]) & (
            abs(rows - r["y"] - r["height"] / 2) * 2 <= r["height"]
        )
        if r["shape"] == "ellipse":
            across = (columns - r["x"] - r["width"] / 2) / r["width"] * 2
            down = (rows - r["y"] - r["height"] / 2) / r["height"] * 2
            inside &= across**2 + down**2 <= 1 + 1e-12
        truth = [int(frame[inside].astype(object).sum()) for frame in frames]
        assert ran.stacked[:, column].tolist() == truth
    assert ran.flow.columns == tuple(r["name"] for r in regions)


@pytest.mark.parametrize(("size", "count", "way"), [(100, 300, "running"), (10, 300, "gathered"), (200, 3, "sliced")])
def test_each_way_of_summing_is_exact_at_full_scale(size: int, count: int, way: str) -> None:
    random = np.random.default_rng(8)
    frames = np.full((2, 512, 512), 65535, np.uint16)  # four times 2³² in all
    frames[1] = random.integers(0, 65536, (512, 512))
    places = random.integers(0, 512 - size, (count, 2)).tolist()
    regions = [{"name": f"r{n}", "x": x, "y": y, "width": size, "height": size} for n, (x, y) in enumerate(places)]
    ran = run("region_sums", {"regions": regions}, frames)
    assert isinstance(ran.node, RegionSums)
    taken = "running" if ran.node._running is not None else "gathered" if ran.node._gathered else "sliced"
    assert taken == way
    for frame, sums in zip(frames, ran.stacked, strict=True):
        truth = [int(frame[y : y + size, x : x + size].sum(dtype=np.uint64)) for x, y in places]
        assert sums.tolist() == truth


def make_spot(
    x: float, y: float, *, sigma: tuple[float, float] = (3.0, 5.0), shape: tuple[int, int] = (90, 120)
) -> Any:
    rows, columns = np.indices(shape)
    return np.exp(-((columns - x) ** 2) / 2 / sigma[0] ** 2 - (rows - y) ** 2 / 2 / sigma[1] ** 2)


@given(st.floats(45, 75), st.floats(35, 55), st.floats(100, 50000), st.floats(0, 1000))
@settings(max_examples=40)
def test_a_spot_is_found_on_any_background(x: float, y: float, height: float, background: float) -> None:
    frames = np.stack([make_spot(x, y), make_spot(x - 5, y + 2)]) * height + background
    ran = run("centroid", {"pixel_size": 2, "units": "µm"}, frames)
    np.testing.assert_allclose(ran.stacked, [[2 * x, 2 * y, 6, 10], [2 * x - 10, 2 * y + 4, 6, 10]], rtol=1e-3)
    assert (ran.flow.units, ran.flow.columns) == ("µm", ("x", "y", "sigma_x", "sigma_y"))


def test_a_centroid_in_a_region_above_noise_and_of_nothing() -> None:
    noise = np.random.default_rng(1).poisson(20, (3, 90, 120))
    frames = (noise + make_spot(60, 40) * 5000).astype(np.uint16)
    frames[1, 5, 5] = 60000  # a hot pixel outside
    frames[2] = 7
    region = {"name": "spot", "x": 40, "y": 15, "width": 40, "height": 50}
    found = run("centroid", {"region": region, "least": 40}, frames).stacked
    np.testing.assert_allclose(found[:2, :2], [[60, 40]] * 2, atol=0.03)
    np.testing.assert_allclose(found[:2, 2:], [[3, 5]] * 2, rtol=0.06)
    assert np.isnan(found[2]).all()
    fixed = run("centroid", {"background": "value", "value": 7}, frames[2:]).stacked
    assert np.isnan(fixed).all()
    gone = np.full((1, 9, 9), np.nan, np.float32)
    assert np.isnan(run("centroid", {}, gone).stacked).all()


@given(ROWS, st.integers(2, 8), st.permutations(["mean", "std", "min", "max"]), st.sets(st.integers(0, 30)))
@settings(max_examples=40)
def test_statistics_of_the_last_n(rows: Any, last: int, of: list[str], cuts: set[int]) -> None:
    flow = flow_of(rows, columns=("a", "b"))
    ran = run("rolling", {"last": last, "of": of}, rows, cuts=cuts, flow=flow)
    for number, found in ran.rows.items():
        window = rows[max(number + 1 - last, 0) : number + 1]
        truth = [getattr(window, name)(axis=0) for name in of]
        np.testing.assert_allclose(found, np.concatenate(truth), rtol=1e-9, atol=1e-9)
    assert ran.flow.columns[:2] == (f"a_{of[0]}", f"b_{of[0]}")
    assert list(ran.rows) == list(range(len(rows)))


@pytest.mark.parametrize("shape", [(), (4,), (3, 5)])
def test_rolling_over_numbers_spectra_and_images(shape: tuple[int, ...]) -> None:
    rows = np.random.default_rng(2).integers(0, 65535, (20, *shape)).astype(np.uint16)
    ran = run("rolling", {"last": 5, "of": ["mean"]}, rows, cuts=[1, 2, 11])
    truth = [rows[max(n - 4, 0) : n + 1].mean(axis=0) for n in range(20)]
    np.testing.assert_allclose(ran.stacked.reshape(20, *shape), truth)
