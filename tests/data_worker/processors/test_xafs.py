"""XAFS binning of a real copper foil, and of random points, against plain NumPy."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mamba.data_worker.nodes import Flow
from mamba.errors import GraphInvalid
from tests.data_worker.processors.steps import make, run

FOIL = Path(__file__).parents[3] / "tango_servers" / "virtual_beamline" / "data" / "cu_metal_rt.xdi"
COLUMNS = ("energy", "i0", "itrans", "mutrans")
NAMES = {"energy": "camera.energy / 1000", "i0": "camera.i0", "i1": "camera.itrans"}


@pytest.fixture(scope="module")
def copper() -> Any:
    """Columns energy/eV, i0, itrans, mutrans of 408 points, from 8779 eV to 10146 eV."""
    return np.loadtxt(FOIL)


def flow(rows: Any) -> Flow:
    return Flow((4,), "float64", len(rows), columns=COLUMNS)


def test_on_its_own_grid_it_is_the_measured_absorption(copper: Any) -> None:
    order = np.random.default_rng(7).permutation(len(copper))
    parameters = {**NAMES, "points": (copper[:, 0] / 1000).tolist(), "every": 100}
    ran = run("xafs_bin", parameters, copper[order], cuts=[7, 130, 333], flow=flow(copper))
    assert list(ran.rows) == [0, 1, 2, 3, 4]
    assert [int(np.isfinite(row).sum()) for row in ran.stacked] == [100, 200, 300, 400, 408]
    np.testing.assert_allclose(ran.rows[4], copper[:, 3], atol=1e-6)
    assert ran.flow.axis is not None
    assert (ran.flow.axis.units, ran.flow.every, len(ran.flow.axis.values)) == ("keV", 100, 408)


def test_the_edge_of_copper_is_on_the_grid_where_it_was_measured(copper: Any) -> None:
    pieces = [
        {"start": 8.8, "stop": 8.96, "step": 0.01},
        {"start": 8.96, "stop": 9.02, "step": 0.001},
        {"start": 9.03, "stop": 10.1, "step": 0.01},
    ]
    ran = run("xafs_bin", {**NAMES, "pieces": pieces, "every": 1000}, copper, flow=flow(copper))
    assert ran.flow.axis is not None
    energy, absorption = np.array(ran.flow.axis.values), ran.rows[0]
    assert len(energy) == 17 + 60 + 108
    known = np.isfinite(absorption)
    steepest = np.gradient(absorption[known], energy[known]).argmax()
    assert abs(energy[known][steepest] - 8.9805) < 0.002
    edges = np.concatenate([[8.795], (energy[1:] + energy[:-1]) / 2, [10.105]])
    for at in range(len(energy)):
        inside = (copper[:, 0] / 1000 >= edges[at]) & (copper[:, 0] / 1000 < edges[at + 1])
        if inside.any():
            truth = -np.log(copper[inside, 2].sum() / copper[inside, 1].sum())
            assert absorption[at] == pytest.approx(truth)
        else:
            assert np.isnan(absorption[at])


@given(st.integers(1, 60), st.integers(1, 20), st.sampled_from(["all", "group"]), st.sets(st.integers(0, 60)))
@settings(max_examples=40)
def test_passes_and_bad_points(count: int, every: int, of: str, cuts: set[int]) -> None:
    random = np.random.default_rng(count)
    rows = random.uniform([8900, 0, 1, 0], [9000, 10, 5, 1], (count, 4))
    rows[random.random(count) < 0.1, 1] = 0  # no beam
    rows[random.random(count) < 0.1, 2] = np.nan
    parameters = {**NAMES, "points": [8.92, 8.94, 8.97], "every": every, "of": of, "mode": "fluorescence"}
    ran = run("xafs_bin", parameters, rows, cuts=cuts, flow=flow(rows))
    for number, found in ran.rows.items():
        part = rows[number * every if of == "group" else 0 : (number + 1) * every]
        part = part[(part[:, 1] > 0) & np.isfinite(part[:, 2])]
        for at, (low, high) in enumerate(((8.91, 8.93), (8.93, 8.955), (8.955, 8.985))):
            inside = part[(part[:, 0] / 1000 >= low) & (part[:, 0] / 1000 < high)]
            truth = inside[:, 2].sum() / inside[:, 1].sum() if len(inside) else np.nan
            assert found[at] == pytest.approx(truth, nan_ok=True)
    assert list(ran.rows) == list(range(-(-count // every)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"i1": "camera.itrams"}, r"i1: unknown name 'camera.itrams' at character 1\n.*\n.*'camera.itrans'"),
        ({"energy": "camera"}, "energy is not one number per frame\n  seen: camera\n  do:   name one column"),
        ({"i0": "7"}, "i0 is not one number per frame"),
        ({"points": [9, 8]}, "the grid does not rise"),
        ({"points": [9, 9.1], "pieces": [{"start": 1, "stop": 2, "step": 1}]}, "as pieces or as points"),
        ({"points": []}, "as pieces or as points"),
        ({"points": [], "pieces": [{"start": 2, "stop": 1, "step": 1}]}, "start is not below stop"),
        ({"points": [], "pieces": [{"start": 1, "stop": 2, "step": 1e-9}]}, "more than 100000 points"),
    ],
)
def test_what_xafs_binning_refuses(change: dict[str, Any], message: str) -> None:
    with pytest.raises(GraphInvalid, match=message):
        make("xafs_bin", {**NAMES, "points": [8.9, 9.0], **change}, {"camera": flow(np.empty((5, 4)))})
