"""Processors in whole graphs: a detector process, real Ray actors, a real file."""

from contextlib import closing
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from mamba.data_worker.control import arm
from mamba.data_worker.graph import parse_graph
from mamba.errors import DataError, NodeFailed
from tests.data_worker.conftest import REGIONS, Start
from tests.data_worker.processors.test_xafs import FOIL
from tests.support.fly_controller import Controller
from tests.support.frame_feeder import make_frame
from tests.support.threads import run_beside

pytestmark = pytest.mark.soak  # each starts a Ray or a console of its own: for the time of make test

SHAPE = (32, 48)
GEOMETRY = {"distance": 50, "pixel_size": 172, "centre": [20, 10], "wavelength": 1}


def node(name: str, kind: str, /, **parameters: Any) -> dict[str, Any]:
    return {"name": name, "kind": kind, "parameters": parameters, "group": "intake"}


def edges(*pairs: str) -> list[dict[str, str]]:
    return [{"from": pair.split(" > ")[0], "to": pair.split(" > ")[1]} for pair in pairs]


def test_corrected_combined_joined_and_integrated_in_one_graph(start: Start, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "dark.h5", "w") as file:
        file["dark"] = np.full(SHAPE, 100.0)
    (tmp_path / "mine.py").write_text("def span(rows):\n    return rows.max(axis=(1, 2)) - rows.min(axis=(1, 2))\n")
    graph = parse_graph(
        {
            "name": "many",
            "nodes": [
                node("camera", "stream"),
                node("net", "dark_flat", dark={"file": str(tmp_path / "dark.h5"), "dataset": "dark"}),
                node("sums", "region_sums", regions=REGIONS),
                node("values", "frame_values", of=["sum"]),
                node("share", "expression", formula="sums.a / values.sum"),
                node("tens", "combine_frames", frames=10),
                node("rings", "azimuthal", geometry=GEOMETRY, bins=20),
                node("span", "python", file=str(tmp_path / "mine.py"), name="span", shape=[]),
                node("smooth", "rolling", last=5, of=["mean"]),
                {"name": "file", "kind": "hdf5", "group": "file"},
            ],
            "edges": edges(
                "camera > net", "net > sums", "net > values", "sums > share", "values > share", "net > tens",
                "net > rings", "net > span", "values > smooth", "camera > file", "share > file", "tens > file",
                "rings > file", "span > file", "smooth > file",
            ),
        }
    )  # fmt: skip
    _, armed = start(graph, frames=105, shape=SHAPE)
    ledger = armed.wait(60)
    assert (ledger.produced, ledger.written, ledger.missing) == (105, 105, ())
    net = np.stack([make_frame(n, SHAPE) for n in range(105)]).astype(float) - 100
    total = net.sum(axis=(1, 2))
    with h5py.File(ledger.files[0]) as file:
        data, tens = file["entry/data"], file["entry/every_10"]
        order = data["frame_number"][:]
        np.testing.assert_allclose(data["share"][:], (net[:, :8, :8].sum(axis=(1, 2)) / total)[order], rtol=1e-6)
        np.testing.assert_allclose(data["span"][:], (net.max(axis=(1, 2)) - net.min(axis=(1, 2)))[order])
        smooth = [total[max(n - 4, 0) : n + 1].mean() for n in order]
        np.testing.assert_allclose(data["smooth"][:, 0], smooth, rtol=1e-6)
        assert data["rings"].shape == (105, 20)
        assert np.isfinite(data["rings"][:]).any()
        assert file["entry/rings/q"].shape == (20,)
        assert sorted(tens["frame_number"][:].tolist()) == list(range(0, 105, 10))
        means = [net[int(n) : n + 10].mean(axis=0) for n in tens["frame_number"][:]]
        np.testing.assert_allclose(tens["tens"][:], means, rtol=1e-5)


def test_points_of_a_copper_foil_become_its_spectrum_while_they_come(ray_once: None, tmp_path: Path) -> None:
    foil = np.loadtxt(FOIL)
    with Controller(columns=3, block_points=20, arm=5) as controller:
        told = {"endpoint": controller.endpoint, "token": controller.token, "columns": ["energy", "i0", "i1"]}
        names = {"energy": "points.energy / 1000", "i0": "points.i0", "i1": "points.i1"}
        graph = parse_graph(
            {
                "name": "xafs",
                "nodes": [
                    node("points", "points", **told),
                    node("mu", "xafs_bin", **names, points=(foil[:, 0] / 1000).tolist(), every=100),
                    {"name": "file", "kind": "hdf5", "group": "file"},
                ],
                "edges": edges("points > file", "points > mu", "mu > file"),
            }
        )
        with run_beside(controller.await_reader):
            armed = arm(graph, arm_id=5, frames=len(foil), file=tmp_path / "points.h5")
        with closing(armed):
            for first in range(0, len(foil), 20):
                assert controller.send(first, foil[first : first + 20, :3].copy())
            controller.end(len(foil))
            ledger = armed.wait(60)
    assert (ledger.produced, ledger.written, ledger.missing) == (408, 408, ())
    with h5py.File(tmp_path / "points.h5") as file:
        spectra = file["entry/every_100"]
        assert spectra["frame_number"][:].tolist() == [0, 100, 200, 300, 400]
        assert np.isfinite(spectra["mu"][:]).sum(axis=1).tolist() == [100, 200, 300, 400, 408]
        np.testing.assert_allclose(spectra["mu"][4], foil[:, 3], atol=1e-6)
        np.testing.assert_allclose(file["entry/mu/energy"][:], foil[:, 0] / 1000)


def make_graph(**parameters: Any) -> Any:
    return parse_graph(
        {
            "name": "mine",
            "nodes": [
                node("camera", "stream"),
                node("mine", "python", **parameters),
                {"name": "file", "kind": "hdf5", "group": "file"},
            ],
            "edges": edges("camera > mine", "camera > file", "mine > file"),
        }
    )


def test_a_users_mistake_ends_the_run_with_file_and_line_and_the_frames_are_kept(start: Start, tmp_path: Path) -> None:
    code = tmp_path / "mine.py"
    code.write_text(
        """def level(rows):
    if rows[0, 0, 0] > 500:
        raise ValueError('too bright')
    return rows.mean(axis=(1, 2))
"""
    )
    _, armed = start(make_graph(file=str(code), name="level", shape=[], dtype="float64"), frames=80, shape=SHAPE)
    with pytest.raises(NodeFailed, match=rf"(?s)node 'mine': ValueError in {code}.*line 3: raise.*too bright"):
        armed.wait(60)
    with h5py.File(tmp_path / "raw.h5") as file:
        data = file["entry/data"]
        for row, number in enumerate(data["frame_number"][:].tolist()):
            np.testing.assert_array_equal(data["frames"][row], make_frame(number, SHAPE))
        assert file["entry/mdw/written"][()] == len(data["frame_number"])


def test_a_file_that_fails_when_it_is_run_is_told_when_arming(start: Start, tmp_path: Path) -> None:
    code = tmp_path / "mine.py"
    code.write_text("import nothing_such\ndef sum(rows):\n    return rows\n")
    with pytest.raises(DataError, match=rf"(?s)node 'mine': ModuleNotFoundError in {code}, running the file.*line 1"):
        start(make_graph(file=str(code), name="sum"), frames=8, shape=SHAPE)
