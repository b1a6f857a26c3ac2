"""Graphs at the prompt that run without a camera of ours."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

from mamba.data_worker.control import shutdown_ray
from mamba.devices.graphs import graph
from mamba.devices.graphs_alone import GraphAlone
from mamba.errors import BadValue, DataError

_TEXT = """
name: again
nodes:
  - {{name: replay, kind: hdf5_replay, parameters: {{file: {old}, rate: {rate}}}}}
  - {{name: file, kind: hdf5, parameters: {{spare_mib: 1}}}}
edges:
  - {{from: replay, to: file}}
"""


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """Forty frames."""
    with h5py.File(tmp_path / "old.h5", "w") as file:
        file["entry/data/frames"] = np.arange(40 * 48, dtype=np.uint16).reshape(40, 6, 8)
    return tmp_path / "old.h5"


@pytest.fixture
def ray_ends() -> Iterator[None]:
    yield
    shutdown_ray()


def write(folder: Path, old: Path, rate: float = 0.0) -> Path:
    path = folder / "again.yaml"
    path.write_text(_TEXT.format(old=old, rate=rate))
    return path


def test_a_graph_runs_by_itself_again_and_again_and_is_stopped(tmp_path: Path, old: Path, ray_ends: None) -> None:
    made = graph(write(tmp_path, old))
    assert isinstance(made, GraphAlone)
    assert made.status().state == "idle"
    assert made.stop() is None
    assert "runs without a camera, idle" in repr(made)
    made.start(frames=40, file=tmp_path / "first.h5")
    ledger = made.wait(60)
    assert (ledger.produced, ledger.written, ledger.missing) == (40, 40, ())
    with h5py.File(tmp_path / "first.h5") as file:
        assert np.array_equal(file["entry/data/frames"][:], np.arange(40 * 48).reshape(40, 6, 8))
    status = made.status()
    assert (status.state, status.written, status.file) == ("done", 40, str(tmp_path / "first.h5"))
    write(tmp_path, old, rate=2.0)
    made.start(frames=40, file=tmp_path / "second.h5")
    with pytest.raises(DataError, match="again: it is running"):
        made.start(frames=1, file=tmp_path / "third.h5")
    assert made.start() is made
    ledger = made.stop()
    assert ledger is not None
    assert ledger.reason == "stopped"
    assert ledger.written < 40


def test_what_it_cannot_do_is_told_and_nothing_starts(tmp_path: Path, old: Path) -> None:
    made = graph(write(tmp_path, old))
    with pytest.raises(BadValue, match=r"it takes no camera's frames\n  seen: no node of kind 'stream'"):
        graph(write(tmp_path, old), object())  # type: ignore[arg-type]
    for call in (
        lambda: made.start(frames=10),
        lambda: made.start(frames=-1, file="x.h5"),  # type: ignore[call-arg]
        lambda: made.start(frames=10, exposure_s=0.1, file="x.h5"),  # type: ignore[call-arg]
    ):
        with pytest.raises(BadValue, match="again: cannot be armed so"):
            call()
    with pytest.raises(DataError, match="has taken nothing"):
        made.wait(1)
    with pytest.raises(DataError, match="is not armed"):
        made.start()
