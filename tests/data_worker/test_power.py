"""`survives: power`: whatever part of the writes since the last sync the disk has kept, acknowledged frames are there.

The disk is a model: each write that was not yet synced when the power failed is on it, or not, or half of it is.
"""

import os
import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from mamba.data_worker.nodes import Job
from mamba.data_worker.sinks.hdf5 import Hdf5Parameters, Hdf5Sink
from mamba.data_worker.sinks.recovery import recover_file
from mamba.data_worker.sinks.verification import verify_file
from tests.data_worker.kill_writer import INPUTS, list_items, make_item

Operation = tuple[str, str, Any, int]
"""What, on which file, bytes or size, where."""


@contextmanager
def _record(log: list[Operation]) -> Iterator[None]:
    real = {name: getattr(os, name) for name in ("pwrite", "fsync", "ftruncate")}

    def note(name: str, file: int, *arguments: Any) -> Any:
        path = Path(os.readlink(f"/proc/self/fd/{file}"))
        data, at = (bytes(arguments[0]), arguments[1]) if name == "pwrite" else ((*arguments, 0)[0], 0)
        if path.is_file():
            log.append((name, path.name, data, at))
        return real[name](file, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        for name in real:
            patch.setattr(os, name, lambda file, *rest, name=name: note(name, file, *rest))
        yield


def _fail_power(log: list[Operation], folder: Path, rng: random.Random) -> None:
    """Make the files as the disk has them when the power fails after the operations in `log`."""
    synced = {
        file: max((n for n, op in enumerate(log) if op[:2] == ("fsync", file)), default=-1) for _, file, _, _ in log
    }
    for number, (what, name, data, at) in enumerate(log):
        kept = number < synced[name]
        with (folder / name).open("r+b" if (folder / name).exists() else "w+b") as file:
            if what == "ftruncate" and (kept or rng.random() < 0.5):
                file.truncate(data)
            elif what == "pwrite" and (kept or rng.random() < 0.7):
                file.seek(at)
                file.write(data if kept or rng.random() < 0.5 else data[: len(data) // 2])


def test_what_was_acknowledged_survives_a_power_failure(tmp_path: Path) -> None:
    rng, log, safe = random.Random(4), list[Operation](), list[tuple[int, int]]()
    path = tmp_path / "a.h5"
    with _record(log):
        sink = Hdf5Sink("file", Hdf5Parameters(spare_mib=1, survives="power"))
        sink.open(Job(1, 64, path), INPUTS)
        begun = len(log)
        for number, (flow, first) in enumerate(list_items(80, rng)):
            sink.process(make_item(flow, first))
            if number % 6 == 5:
                for start, count in sink.flush():
                    safe += [(len(log), n) for n in range(start, start + count)]
        ended = len(log)
    sink.close({"produced": 80, "written": 80, "missing": [], "duplicates": 0, "reason": ""})
    for when in sorted(rng.sample(range(begun, ended + 1), 25)):
        folder = tmp_path / f"after{when}"
        folder.mkdir()
        _fail_power(log[:when], folder, rng)
        recover_file(folder / "a.h5")
        with h5py.File(folder / "a.h5") as file:
            numbers = file["entry/data/frame_number"][:]
            assert {n for told, n in safe if told <= when} <= set(numbers.tolist())
            np.testing.assert_array_equal(file["entry/data/frames"][:, 7, 15], numbers + 127)
        assert not any(checked.bad for checked in verify_file(folder / "a.h5"))
        shutil.rmtree(folder)
