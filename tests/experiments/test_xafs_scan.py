"""The XAFS scan: every point counted for its time, nothing moved that must not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mamba.alignment.edge import find_edge
from mamba.config import BUILT_IN_PROFILE, DataConfig, load_profile
from mamba.errors import BadValue, LimitExceeded
from mamba.experiments.xafs import make_grid, xafs_scan
from mamba.scans import BeamlineRunEngine, make_run_engine
from mamba.scans.nexus.read import read_spectrum
from tests.support.engines import ending
from tests.support.simulated import make_spectrometer


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[BeamlineRunEngine]:
    profile = load_profile(BUILT_IN_PROFILE)
    with ending(make_run_engine(profile.model_copy(update={"data": DataConfig(directory=tmp_path)}))) as engine:
        yield engine


def recorder(engine: BeamlineRunEngine) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    engine.subscribe(lambda name, doc: events.append(doc["data"]), "event")
    return events


def test_every_point_is_counted_for_its_time(engine: BeamlineRunEngine) -> None:
    energy, i0, i1 = make_spectrometer()
    events = recorder(engine)
    (uid,) = engine(xafs_scan([i0, i1], energy, time_scale=0.02))
    grid = make_grid("Cu", "K", time_scale=0.02)
    np.testing.assert_allclose([event["M_energy"] for event in events], grid.energies_kev)
    np.testing.assert_allclose([event["D_i0_count_time"] for event in events], grid.times_s)
    np.testing.assert_allclose([event["D_i1_count_time"] for event in events], grid.times_s)
    assert energy.position == grid.energies_kev[-1]
    assert engine.problems_of(uid) == []
    spectrum = read_spectrum(engine.files_of(uid)[0])
    np.testing.assert_allclose(spectrum.energy_ev, grid.energies_ev)
    assert find_edge(spectrum.energy_ev, spectrum.absorption).e0_ev == pytest.approx(8980.5, abs=0.3)


@pytest.mark.parametrize("limits", [(9.0, 40.0), (4.0, 9.7)], ids=["too low", "too high"])
def test_scan_beyond_a_limit_moves_nothing(engine: BeamlineRunEngine, limits: tuple[float, float]) -> None:
    energy, i0, i1 = make_spectrometer()
    energy.limits = limits  # type: ignore[misc]
    with pytest.raises(LimitExceeded, match=r"M_energy.*nothing moved"):
        engine(xafs_scan([i0, i1], energy))
    assert energy.moves == []
    assert list(engine.writer.directory.glob("*.nxs")) == []


def test_a_time_that_no_counter_takes_moves_nothing(engine: BeamlineRunEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    energy, i0, i1 = make_spectrometer()

    def refuse(value: float) -> None:
        if value > 3600:
            raise LimitExceeded(f"D_i0_count_time: cannot go to {value:g} s")

    monkeypatch.setattr(i0.count_time, "check_value", refuse)
    with pytest.raises(LimitExceeded, match="D_i0_count_time"):
        engine(xafs_scan([i0, i1], energy, time_scale=1000.0))
    assert energy.moves == []
    assert list(engine.writer.directory.glob("*.nxs")) == []


def test_equal_limits_mean_none(engine: BeamlineRunEngine) -> None:
    energy, i0, i1 = make_spectrometer()
    energy.limits = (0.0, 0.0)  # type: ignore[misc]
    engine(xafs_scan([i0, i1], energy, k_max=2.9))
    assert energy.moves


def test_scan_without_detectors_is_refused(engine: BeamlineRunEngine) -> None:
    with pytest.raises(BadValue, match="no detectors"):
        engine(xafs_scan([], make_spectrometer()[0]))


def test_one_detector_without_count_time_gives_a_plain_scan(engine: BeamlineRunEngine) -> None:
    from ophyd.sim import SynSignal

    energy, _, _ = make_spectrometer()
    current = SynSignal(name="D_current", func=lambda: 200.0)
    (uid,) = engine(xafs_scan([current], energy, k_max=2.9))
    assert engine.problems_of(uid) == []


def test_sample_and_other_metadata_reach_the_run(engine: BeamlineRunEngine) -> None:
    energy, i0, i1 = make_spectrometer()
    starts: list[dict[str, Any]] = []
    engine.subscribe(lambda name, doc: starts.append(doc), "start")
    (uid,) = engine(xafs_scan([i0, i1], energy, k_max=2.9, md={"sample": "Cu foil"}))
    assert starts[0].items() >= {"plan_name": "xafs_scan", "element": "Cu", "edge": "K", "sample": "Cu foil"}.items()
    assert starts[0]["motors"] == ["M_energy"]
    assert starts[0]["detectors"] == ["D_i0", "D_i1"]
    assert starts[0]["hints"] == {"dimensions": [(["M_energy"], "primary")]}
    assert read_spectrum(engine.files_of(uid)[0]).header.sample == "Cu foil"


def test_a_point_takes_few_messages() -> None:
    energy, i0, i1 = make_spectrometer()
    assert sum(1 for _ in xafs_scan([i0, i1], energy)) / 451 < 15
