"""What a camera tells bluesky: the counts of its ledger, and where its frames are. Plain functions of the ledger."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mamba.data_worker.control import Ledger

# Not more than a path needs to come back out of a URI: Tiled 0.2 takes the path as it stands, with %20 for a blank.
_QUOTED = str.maketrans({"%": "%25", "?": "%3F", "#": "%23"})
_COUNTS = ("frames_produced", "frames_written", "frames_missing")


def read_counts(ledger: Ledger | None, key: str) -> dict[str, dict[str, Any]]:
    """Readings of the counts, the rate (1/s) and the file, each under `key`_…; zeros and "" without a ledger."""
    frames = None if ledger is None else ledger.datasets.get("frames")
    produced, written = (0, 0) if ledger is None else (ledger.produced, ledger.written)
    values = dict(zip(_COUNTS, (produced, written, produced - written), strict=True)) | {
        "frames_per_s": 0.0 if ledger is None else float(ledger.frames_per_s),
        "file": "" if frames is None else str(frames.file),
    }
    now = time.time()
    return {f"{key}_{name}": {"value": value, "timestamp": now} for name, value in values.items()}


def describe_counts(name: str, key: str) -> dict[str, dict[str, Any]]:
    """Data keys of what `read_counts` returns."""
    source = f"ledger://{name}"
    rate = {"source": source, "dtype": "number", "shape": [], "units": "1/s"}
    file = {"source": source, "dtype": "string", "shape": []}
    counts = {f"{key}_{count}": {"source": source, "dtype": "integer", "shape": []} for count in _COUNTS}
    return counts | {f"{key}_frames_per_s": rate, f"{key}_file": file}


def name_frames(ledger: Ledger, key: str, *, rows: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """The stream documents that say in which dataset the first `rows` frames of `key` are; none without a file."""
    dataset = ledger.datasets.get("frames")
    if dataset is None:
        return
    uid = str(uuid.uuid4())
    yield (
        "stream_resource",
        {
            "uid": uid,
            "data_key": key,
            "mimetype": "application/x-hdf5",
            "uri": f"file://localhost{str(Path(dataset.file).absolute()).translate(_QUOTED)}",
            # the file is closed by now: a reader needs no SWMR, in which only some files open
            "parameters": {"dataset": dataset.path, "chunk_shape": [1, *dataset.shape[1:]], "swmr": False},
        },
    )
    if rows:
        yield (
            "stream_datum",
            {
                "uid": f"{uid}/0",
                "stream_resource": uid,
                "descriptor": "",  # this and seq_nums are filled by the run engine
                "indices": {"start": 0, "stop": int(rows)},
                "seq_nums": {"start": 0, "stop": 0},
            },
        )


def find_next_file(directory: Path, stem: str) -> Path:
    """`camera_00001.h5`, the first number that is not there yet; the folder is made."""
    directory.mkdir(parents=True, exist_ok=True)
    taken = [int(file.stem.rpartition("_")[2]) for file in directory.glob(f"{stem}_[0-9][0-9][0-9][0-9][0-9].h5")]
    return directory / f"{stem}_{max(taken, default=0) + 1:05d}.h5"
