"""What the raw file makes of any flows, and what NeXus says of it."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from mamba.data_worker.nodes import Axis, Flow, Item, Job
from mamba.data_worker.sinks.hdf5 import Hdf5Parameters, Hdf5Sink
from mamba.data_worker.sinks.joined import join_files
from mamba.data_worker.sinks.layout import is_image
from mamba.data_worker.sinks.verification import verify_file
from mamba.errors import DataError, GraphInvalid
from mamba.scans.nexus.check import validate_file

ACCOUNT = {"produced": 8, "written": 8, "missing": [], "duplicates": 0, "reason": ""}
METADATA = {
    "title": "a test",
    "proposal": "2026-1",
    "user": "Ada",
    "command": "count(D.camera)",
    "beamline": "BL1",
    "facility": "virtual",
    "energy_kev": 9.0,
    "sample": {"name": "copper", "temperature": {"value": 293.0, "units": "K"}},
    "devices": {"M.x": {"position": {"value": 1.5, "units": "mm"}}},
    "detector": {"x_pixel_size": {"value": 75e-6, "units": "m"}, "distance": {"value": 0.2, "units": "m"}},
    "packages": {"numpy": "2.4"},
}
INPUTS = {
    "left": Flow((4, 6), "float32", 4, units="V"),
    "right": Flow((3, 5), "uint16", 4, units="counts"),
    "azimuthal": Flow((7,), "float32", 4, units="a.u.", axis=Axis("q", "1/nm", tuple(range(7)))),
    "rows": Flow((2,), "int32", 4, columns=("energy", "i0")),
    "clock": Flow((), "float64", 4, units="s"),
    "mean": Flow((4, 6), "float64", 1, every=4),
    "level": Flow((), "float32", 1, every=4),
    "wide": Flow((10_000,), "float32", 4, axis=Axis("energy", "keV", tuple(range(10_000)))),
}


def write_file(
    path: Path, inputs: dict[str, Flow], *, skip: str = "", firsts: tuple[int, ...] = (0, 4), **parameters: object
) -> dict[str, np.ndarray]:
    """Eight frame numbers of each flow of random numbers, or the four behind each of `firsts`; returns all of them."""
    rng = np.random.default_rng(1)
    sink = Hdf5Sink("file", Hdf5Parameters.model_validate({"spare_mib": 1, **parameters}))
    sink.plan(inputs)
    sink.open(Job(1, 8, path, "D.camera", "graph", METADATA), inputs)
    sent = {}
    for name, flow in inputs.items():
        sent[name] = (rng.random((8 // flow.every, *flow.shape)) * 1000).astype(flow.dtype)
    for first in firsts:
        for name, flow in inputs.items():
            rows = sent[name][first // flow.every : (first + 4) // flow.every]
            if name != skip or first == 0:
                sink.process(Item(first // flow.every, {name: rows}))
    assert sum(count for _, count in sink.flush()) == 4 * len(firsts)
    kept = sink.close(ACCOUNT)
    assert set(inputs) - {next(iter(inputs))} <= set(kept)
    return sent


def test_any_flow_is_kept_as_it_came(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    sent = write_file(path, INPUTS, skip="rows")
    with h5py.File(path) as file:
        data, every = file["entry/data"], file["entry/every_4"]
        np.testing.assert_array_equal(data["frames"], sent["left"])
        assert data["frames"].attrs["units"] == "V"
        for name in ("right", "azimuthal", "clock", "wide"):
            np.testing.assert_array_equal(data[name], sent[name])
            assert data[name].dtype == sent[name].dtype
        np.testing.assert_array_equal(data["rows"][:4], sent["rows"][:4])
        assert np.isnan(data["rows"][4:]).all()
        assert data["rows"].attrs["columns"].tolist() == ["energy", "i0"]
        np.testing.assert_array_equal(every["mean"], sent["mean"])
        np.testing.assert_array_equal(every["level"], sent["level"])
        assert every["frame_number"][:].tolist() == [0, 4]
        spectrum = file["entry/azimuthal"]
        assert (spectrum.attrs["signal"], spectrum.attrs["axes"].tolist()) == ("azimuthal", [".", "q"])
        assert spectrum["q"].attrs["units"] == "1/nm"
        assert file["entry/sample/name"].asstr()[()] == "copper"
        assert file["entry/sample/temperature"].attrs["units"] == "K"
        assert file["entry/mdw/devices_before/M.x/position"][()] == 1.5
    assert validate_file(path).errors == ()


def test_rows_that_one_camera_has_not_got_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    write_file(path, {name: INPUTS[name] for name in ("left", "right")}, skip="right")
    with h5py.File(path) as file:
        assert list(file["entry/mdw/missing_rows"]) == ["right"]
        assert file["entry/mdw/missing_rows/right"][:].tolist() == [4, 5, 6, 7]
        assert not file["entry/data/right"][4:].any()


def test_a_file_needs_no_frames(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    inputs = {"points": Flow((3,), "float64", 4, columns=("a", "b", "c")), "sum": Flow((), "uint32", 4)}
    sent = write_file(path, inputs)
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["entry/data/points"], sent["points"])
        np.testing.assert_array_equal(file["entry/data/sum"], sent["sum"])
        assert file["entry/data"].attrs["signal"] == "points"
    assert validate_file(path).errors == ()


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "float32", "float64"])
def test_packed_frames_are_read_by_h5py(tmp_path: Path, dtype: str) -> None:
    path = tmp_path / "a.h5"
    sent = write_file(path, {"camera": Flow((37, 53), dtype, 4)}, compression="bslz4", threads=2)
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["entry/data/frames"], sent["camera"])
        assert file["entry/data/frames"].dtype == dtype


def test_names_must_leave_the_file_unambiguous() -> None:
    sink = Hdf5Sink("file", Hdf5Parameters())
    for name in ("frame_number", "mdw", "every_3"):
        with pytest.raises(GraphInvalid, match=f"has a dataset {name!r}"):
            sink.plan({"camera": INPUTS["left"], name: INPUTS["clock"]})
    with pytest.raises(GraphInvalid, match="has a dataset 'sample'"):
        sink.plan({"camera": INPUTS["left"], "sample": INPUTS["azimuthal"]})
    with pytest.raises(GraphInvalid, match="the axis of 'q'"):
        sink.plan({"q": INPUTS["azimuthal"]})


CAMERA, SPECTRUM = Flow((8, 6), "uint16", 4, units="counts"), INPUTS["azimuthal"]
POINTS = Flow((3,), "float64", 4, columns=("energy", "i0", "i1"))
TECHNIQUES = {
    "NXdata": ({"camera": CAMERA}, {}),
    "NXtomo": ({"camera": CAMERA, "angle": Flow((), "float64", 4, units="degrees")}, {"rotation_angle": "angle"}),
    "NXxas": (
        {"points": POINTS},
        {"energy": "points.energy", "incoming_beam": "points.i0", "absorbed_beam": "points.i1"},
    ),
    "NXtomo of its names": (
        {"camera": CAMERA, "rotation_angle": Flow((), "float64", 4, units="degrees")},
        {"rotation_angle": "rotation_angle"},
    ),
    "NXxas of numbers": (
        {name: Flow((), "uint32" if name == "i0" else "float32", 4) for name in ("energy", "i0", "absorbed_beam")},
        {"energy": "energy", "incoming_beam": "i0", "absorbed_beam": "absorbed_beam"},
    ),
    "NXazint1d": ({"camera": CAMERA, "azimuthal": SPECTRUM}, {"I": "azimuthal", "polarization_applied": True}),
}


@pytest.mark.parametrize("technique", TECHNIQUES)
def test_a_technique_s_file_keeps_its_definition(tmp_path: Path, technique: str) -> None:
    inputs, fields = TECHNIQUES[technique]
    path, definition = tmp_path / "a.h5", technique.split()[0]
    sent = write_file(path, inputs, definition=definition, fields=fields)
    assert validate_file(path).errors == ()
    with h5py.File(path) as file:
        assert file["entry"].get("definition", np.array(b"NXdata"))[()].decode() == definition
        for name in set(inputs) - {"camera"}:
            np.testing.assert_array_equal(file[f"entry/data/{name}"], sent[name])
    assert not any(checked.bad for checked in verify_file(path))


@pytest.mark.parametrize("technique", [*TECHNIQUES, "any flows"])
def test_what_two_wrote_is_joined_with_its_definition(tmp_path: Path, technique: str) -> None:
    inputs, fields = TECHNIQUES.get(technique, (INPUTS, {}))
    path, parts = tmp_path / "a.h5", [tmp_path / "a_writer1.h5", tmp_path / "a_writer2.h5"]
    definition = technique.split()[0] if technique in TECHNIQUES else "NXdata"
    for part, first in zip(parts, (4, 0), strict=True):
        sent = write_file(part, inputs, firsts=(first,), definition=definition, fields=fields)
    kept = join_files(path, parts, ACCOUNT)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.h5", "a_writer1.h5", "a_writer2.h5"]
    with h5py.File(path) as file:
        assert file["entry"].get("definition", np.array(b"NXdata"))[()].decode() == definition
        images = [name for name, info in kept.items() if file[info.path].is_virtual]
        assert len(images) == sum(is_image(flow) for flow in inputs.values())
        for name, info in kept.items():
            if not name.startswith("frame_number"):
                np.testing.assert_array_equal(file[info.path], sent[next(iter(inputs)) if name == "frames" else name])
            assert info.file == path
    # as of a split file
    assert all("size is inconsistent with the signal shape" in error for error in validate_file(path).errors)
    assert not any(checked.bad for checked in verify_file(path))
    with pytest.raises(DataError, match=r"a\.h5: exists"):
        join_files(path, parts, ACCOUNT)
    assert len(list(tmp_path.iterdir())) == 3


def test_what_a_writer_has_not_closed_is_not_joined(tmp_path: Path) -> None:
    closed, open_ = tmp_path / "a_writer1.h5", tmp_path / "a_writer2.h5"
    write_file(closed, {"camera": CAMERA})
    sink = Hdf5Sink("file", Hdf5Parameters(spare_mib=1))
    sink.open(Job(1, 8, open_), {"camera": CAMERA})
    with pytest.raises(DataError, match="its writer did not close it") as caught:
        join_files(tmp_path / "a.h5", [closed, open_], ACCOUNT)
    assert f"mambactl mdw recover {tmp_path / 'a.h5'}" in str(caught.value)
    sink.discard()
    assert [file.name for file in tmp_path.iterdir()] == ["a_writer1.h5"]


def test_a_definition_s_fields_are_checked_before_anything_starts() -> None:
    def plan(definition: str, fields: dict[str, object], inputs: dict[str, Flow]) -> None:
        Hdf5Sink("file", Hdf5Parameters.model_validate({"definition": definition, "fields": fields})).plan(inputs)

    with pytest.raises(GraphInvalid, match="NXxas needs incoming_beam"):
        plan("NXxas", {"energy": "points.energy", "incoming_beam": "points.i9"}, {"points": POINTS})
    with pytest.raises(GraphInvalid, match="no field 'rotation_angel'"):
        plan("NXtomo", {"rotation_angel": "points.energy"}, {"camera": CAMERA, "points": POINTS})
    with pytest.raises(GraphInvalid, match="has a field 'image_key' of its own"):
        plan("NXtomo", {"rotation_angle": "points.energy"}, {"camera": CAMERA, "points": POINTS, "image_key": POINTS})
    with pytest.raises(GraphInvalid, match="NXtomo needs frames"):
        plan("NXtomo", {"rotation_angle": "points.energy"}, {"points": POINTS})
    with pytest.raises(GraphInvalid, match="spectrum with its axis"):
        plan("NXazint1d", {"I": "points"}, {"points": POINTS})


@pytest.mark.parametrize("compression", ["none", "bslz4"])
def test_split_frames_are_shown_as_one(tmp_path: Path, compression: str) -> None:
    path = tmp_path / "a.h5"
    sent = write_file(path, INPUTS, frames_per_file=3, compression=compression)
    assert sorted(file.name for file in tmp_path.glob("a_frames_*")) == [f"a_frames_0000{k}.h5" for k in range(3)]
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["entry/data/frames"], sent["left"])
        np.testing.assert_array_equal(file["entry/instrument/detector/data"], sent["left"])
        np.testing.assert_array_equal(file["entry/wide/wide"], sent["wide"])
        np.testing.assert_array_equal(file["entry/every_4/mean"], sent["mean"])
        np.testing.assert_array_equal(file["entry/data/rows"], sent["rows"])
    with h5py.File(tmp_path / "a_frames_00002.h5") as file:
        np.testing.assert_array_equal(file["entry/data/frames"], sent["left"][6:])
        assert file["entry/data/frame_number"][:].tolist() == [6, 7]
    checked = list(verify_file(path))
    assert sum(c.rows for c in checked if c.path == "/entry/data/frames") == 8
    assert not any(c.bad for c in checked)
    # nexusformat 2.1 takes every virtual dataset for a stack with one source per row
    assert all("size is inconsistent with the signal shape" in error for error in validate_file(path).errors)
    path.unlink()
    with pytest.raises(DataError, match=r"a_frames_00000.h5: exists"):
        write_file(path, INPUTS, frames_per_file=3)
    assert not path.exists()


def test_the_size_of_a_file_is_a_number_of_frames(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    write_file(path, {"camera": CAMERA}, gib_per_file=200 / 2**30)
    assert len(list(tmp_path.glob("a_frames_*"))) == 4
