"""Mends the file of a dead writer, and says what it holds."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py

from mamba.data_worker.ledger import DatasetInfo, RangeSet
from mamba.data_worker.shares import list_writer_files
from mamba.data_worker.sinks.account import MDW, describe_datasets, write_account
from mamba.data_worker.sinks.columns import digest_rows
from mamba.data_worker.sinks.commits import find_commit
from mamba.data_worker.sinks.container import Access, Container
from mamba.data_worker.sinks.definitions import write_definition
from mamba.data_worker.sinks.joined import guess_account, join_files
from mamba.data_worker.sinks.layout import DATA, NUMBER, GroupLayout, load_layout
from mamba.data_worker.sinks.parts import cut_parts, show_parts
from mamba.errors import DataError

_SWMR_SUPERBLOCK = 3


@dataclass(frozen=True)
class Holding:
    """What a raw file holds.

    Attributes:
        path: the file.
        mended: something had to be done; else it had been closed.
        reason: why its arm ended early; "" when it did not.
        numbers: the frames in it, as (first, count).
        missing: frame numbers that existed and are not in it.
        datasets: by name.
    """

    path: Path
    mended: bool
    reason: str
    numbers: tuple[tuple[int, int], ...]
    missing: int
    datasets: dict[str, DatasetInfo]


def trim_groups(file: h5py.File, groups: list[GroupLayout], rows: int | None = None) -> None:
    """Cut all datasets of a group to the rows that all of them have; `rows`: at most so many of the first group."""
    for group in groups:
        whole = [name for flow, name in group.images.items() if flow not in group.split]
        names = [*whole, *group.columns.values(), NUMBER]
        count = min(len(file[f"{group.path}/{name}"]) for name in names)
        if rows is not None and group is groups[0]:
            count = min(count, rows)
        for name in names:
            data, sums = file[f"{group.path}/{name}"], file[group.checksums(name)]
            step = 1 if name in group.images.values() else data.chunks[0]
            for dataset, length in ((data, count), (sums, -(-count // step))):
                if len(dataset) != length:
                    dataset.resize(length, axis=0)
            if step > 1 and count % step:
                sums[-1] = digest_rows(data[count - count % step :])  # of fewer rows than before


def _cut_parts(file: h5py.File, path: Path, groups: list[GroupLayout]) -> None:
    for group in groups:
        for flow, rows in group.split.items():
            count = len(file[f"{group.path}/{NUMBER}"])
            cut_parts(path, group.images[flow], rows=rows, count=count, patience_s=0.0)


def write_end(file: h5py.File, path: Path, account: dict[str, Any]) -> None:
    """Write what a file says when all its rows are there: account, virtual datasets, NeXus definition."""
    write_account(file, account)
    for group in load_layout(file[f"{MDW}/layout"].asstr()[()]):
        show_parts(file, path, group)
    write_definition(file)


def finish_file(path: Path, account: dict[str, Any]) -> dict[str, DatasetInfo]:
    """Finish the file of a killed writer: drop rows nobody acknowledged, write the account.

    Args:
        path: the file.
        account: as for `Hdf5Sink.close`; its `written` frames are the first rows of the file.

    Raises:
        DataError: it cannot be opened, or its writer lives.
    """
    file = _reopen(path, patience_s=5.0)
    groups = _read_layout(file)
    trim_groups(file.h5, groups, account["written"] // groups[0].every)
    _cut_parts(file.h5, path, groups)
    write_end(file.h5, path, account)
    kept = describe_datasets(file.h5, path)
    file.close()
    return kept


def find_held(path: Path) -> list[tuple[int, int]]:
    """The frames that a killed writer's file holds, as (first, count), also those whose acknowledgement died with it.

    Raises:
        DataError: it cannot be opened, or its writer lives.
    """
    file = _reopen(path, patience_s=5.0)
    held = RangeSet.of(file.h5[f"{DATA}/{NUMBER}"][:], _read_layout(file)[0].every)
    file.close()
    return list(held)


def recover_file(path: Path) -> Holding:
    """Mend the file of a dead writer whose ledger nobody has any more; a file that was closed stays as it is.

    Its account says that every number up to the highest existed. With the name of the file that would have shown what
    several writers wrote: mend theirs, and make it.

    Raises:
        DataError: it is not there, holds nothing, cannot be opened, or its writer lives.
    """
    if not path.is_file() and path.parent.is_dir() and (parts := list_writer_files(path)):
        for part in parts:
            recover_file(part)
        join_files(path, parts)
        with h5py.File(path, "r", locking=False) as file:
            return _describe(file, path, mended=True)
    if not path.is_file():
        raise DataError(f"{path}: not there", remedy="name the raw file that the writer left")
    if find_commit(path) is None and _is_closed(path):
        with h5py.File(path, "r", locking=False) as file:
            return _describe(file, path, mended=False)
    container = _reopen(path)
    groups = _read_layout(container)
    trim_groups(container.h5, groups)
    _cut_parts(container.h5, path, groups)
    numbers = container.h5[f"{DATA}/{NUMBER}"][:]
    write_end(container.h5, path, guess_account(numbers, groups[0].every))
    holding = _describe(container.h5, path, mended=True)
    container.close()
    return holding


def _reopen(path: Path, *, patience_s: float = 0.0) -> Container:
    return Container(path, new=False, access=_find_access(path), patience_s=patience_s)


def _find_access(path: Path) -> Access:
    try:
        with path.open("rb") as file:
            head = file.read(9)
    except OSError as error:
        seen = os.strerror(error.errno) if error.errno else str(error)
        raise DataError(f"{path}: cannot be opened after its writer died", seen=seen) from None
    return "swmr" if len(head) == 9 and head[8] == _SWMR_SUPERBLOCK else "plain"


def _is_closed(path: Path) -> bool:
    try:
        with h5py.File(path, "r", locking=False) as file:
            return f"{MDW}/reason" in file
    except OSError:
        return False


def _read_layout(container: Container) -> list[GroupLayout]:
    try:
        return load_layout(container.h5[f"{MDW}/layout"].asstr()[()])
    except KeyError:
        container.abandon()
        raise DataError(
            f"{container.path}: holds nothing", seen="its writer died before the first frame, or it is not a raw file"
        ) from None


def _list_numbers(file: h5py.File, group: GroupLayout) -> RangeSet:
    numbers = RangeSet()
    for number in file[f"{DATA}/{NUMBER}"][:].tolist():
        numbers.add(number, group.every)
    return numbers


def _describe(file: h5py.File, path: Path, *, mended: bool) -> Holding:
    group = load_layout(file[f"{MDW}/layout"].asstr()[()])[0]
    numbers = _list_numbers(file, group)
    mdw = file[MDW]
    return Holding(
        path,
        mended,
        mdw["reason"].asstr()[()],
        tuple(numbers),
        int(mdw["produced"][()]) - int(mdw["written"][()]),
        describe_datasets(file, path),
    )
