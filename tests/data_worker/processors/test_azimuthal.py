"""Azimuthal integration against a calibrant and a plain histogram."""

import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from pyFAI.calibrant import get_calibrant
from pyFAI.integrator.azimuthal import AzimuthalIntegrator
from scipy.signal import find_peaks

from mamba.data_worker.nodes import Flow
from mamba.errors import DataError, GraphInvalid
from tests.data_worker.processors.steps import flow_of, make, run

SHAPE = (300, 400)
GEOMETRY = {"distance": 90, "pixel_size": 172, "centre": [190.5, 148.25], "wavelength": 0.7}


def compute_q() -> Any:
    """q of the middle of each pixel, 1/angstrom: 4π/λ · sin(½ atan(R/D))."""
    rows, columns = np.indices(SHAPE) + 0.5
    radius = np.hypot(columns - 190.5, rows - 148.25) * 0.172
    return 4 * np.pi / 0.7 * np.sin(np.arctan(radius / 90) / 2)


def test_rings_of_lanthanum_hexaboride_are_where_they_belong() -> None:
    integrator = AzimuthalIntegrator(
        0.09, 148.25 * 172e-6, 190.5 * 172e-6, pixel1=172e-6, pixel2=172e-6, wavelength=0.7e-10
    )
    calibrant = get_calibrant("LaB6")
    calibrant.wavelength = 0.7e-10
    frame = calibrant.fake_calibration_image(integrator, SHAPE, Imax=10000)
    ran = run("azimuthal", {"geometry": GEOMETRY, "bins": 500}, frame[None].astype(np.float32))
    axis = ran.flow.axis
    assert axis is not None
    assert (axis.name, axis.units, len(axis.values)) == ("q", "1/angstrom", 500)
    q = np.array(axis.values)
    peaks = q[find_peaks(ran.rows[0], prominence=500)[0]]
    rings = 2 * np.pi / np.array(calibrant.dspacing)
    inside = rings[(rings > q[0]) & (rings < q[-1] * 0.9)]
    assert len(inside) >= 5
    for ring in inside:
        assert abs(peaks - ring).min() < 2 * (q[1] - q[0])


@pytest.mark.parametrize("dtype", ["uint16", "uint32", "float32"])
def test_without_splitting_it_is_a_histogram(dtype: str, tmp_path: Path) -> None:
    frames = np.random.default_rng(5).integers(0, 60000, (3, *SHAPE)).astype(dtype)
    hidden = np.zeros(SHAPE, np.uint8)
    hidden[100:120] = 1
    with h5py.File(tmp_path / "mask.h5", "w") as file:
        file["mask"] = hidden
    more = {"mask": str(tmp_path / "mask.h5"), "mask_dataset": "mask", "solid_angle": False, "split": "no"}
    parameters = {"geometry": GEOMETRY, "bins": 80, "low": 0.5, "high": 4, **more}
    ran = run("azimuthal", parameters, frames, flow=flow_of(frames, units="counts"))
    q, seen = compute_q(), hidden == 0
    counts = np.histogram(q[seen], 80, (0.5, 4))[0]
    for frame, pattern in zip(frames, ran.stacked, strict=True):
        sums = np.histogram(q[seen], 80, (0.5, 4), weights=frame[seen].astype(float))[0]
        # a pixel on the border of two bins may fall into either
        assert np.median(abs(pattern - sums / counts) / (sums / counts)) < 1e-5
        np.testing.assert_allclose(pattern, sums / counts, rtol=0.02)
    assert (ran.flow.dtype, ran.flow.units) == ("float32", "counts")


def test_pixels_that_are_not_a_number_are_left_out_and_empty_bins_say_so() -> None:
    frame = np.full((1, *SHAPE), 7, np.float32)
    frame[0, 140:160, :] = np.nan
    parameters = {"geometry": GEOMETRY, "bins": 50, "low": 0, "high": 20, "axis": "two_theta", "solid_angle": False}
    ran = run("azimuthal", parameters, frame)
    filled = ran.rows[0][np.isfinite(ran.rows[0])]
    np.testing.assert_allclose(filled, 7, rtol=1e-5)
    assert np.isnan(ran.rows[0][:2]).all()  # the beam, and what is behind the hidden rows
    assert np.isfinite(ran.rows[0][3:]).all()
    assert ran.flow.axis is not None
    assert ran.flow.axis.units == "deg"


def test_a_poni_file(tmp_path: Path) -> None:
    integrator = AzimuthalIntegrator(
        0.09, 148.25 * 172e-6, 190.5 * 172e-6, pixel1=172e-6, pixel2=172e-6, wavelength=0.7e-10
    )
    integrator.save(str(tmp_path / "a.poni"))
    frame = np.random.default_rng(6).integers(0, 1000, (1, *SHAPE)).astype(np.uint16)
    found = run("azimuthal", {"poni": str(tmp_path / "a.poni"), "bins": 90}, frame)
    same = run("azimuthal", {"geometry": GEOMETRY, "bins": 90}, frame)
    np.testing.assert_allclose(found.stacked, same.stacked, rtol=1e-5)
    (tmp_path / "b.poni").write_text("no geometry\n")
    for path, seen in ((tmp_path / "none.poni", "none.poni"), (tmp_path / "b.poni", "")):
        with pytest.raises(GraphInvalid, match=f"node 'step': cannot use {path}\n  seen: .*{seen}"):
            make("azimuthal", {"poni": str(path)}, {"camera": flow_of(frame)})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"poni": "/a.poni"}, "give a poni file or a geometry, not both"),
        ({"low": 2, "high": 1}, "low is not below high"),
        ({"low": 50, "high": 60}, "nothing of the detector is in its range\n  seen: 50 to 60, pixels are at"),
        ({"geometry": {**GEOMETRY, "centre": [1]}}, "'geometry.centre' cannot be used"),
        ({"geometry": {**GEOMETRY, "distance": 0}}, "greater than 0"),
    ],
)
def test_what_azimuthal_refuses(change: dict[str, Any], message: str) -> None:
    with pytest.raises(GraphInvalid, match=message):
        make("azimuthal", {"geometry": GEOMETRY, **change}, {"camera": Flow(SHAPE, "uint16")})


def test_a_mask_of_another_detector(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "mask.h5", "w") as file:
        file["mask"] = np.zeros((3, 3))
    parameters = {"geometry": GEOMETRY, "mask": str(tmp_path / "mask.h5"), "mask_dataset": "mask"}
    with pytest.raises(DataError, match=r"shape \(3, 3\), frames have \(300, 400\)"):
        make("azimuthal", parameters, {"camera": Flow(SHAPE, "uint16")})


def test_without_pyfai_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyFAI", None)
    with pytest.raises(
        GraphInvalid, match=r"pyFAI is not installed\n.*\n  do:   pip install 'mamba-beamline\[azimuthal\]'"
    ):
        make("azimuthal", {"geometry": GEOMETRY}, {"camera": Flow(SHAPE, "uint16")})
