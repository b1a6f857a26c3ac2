"""The ledger's account in the raw file, /entry/mdw: what existed, what is here, and why the rest is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mamba.data_worker.ledger import DatasetInfo
from mamba.data_worker.sinks.facts import format_now, set_field, write_devices
from mamba.data_worker.sinks.layout import DATA, NUMBER, load_layout

MDW = "entry/mdw"


def write_account(file: h5py.File, account: dict[str, Any]) -> None:
    """Write it; an earlier one is replaced."""
    mdw = file[MDW]
    for key in ("produced", "written", "duplicates", "reason", "missing", "notes"):
        if key in mdw:
            del mdw[key]
    for key in ("produced", "written", "duplicates"):
        mdw[key] = np.int64(account[key])
    mdw["reason"] = account["reason"]
    mdw.create_dataset("notes", data=account.get("notes", []), dtype=h5py.string_dtype())
    set_field(file["entry"], "end_time", format_now())
    write_devices(file["entry"], account.get("devices"), when="after")
    missing = mdw.create_group("missing")
    missing.attrs["NX_class"] = "NXcollection"
    ranges = account["missing"]
    missing["first"] = np.array([gap[0] for gap in ranges], dtype=np.int64)
    missing["last"] = np.array([gap[1] for gap in ranges], dtype=np.int64)
    for column, key in ((2, "node"), (3, "reason")):
        missing.create_dataset(key, data=[gap[column] for gap in ranges], dtype=h5py.string_dtype())


def describe_datasets(file: h5py.File, path: Path) -> dict[str, DatasetInfo]:
    """The datasets with a row per frame number, by name."""
    found = {}
    for group in load_layout(file[f"{MDW}/layout"].asstr()[()]):
        numbers = NUMBER if group.path == DATA else f"{NUMBER}_{group.every}"
        names = {name: name for name in (*group.images.values(), *group.columns.values())} | {numbers: NUMBER}
        for name, dataset in names.items():
            item = file[f"{group.path}/{dataset}"]
            units = str(item.attrs.get("units", ""))
            found[name] = DatasetInfo(path, f"/{group.path}/{dataset}", tuple(item.shape), item.dtype.name, units)
    return found
