"""No room, no permission, a name that is taken: one clear error, and what was acknowledged is readable."""

import os
import random
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest

from mamba.data_worker.ledger import RangeSet
from mamba.data_worker.nodes import Job
from mamba.data_worker.sinks.hdf5 import Hdf5Parameters, Hdf5Sink
from mamba.data_worker.sinks.recovery import recover_file
from mamba.data_worker.sinks.verification import verify_file
from mamba.errors import DataError, DiskFull
from tests.data_worker.kill_writer import INPUTS, list_items, make_item
from tests.data_worker.test_sink import ACCOUNT, frames, open_sink


@contextmanager
def _room(left: int) -> Iterator[None]:
    """The disk takes so many bytes more, in whatever file, and then part of a write."""
    pwrite, fallocate = os.pwrite, os.posix_fallocate

    def take(file: int, end: int) -> None:
        nonlocal left
        new = max(0, end - os.fstat(file).st_size)
        if new > left:
            raise OSError(28, "No space left on device")
        left -= new

    def write(file: int, data: bytes, at: int) -> int:
        take(file, at + len(data))
        return pwrite(file, data, at)

    def reserve(file: int, at: int, size: int) -> None:
        take(file, at + size)
        fallocate(file, at, size)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "pwrite", write)
        patch.setattr(os, "posix_fallocate", reserve)
        yield


def _fill(path: Path, left: int, rng: random.Random, **parameters: object) -> RangeSet:
    """Write until nothing more fits; returns what was acknowledged."""
    safe, errors = RangeSet(), []
    sink = Hdf5Sink("file", Hdf5Parameters.model_validate({"spare_mib": 1, **parameters}))
    sink.open(Job(1, 64, path), INPUTS)
    with _room(left):
        for number, (flow, first) in enumerate(list_items(4000, rng)):
            try:
                sink.process(make_item(flow, first))
                _note(safe, sink.flush() if number % 7 == 0 else [])
            except DiskFull as error:
                errors.append(str(error))
                break
        for step in (lambda: _note(safe, sink.flush()), lambda: sink.close({**ACCOUNT, "written": len(safe)})):
            try:
                step()
            except DiskFull as error:
                errors.append(str(error))
    assert errors
    assert all("frames are safe in it" in error for error in errors)
    return safe


def _note(safe: RangeSet, ranges: list[tuple[int, int]]) -> None:
    for first, count in ranges:
        safe.add(first, count)


def _check(path: Path, safe: RangeSet) -> None:
    recover_file(path)
    with h5py.File(path) as file:
        numbers = file["entry/data/frame_number"][:]
        assert {n for first, count in safe for n in range(first, first + count)} <= set(numbers.tolist())
        np.testing.assert_array_equal(file["entry/data/frames"][:, 7, 15], numbers + 127)
    assert not any(checked.bad for checked in verify_file(path))


@pytest.mark.parametrize("compression", ["none", "bslz4"])
def test_a_full_disk_loses_nothing_acknowledged(tmp_path: Path, compression: str) -> None:
    rng = random.Random(5)
    for number, left in enumerate((0, 50_000, 123_456, 300_000)):
        path = tmp_path / f"{number}.h5"
        _check(path, _fill(path, left, rng, compression=compression))


@pytest.mark.parametrize("access", ["plain", "swmr"])
def test_a_file_that_cannot_even_be_begun_leaves_nothing(tmp_path: Path, access: str) -> None:
    with _room(1000), pytest.raises(DataError, match=r"(?s)cannot be made.*No space left on device"):
        open_sink(tmp_path / "a.h5", access=access)
    assert not list(tmp_path.iterdir())


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("compression", ["none", "bslz4"])
def test_thirty_full_disks(tmp_path: Path, compression: str) -> None:
    rng = random.Random()
    for number in range(30):
        path = tmp_path / f"{number}.h5"
        _check(path, _fill(path, rng.randint(0, 900_000), rng, compression=compression))


def test_a_limit_of_file_size_is_felt_before_it_hurts(tmp_path: Path) -> None:
    path, safe = tmp_path / "a.h5", RangeSet()
    sink = open_sink(path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_200_000, hard))
    try:
        with pytest.raises(DiskFull, match="MiB free"):  # noqa: PT012  # which of them is refused is not known
            for first in range(0, 4000, 4):
                sink.process(frames(first, 4))
                _note(safe, sink.flush())
        sink.close({**ACCOUNT, "written": len(safe)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert len(safe) > 0
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["entry/data/frames"][:, 3, 5], np.arange(len(safe)))


def test_a_folder_that_is_not_there_or_read_only_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file or directory"):
        open_sink(tmp_path / "none" / "a.h5")
    tmp_path.chmod(0o500)
    user = os.geteuid()
    try:
        if user == 0:
            os.seteuid(65534)  # root may write everywhere
        with pytest.raises(DataError, match="Permission denied"):
            open_sink(tmp_path / "a.h5")
    finally:
        if user == 0:
            os.seteuid(0)
        tmp_path.chmod(0o700)


def test_a_name_that_is_taken_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    path.write_text("mine")
    with pytest.raises(DataError, match="exists"):
        open_sink(path)
    assert path.read_text() == "mine"
    assert [item.name for item in tmp_path.iterdir()] == ["a.h5"]
