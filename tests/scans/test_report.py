"""The demo's picture and figures, from files of real runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mamba.cli.report import draw_report, summarise, validate_nexus
from mamba.errors import DataError
from mamba.experiments.xafs import xafs_scan
from mamba.scans import BeamlineRunEngine, acquire
from tests.support.simulated import Camera, make_spectrometer


@pytest.fixture
def runs(engine: BeamlineRunEngine) -> tuple[Path, Path]:
    energy, i0, i1 = make_spectrometer()
    engine.writer.directory.mkdir()
    plans = (xafs_scan([i0, i1], energy, k_max=5), acquire(Camera(engine.writer.directory), frames=40))
    spectrum, frames = (engine.files_of(engine(plan)[0])[0] for plan in plans)
    return spectrum, frames


def test_picture_shows_something_in_all_four_panels(runs: tuple[Path, Path], tmp_path: Path) -> None:
    from matplotlib.image import imread

    draw_report(*runs, tmp_path / "report.png")
    picture = imread(tmp_path / "report.png")
    height, width, _ = picture.shape
    assert width > 1500
    assert height > 1000
    for rows in (slice(0, height // 2), slice(height // 2, height)):
        for columns in (slice(0, width // 2), slice(width // 2, width)):
            panel = picture[rows, columns, :3]
            coloured = np.ptp(panel, axis=2) > 0.2
            assert coloured.mean() > 0.001


def test_figures_are_those_of_the_runs(runs: tuple[Path, Path]) -> None:
    summary = summarise(*runs)
    assert summary["e0_ev"] == pytest.approx(8980.5, abs=0.3)
    assert summary["points"] == 26 + 200 + 45
    assert (summary["frames_produced"], summary["frames_written"], summary["missing_ranges"]) == (40, 40, [])
    assert summary["frames_per_s"] == 100.0
    assert summary["seconds"] > 0
    assert [Path(file).name for file in summary["files"]] == [runs[0].name, runs[1].name, "camera_00001.h5"]


def test_valid_files_have_no_complaints(runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert [validate_nexus(path) for path in runs] == [[], []]
    assert capsys.readouterr().out == ""


def test_files_of_the_wrong_kind_are_named(runs: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no absorption"):
        summarise(runs[1], runs[1])
    with pytest.raises(DataError, match="holds no frames"):
        summarise(runs[0], runs[0])
    with pytest.raises(DataError, match="cannot be opened"):
        summarise(tmp_path / "nothing.nxs", runs[1])
