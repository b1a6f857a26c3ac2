"""The ledger's account in the raw file, /entry/mdw: what existed, what is here, and why the rest is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mamba.data_worker.ledger import DatasetInfo
from mamba.data_worker.sinks.layout import DATA

MDW = "entry/mdw"


def write_account(file: h5py.File, account: dict[str, Any]) -> None:
    """Write it; an earlier one is replaced."""
    mdw = file[MDW]
    for key in ("produced", "written", "duplicates", "reason", "missing"):
        if key in mdw:
            del mdw[key]
    for key in ("produced", "written", "duplicates"):
        mdw[key] = np.int64(account[key])
    mdw["reason"] = account["reason"]
    missing = mdw.create_group("missing")
    missing.attrs["NX_class"] = "NXcollection"
    ranges = account["missing"]
    missing["first"] = np.array([gap[0] for gap in ranges], dtype=np.int64)
    missing["last"] = np.array([gap[1] for gap in ranges], dtype=np.int64)
    for column, key in ((2, "node"), (3, "reason")):
        missing.create_dataset(key, data=[gap[column] for gap in ranges], dtype=h5py.string_dtype())


def describe_datasets(file: h5py.File, path: Path) -> dict[str, DatasetInfo]:
    """The datasets of /entry/data, by name."""
    return {
        name: DatasetInfo(path, item.name, tuple(item.shape), item.dtype.name, str(item.attrs.get("units", "")))
        for name, item in file[DATA].items()
    }
