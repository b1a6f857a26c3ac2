"""The ledger's account in the raw file, /entry/mdw: what existed, what is here, and why the rest is not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mamba.data_worker.ledger import DatasetInfo
from mamba.data_worker.sinks.facts import format_now, set_field, write_devices
from mamba.data_worker.sinks.layout import DATA, NUMBER, load_layout

MDW = "entry/mdw"
_TEXTS = ("node", "reason", "name", "input")


def write_account(file: h5py.File, account: dict[str, Any]) -> None:
    """Write it; an earlier one is replaced."""
    mdw = file[MDW]
    for key in (
        "produced",
        "written",
        "duplicates",
        "reason",
        "notes",
        "missing",
        "edges",
        "nodes",
        "alone",
        "missing_rows",
    ):
        if key in mdw:
            del mdw[key]
    for key in ("produced", "written", "duplicates"):
        mdw[key] = np.int64(account[key])
    mdw["reason"] = account["reason"]
    mdw.create_dataset("notes", data=account.get("notes", []), dtype=h5py.string_dtype())
    set_field(file["entry"], "end_time", format_now())
    write_devices(file["entry"], account.get("devices"), when="after")
    gaps = list(zip(*account["missing"], strict=True)) or [()] * 4
    _write_table(mdw, "missing", dict(zip(("first", "last", "node", "reason"), gaps, strict=True)))
    edges = account.get("edges", {})
    counts = {what: [edge[what] for edge in edges.values()] for what in ("sent", "dropped")}
    _write_table(mdw, "edges", {"name": list(edges), **counts})
    nodes = account.get("nodes", {})
    _write_table(mdw, "nodes", {"name": list(nodes), "rows": [told["rows"] for told in nodes.values()]})
    alone = list(zip(*[[name, *gap] for name, told in nodes.items() for gap in told["alone"]], strict=True)) or [()] * 4
    _write_table(mdw, "alone", dict(zip(("node", "input", "first", "last"), alone, strict=True)))
    _write_missing_rows(file)


def _write_table(group: h5py.Group, name: str, columns: dict[str, Sequence[Any]]) -> None:
    table = group.create_group(name)
    table.attrs["NX_class"] = "NXcollection"
    for column, values in columns.items():
        kind = h5py.string_dtype() if column in _TEXTS else np.int64
        table.create_dataset(column, data=list(values), dtype=kind)


def _write_missing_rows(file: h5py.File) -> None:
    """Name the rows that one flow of frames has not got though another one has: they read as NaN, or as 0."""
    gone = file[MDW].create_group("missing_rows")
    gone.attrs["NX_class"] = "NXcollection"
    for group in load_layout(file[f"{MDW}/layout"].asstr()[()]):
        numbers = file[f"{group.path}/{NUMBER}"][:]
        for flow, name in group.images.items():
            if flow in group.split:
                continue  # its checksums stand in its own files
            empty = file[group.checksums(name)][: len(numbers)] == 0
            if empty.any():
                gone[name] = numbers[: len(empty)][empty]


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
