"""Graphs at the prompt that run without a camera of ours."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from mamba.devices.graphs import graph
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


def write(folder: Path, old: Path, rate: float = 0.0) -> Path:
    path = folder / "again.yaml"
    path.write_text(_TEXT.format(old=old, rate=rate))
    return path


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
