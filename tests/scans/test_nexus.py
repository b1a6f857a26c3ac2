"""The master file: what is in it, that the definitions accept it, and that it survives."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from datetime import datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from bluesky import plan_stubs
from bluesky.plans import count, scan
from bluesky.preprocessors import run_decorator
from bluesky.utils import Msg, RunEngineInterrupted
from ophyd import Signal
from ophyd.sim import SynAxis, SynGauss

from mamba.experiments.xafs import xafs_scan
from mamba.scans import BeamlineRunEngine, NexusWriter
from mamba.scans.nexus.check import validate_file
from mamba.scans.nexus.file import write_field
from mamba.scans.nexus.layout import FieldLayout, GroupLayout, Layout
from tests.support.simulated import make_spectrometer

COMMAND = {"command": "RE(scan(…))", "command_id": "c7", "origin": "window", "person": "Grace Hopper"}


def make_devices() -> tuple[SynAxis, SynGauss]:
    motor = SynAxis(name="M_m1")
    return motor, SynGauss("D_det", motor, "M_m1", center=0, Imax=1)


def text(group: Any, path: str) -> str:
    return str(group[path].asstr()[()])


def master(engine: BeamlineRunEngine, uids: Any) -> Path:
    return engine.files_of(uids[0])[0]


@pytest.mark.error_logged
@pytest.mark.parametrize("freed", [False, True])
def test_a_disk_that_fills_in_a_scan_is_told_and_harms_nothing(
    engine: BeamlineRunEngine, monkeypatch: pytest.MonkeyPatch, freed: bool
) -> None:
    """A real full disk made HDF5 end the whole console when the file was closed."""

    signal_a = Signal(name="D_a", value=1)

    def plan() -> Any:
        yield Msg("open_run", None, plan_name="filling")
        yield from plan_stubs.trigger_and_read([signal_a])
        monkeypatch.setattr("mamba.scans.nexus.file._SPARE_BYTES", 2**62)
        yield from plan_stubs.trigger_and_read([signal_a])
        if freed:
            monkeypatch.undo()
        yield Msg("close_run")

    (uid,) = engine(plan())
    path = engine.files_of(uid)[0]
    assert ["ends before the run did" in problem for problem in engine.problems_of(uid)] == [True] * (not freed)
    with h5py.File(path) as file:
        assert ("end_time" in file["entry"]) == freed
        assert len(file["entry/data/D_a"]) == (2 if freed else 1)


def test_step_scan_says_who_what_how_and_with_which_command(engine: BeamlineRunEngine) -> None:
    motor, detector = make_devices()
    engine.md["mamba"], engine.md["proposal"] = COMMAND, "P-2026-17"
    path = master(engine, engine(scan([detector], motor, -1, 1, 11, md={"sample": {"name": "LaB6", "mass": 1.5}})))
    assert path.name == "00001_scan.nxs"
    with h5py.File(path) as file:
        entry = file["entry"]
        assert text(entry, "experiment_identifier") == "P-2026-17"
        assert file.attrs["default"] == "entry"
        assert text(entry, "title") == "Scan 1: RE(scan(…))"
        start, end = (datetime.fromisoformat(text(entry, name)) for name in ("start_time", "end_time"))
        assert start.tzinfo is not None
        assert start < end
        assert text(entry, "user/name") == "Grace Hopper"
        assert text(entry, "sample/name") == "LaB6"
        assert entry["sample/mass"][()] == 1.5
        assert text(entry, "command/data") == "RE(scan(…))"
        assert "window" in text(entry, "command/description")
        assert "c7" in text(entry, "command/description")
        assert text(entry, "instrument/name") == "Virtual XAFS beamline"
        assert text(entry, "instrument/source/probe") == "x-ray"
        assert entry["program_name"].attrs["version"]
        assert "bluesky" in entry["collection/versions"]
        assert json.loads(text(entry, "collection/start_document"))["plan_name"] == "scan"
        assert text(entry, "collection/exit_status") == "success"
        assert "definition" not in entry
        assert "M_m1_velocity" in entry["collection/configuration/M_m1"]


def test_default_plot_is_the_detector_against_the_motor(engine: BeamlineRunEngine) -> None:
    motor, detector = make_devices()
    path = master(engine, engine(scan([detector], motor, -1, 1, 11)))
    with h5py.File(path) as file:
        entry = file["entry"]
        data = entry[entry.attrs["default"]]
        assert data.attrs["signal"] == "D_det"
        assert list(data.attrs["axes"]) == ["M_m1"]
        assert data["M_m1"] == entry["streams/primary/M_m1"]
        np.testing.assert_allclose(data["M_m1"], np.linspace(-1, 1, 11))
        np.testing.assert_allclose(data["D_det"], np.exp(-(np.linspace(-1, 1, 11) ** 2) / 2))


def test_count_is_plotted_against_time(engine: BeamlineRunEngine) -> None:
    path = master(engine, engine(count([make_devices()[1]], 3)))
    with h5py.File(path) as file:
        data = file["entry/data"]
        assert list(data.attrs["axes"]) == ["time"]
        assert data["time"].attrs["units"] == "s"
        assert len(data["time"]) == 3


def test_every_recorded_key_keeps_its_unit_and_kind(engine: BeamlineRunEngine) -> None:
    class Described(Signal):  # type: ignore[misc]
        def describe(self) -> dict[str, Any]:
            described: dict[str, Any] = super().describe()
            described[self.name]["units"] = "mA"
            return described

    signals = [
        Described(name="current", value=200.5),
        Signal(name="text", value="open"),
        Signal(name="spectrum", value=np.arange(4.0)),
        Signal(name="turns_to_float", value=1),
    ]

    @run_decorator(md={"plan_name": "mixed"})
    def plan() -> Any:
        yield from plan_stubs.trigger_and_read(signals)
        signals[3].put(2.5)
        yield from plan_stubs.trigger_and_read(signals)

    path = master(engine, engine(plan()))
    with h5py.File(path) as file:
        stream = file["entry/streams/primary"]
        assert stream["current"].attrs["units"] == "mA"
        assert list(stream["text"].asstr()) == ["open", "open"]
        np.testing.assert_array_equal(stream["spectrum"], [np.arange(4.0)] * 2)
        np.testing.assert_array_equal(stream["turns_to_float"], [1.0, 2.5])
    assert validate_file(path).errors == ()


def test_plain_scan_and_count_are_valid(engine: BeamlineRunEngine) -> None:
    motor, detector = make_devices()
    engine.md["mamba"] = COMMAND
    for plan in (scan([detector], motor, -1, 1, 3), count([detector], 2)):
        validation = validate_file(master(engine, engine(plan)))
        assert validation.errors == ()
        assert all("Units of NX_ANY not specified" in warning for warning in validation.warnings)


def test_spectrum_fulfils_nxxas_without_a_warning(engine: BeamlineRunEngine) -> None:
    energy, i0, i1 = make_spectrometer()
    engine.md["mamba"] = COMMAND
    path = master(engine, engine(xafs_scan([i0, i1], energy, k_max=3.0, md={"sample": "Cu foil"})))
    validation = validate_file(path)
    assert (validation.warnings, validation.errors) == ((), ())
    with h5py.File(path) as file:
        entry = file["entry"]
        assert text(entry, "definition") == "NXxas"
        assert entry["data/energy"] == entry["instrument/monochromator/energy"]
        assert entry["data/energy"].attrs["units"] == "keV"
        assert entry["monitor/data"] == entry["instrument/incoming_beam/data"]
        assert (text(entry, "monitor/mode"), text(entry, "data/mode")) == ("timer", "Transmission")
        np.testing.assert_allclose(entry["monitor/preset"], entry["streams/primary/D_i0_count_time"])
        plotted = entry[entry.attrs["default"]]
        plotted = plotted[plotted.attrs["default"]]
        expected = -np.log(entry["streams/primary/D_i1"][()] / entry["streams/primary/D_i0"][()])
        np.testing.assert_allclose(plotted[plotted.attrs["signal"]], expected)


def test_viewers_find_the_absorption_first(engine: BeamlineRunEngine) -> None:
    from nexusformat.nexus import nxload

    energy, i0, i1 = make_spectrometer()
    path = master(engine, engine(xafs_scan([i0, i1], energy, k_max=2.9)))
    with nxload(str(path), "r") as root:
        assert root.plottable_data.nxsignal.nxname == "absorption"


def test_validation_names_the_place_of_an_error(engine: BeamlineRunEngine) -> None:
    energy, i0, i1 = make_spectrometer()
    path = master(engine, engine(xafs_scan([i0, i1], energy, k_max=2.9)))
    with h5py.File(path, "r+") as file:
        del file["entry/monitor"]
    assert any("NXmonitor" in error for error in validate_file(path).errors)


def test_definition_is_not_claimed_when_a_key_is_missing(
    engine: BeamlineRunEngine, caplog: pytest.LogCaptureFixture
) -> None:
    layout = Layout(
        definition="NXxas",
        groups=(GroupLayout(path="data", nx_class="NXdata", fields={"energy": FieldLayout(key="not_recorded")}),),
    )
    motor, detector = make_devices()
    path = master(engine, engine(scan([detector], motor, -1, 1, 3, md={"nexus": layout.to_metadata()})))
    assert "not_recorded" in caplog.text
    with h5py.File(path) as file:
        assert "definition" not in file["entry"]
        assert file["entry/data"].attrs["signal"] == "D_det"


def test_layout_that_is_not_understood_leaves_a_plain_entry(
    engine: BeamlineRunEngine, caplog: pytest.LogCaptureFixture
) -> None:
    motor, detector = make_devices()
    path = master(engine, engine(scan([detector], motor, -1, 1, 3, md={"nexus": {"group": []}})))
    assert "not understood" in caplog.text
    assert validate_file(path).errors == ()


def test_counts_that_are_not_positive_give_not_a_number() -> None:
    from mamba.scans.nexus.streams import negative_log_ratio

    result = negative_log_ratio([10.0, 0.0, 5.0, np.nan], [5.0, 5.0, 0.0, 1.0])
    np.testing.assert_allclose(result, [np.log(2), np.nan, np.nan, np.nan])


def test_aborted_scan_leaves_its_points_and_its_reason(engine: BeamlineRunEngine) -> None:
    energy, i0, i1 = make_spectrometer()
    engine.md["mamba"] = COMMAND
    reached = threading.Event()
    engine.subscribe(lambda name, doc: reached.set() if doc["seq_num"] == 30 else None, "event")

    def abort() -> None:
        assert reached.wait(30)
        engine.abort("the sample burnt")

    thread = threading.Thread(target=abort)
    thread.start()
    uids: list[str] = []
    engine.subscribe(lambda name, doc: uids.append(doc["uid"]), "start")
    with pytest.raises(RunEngineInterrupted):
        engine(xafs_scan([i0, i1], energy))
    thread.join()
    path = engine.files_of(uids[0])[0]
    with h5py.File(path) as file:
        entry = file["entry"]
        count_ = len(entry["data/energy"])
        assert 30 <= count_ < 451
        assert len(entry["monitor/preset"]) == len(entry["absorption/data/absorption"]) == count_
        assert text(entry, "collection/exit_status") == "abort"
        assert text(entry, "collection/reason") == "the sample burnt"
        assert entry["collection/num_points_planned"][()] == 451
    assert validate_file(path).errors == ()
    assert f"{count_} of 451 points were measured" in engine.problems_of(uids[0])


def test_existing_file_is_never_touched(tmp_path: Path) -> None:
    writer = NexusWriter(tmp_path)
    (tmp_path / "00007_scan.nxs").write_text("precious")
    writer("start", {"uid": "u", "time": 0.0, "scan_id": 7, "plan_name": "scan"})
    writer("stop", {"uid": "s", "time": 1.0, "run_start": "u", "exit_status": "success"})
    assert (tmp_path / "00007_scan.nxs").read_text() == "precious"
    assert [path.name for path in writer.files_of("u")] == ["00007_scan-2.nxs"]


def test_plan_name_cannot_leave_the_directory(tmp_path: Path) -> None:
    writer = NexusWriter(tmp_path)
    writer("start", {"uid": "u", "time": 0.0, "scan_id": 7, "plan_name": "../../evil plan"})
    writer("stop", {"uid": "s", "time": 1.0, "run_start": "u", "exit_status": "success"})
    assert writer.files_of("u")[0].parent == tmp_path


def test_points_reach_the_file_within_a_second_although_no_other_follows(engine: BeamlineRunEngine) -> None:
    _, detector = make_devices()
    seen: list[int] = []

    @run_decorator(md={"plan_name": "slow"})
    def plan() -> Any:
        for _ in range(2):
            yield from plan_stubs.trigger_and_read([detector])
        path = engine.writer._open[engine._run_start_uids[0]].path
        for _ in range(100):
            yield Msg("sleep", None, 0.05)
            with h5py.File(path, "r", locking=False) as file:
                count_ = len(file["entry/streams/primary/D_det"])
            if count_ == 2:
                seen.append(count_)
                return

    engine(plan())
    assert seen == [2]


KILLED = """
import os, signal, sys
from pathlib import Path
from bluesky import plan_stubs
from bluesky.preprocessors import run_decorator
from bluesky.utils import Msg
from ophyd.sim import SynAxis, SynGauss
from mamba.config import BUILT_IN_PROFILE, DataConfig, load_profile
from mamba.scans import make_run_engine

