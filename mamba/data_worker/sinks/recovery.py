"""Mends the file of a dead writer, says what it holds, and checks it block by block."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py

from mamba.data_worker.ledger import DatasetInfo
from mamba.data_worker.sinks.account import MDW, describe_datasets, write_account
from mamba.data_worker.sinks.columns import digest_rows
from mamba.data_worker.sinks.container import Container
from mamba.data_worker.sinks.layout import NUMBER, GroupLayout, load_layout


def trim_groups(file: h5py.File, groups: list[GroupLayout], rows: int | None = None) -> None:
    """Cut all datasets of a group to the rows that all of them have; `rows`: at most so many of the first group."""
    for group in groups:
        names = [*group.images.values(), *group.columns.values(), NUMBER]
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


def finish_file(path: Path, account: dict[str, Any]) -> dict[str, DatasetInfo]:
    """Finish the file of a killed writer: drop rows nobody acknowledged, write the account.

    Args:
        path: the file.
        account: as for `Hdf5Sink.close`; its `written` frames are the first rows of the file.

    Raises:
        DataError: it cannot be opened.
    """
    file = Container(path, new=False)
    groups = load_layout(file.h5[f"{MDW}/layout"].asstr()[()])
    trim_groups(file.h5, groups, account["written"] // groups[0].every)
    write_account(file.h5, account)
    kept = describe_datasets(file.h5, path)
    file.close()
    return kept
