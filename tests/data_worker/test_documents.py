"""The stream documents lead to the frames, by the rules of event-model and by Tiled's reader."""

import io
import json
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import event_model
import h5py
import numpy as np
import pytest

from mamba.data_worker.ledger import DatasetInfo, Ledger
from mamba.data_worker.nodes import Flow
from mamba.devices.camera_documents import name_frames
from tests.data_worker.test_flows import write_file

FORM = Flow((7, 5), "uint16", 4, units="counts")
KEY = {"source": "camera", "dtype": "array", "dtype_numpy": "<u2", "shape": [1, 7, 5], "external": "STREAM:"}
ROOT = Path(__file__).parents[2]
TILED, READER = ROOT / ".venv/tiled/bin/python", ROOT / "tests/support/tiled_reader.py"
WAYS: list[dict[str, Any]] = [{}, {"access": "swmr"}, {"compression": "bslz4"}, {"frames_per_file": 3}]


def write_and_name(path: Path, way: dict[str, Any]) -> tuple[np.ndarray, dict[str, dict[str, Any]]]:
    """A file, and the documents about it."""
    sent = write_file(path, {"camera": FORM}, **way)["camera"]
    kept = {"frames": DatasetInfo(path, "/entry/data/frames", (8, 7, 5), "uint16", "counts")}
    documents = dict(name_frames(Ledger(produced=8, written=8, datasets=kept), "D_camera", rows=8))
    documents["stream_datum"] |= {"descriptor": "d", "seq_nums": {"start": 1, "stop": 9}}
    return sent, documents


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_the_documents_lead_to_the_frames(tmp_path: Path, way: dict[str, Any]) -> None:
    sent, documents = write_and_name(tmp_path / "50 % of #1?.h5", way)
    for name, document in documents.items():
        event_model.schema_validators[event_model.DocumentNames[name]].validate(
            document | ({"run_start": "r"} if name == "stream_resource" else {})
        )
    resource, indices = documents["stream_resource"], documents["stream_datum"]["indices"]
    assert resource["mimetype"] == "application/x-hdf5"
    with h5py.File(unquote(urlparse(resource["uri"]).path), swmr=resource["parameters"]["swmr"]) as file:
        frames = file[resource["parameters"]["dataset"]][indices["start"] : indices["stop"]]
    np.testing.assert_array_equal(frames, sent)


@pytest.mark.soak  # Tiled has a Python of its own: with all it needs it is more than a gigabyte
@pytest.mark.parametrize("way", WAYS, ids=str)
def test_tiled_reads_them(tmp_path: Path, way: dict[str, Any]) -> None:
    sent, documents = write_and_name(tmp_path / "ä b.h5", way)
    told = {"resource": documents["stream_resource"], "datum": documents["stream_datum"], "key": KEY}
    read = subprocess.run([TILED, READER], input=json.dumps(told).encode(), stdout=subprocess.PIPE, check=True)
    np.testing.assert_array_equal(np.load(io.BytesIO(read.stdout)), sent)