profile = load_profile(BUILT_IN_PROFILE).model_copy(update={"data": DataConfig(directory=Path(sys.argv[1]))})
engine = make_run_engine(profile)
motor = SynAxis(name="M_m1")
detector = SynGauss("D_det", motor, "M_m1", center=0, Imax=1)

@run_decorator(md={"plan_name": "killed", "motors": ["M_m1"]})
def plan():
    for step in range(500):
        yield from plan_stubs.mv(motor, step)
        yield from plan_stubs.trigger_and_read([detector, motor])
    engine.writer._write()
    yield from plan_stubs.trigger_and_read([detector, motor])
    print("flushed", flush=True)
    yield from plan_stubs.sleep(60)

engine(plan())
"""


def test_killed_console_leaves_a_file_that_opens(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        assert process.stdout.readline().strip() == "flushed"
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait(10)
        process.stdout.close()
    (path,) = tmp_path.glob("*.nxs")
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["entry/streams/primary/M_m1"][:500], np.arange(500))
        assert file["entry/data"].attrs["signal"] == "D_det"
        assert "end_time" not in file["entry"]
    assert validate_file(path).errors == ()


@pytest.mark.parametrize(("text", "kept"), [("a\0b", "a\\x00b"), ("half \ud800", "half \\ud800"), ("→ µ", "→ µ")])
def test_any_text_can_be_kept(tmp_path: Path, text: str, kept: str) -> None:
    with h5py.File(tmp_path / "text.h5", "w") as file:
        write_field(file, "reason", text)
        assert file["reason"].asstr()[()] == kept
