"""Does a raw file still hold what was written? Checks each block against the checksum that was stored with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mamba.data_worker.sinks.account import MDW
from mamba.data_worker.sinks.columns import digest_rows
from mamba.data_worker.sinks.frames import digest_chunk
from mamba.data_worker.sinks.layout import NUMBER, GroupLayout, load_layout
from mamba.errors import DataError


@dataclass(frozen=True)
class CheckedDataset:
    """What came of one dataset.

    Attributes:
        file: it stands in.
        path: in the file.
        rows: how many it has.
        blocks: checksums that were compared.
        missing: rows whose frame never came.
        bad: (first, last) rows, both included, whose bytes are not what was written.
        numbers: the frame numbers of those rows, as ranges.
    """

    file: Path
    path: str
    rows: int
    blocks: int
    missing: int
    bad: tuple[tuple[int, int], ...]
    numbers: tuple[tuple[int, int], ...]


def verify_file(path: Path) -> Iterator[CheckedDataset]:
    """Check every dataset of a raw file, and of the files it consists of.

    Raises:
        DataError: it is not there, cannot be opened, or has no checksums.
    """
    if not path.is_file():
        raise DataError(f"{path}: not there", remedy="name a raw file")
    try:
        file = h5py.File(path, "r", locking=False)
    except OSError as error:
        raise DataError(
            f"{path}: cannot be opened", seen=str(error), remedy=f"mambactl mdw recover {path}, if its writer died"
        ) from None
    with file:
        if f"{MDW}/layout" not in file:
            raise DataError(f"{path}: has no checksums", seen="it is not a raw file of the data worker")
        for group in load_layout(file[f"{MDW}/layout"].asstr()[()]):
            yield from _verify_group(path, file, group)
        for part in file[f"{MDW}/parts"].asstr()[:].tolist() if f"{MDW}/parts" in file else ():
            yield from verify_file(path.parent / part)


def _verify_group(path: Path, file: h5py.File, group: GroupLayout) -> Iterator[CheckedDataset]:
    numbers = file[f"{group.path}/{NUMBER}"][:]
    images = {name for flow, name in group.images.items() if flow not in group.split}  # others: in their own files
    for name in [*images, *group.columns.values(), NUMBER]:
        dataset = file[f"{group.path}/{name}"]
        sums = file[group.checksums(name)][:]
        check = _check_chunks if name in images else _check_rows
        bad = list(check(dataset, sums))
        missing = int(np.count_nonzero(sums == 0)) if name in images else 0
        yield CheckedDataset(
            path, dataset.name, len(dataset), len(sums) - missing, missing, tuple(bad), tuple(_name(numbers, bad))
        )


def _check_chunks(dataset: h5py.Dataset, sums: Any) -> Iterator[tuple[int, int]]:
    origin = (0,) * (dataset.ndim - 1)
    for row in np.flatnonzero(sums).tolist():
        try:
            _, chunk = dataset.id.read_direct_chunk((row, *origin))
        except (OSError, RuntimeError, ValueError):
            yield row, row  # HDF5 cannot find or read it
            continue
        if digest_chunk(chunk) != sums[row]:
            yield row, row


def _check_rows(dataset: h5py.Dataset, sums: Any) -> Iterator[tuple[int, int]]:
    step = dataset.chunks[0]
    for block, wanted in enumerate(sums):
        first, end = block * step, min(len(dataset), (block + 1) * step)
        try:
            good = digest_rows(dataset[first:end]) == wanted
        except (OSError, RuntimeError):
            good = False
        if not good:
            yield first, end - 1


def _name(numbers: Any, bad: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    for first, last in bad:
        rows = numbers[first : last + 1]
        if len(rows):
            yield int(rows.min()), int(rows.max())
