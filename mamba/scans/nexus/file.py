"""HDF5 the way NeXus wants it: groups with a class, fields with units, links with a target; and a file that survives.

A master file is written with `libver=("earliest", "v108")`: after a flush it opens with a plain open even if its writer
was killed in the meantime, which newer formats without SWMR do not.
"""

from __future__ import annotations

import os
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mamba.errors import DiskFull

_ROWS_PER_CHUNK = 1024
_SPARE_BYTES = 2**21


def create_file(path: Path) -> Any:
    """Open a new NeXus file for writing; an existing one is never touched.

    Raises:
        FileExistsError: there is one with that name.
        DiskFull: no room for it.
    """
    check_room(path)
    # HDF5's lock would keep every viewer out while the run goes on; nobody else writes to a name taken exclusively
    file = h5py.File(path, "x", libver=("earliest", "v108"), locking=False)
    # evicted metadata would reach the file between two flushes, and a killed writer leave it half changed
    cache = file.id.get_mdc_config()
    cache.incr_mode = cache.flash_incr_mode = cache.decr_mode = 0
    cache.evictions_enabled = False
    file.id.set_mdc_config(cache)
    file.attrs["NX_class"] = "NXroot"
    file.attrs["default"] = "entry"
    file.attrs["file_name"] = path.name
    file.attrs["file_time"] = format_time(datetime.now().timestamp())
    file.attrs["creator"] = "mamba"
    file.attrs["HDF5_Version"] = h5py.version.hdf5_version
    file.attrs["h5py_version"] = h5py.version.version
    return file


def check_room(path: Path) -> None:
    """Find out before anything is written: HDF5 takes its process along when a file cannot be closed.

    Raises:
        DiskFull: hardly any room is left where `path` is.
    """
    free = shutil.disk_usage(path.parent).free
    if free < _SPARE_BYTES:
        raise DiskFull(
            f"{path}: no room for what comes next",
            seen=f"{free / 2**20:.1f} MiB free",
            remedy="free space: the points that wait are written as soon as there is room",
        )


def format_time(timestamp: float) -> str:
    """ISO 8601 with the local offset, to the millisecond."""
    return datetime.fromtimestamp(timestamp).astimezone().isoformat(timespec="milliseconds")


def make_group(parent: Any, path: str, nx_class: str) -> Any:
    """The group `path` below `parent`, made with its class if it is not there yet."""
    group = parent.require_group(path)
    group.attrs.setdefault("NX_class", nx_class)
    return group


def write_field(group: Any, name: str, value: Any, *, units: str = "", long_name: str = "") -> Any:
    """Write one field whose value is known; a text, a number or an array of numbers."""
    if name in group:
        del group[name]
    if isinstance(value, str):  # HDF5 takes neither NUL nor half a character
        value = value.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()
    field = group.create_dataset(name, data=value)
    describe_field(field, units=units, long_name=long_name)
    return field


def describe_field(field: Any, *, units: str = "", long_name: str = "") -> None:
    """Set unit and label where there are any."""
    if units:
        field.attrs["units"] = units
    if long_name:
        field.attrs["long_name"] = long_name


def make_column(group: Any, name: str, *, dtype: Any, shape: tuple[int, ...] = ()) -> Any:
    """An empty field that grows along its first dimension, one row per point."""
    row_bytes = max(1, int(np.prod(shape, dtype=np.int64))) * np.dtype(dtype if dtype != "str" else "O").itemsize
    rows = max(1, min(_ROWS_PER_CHUNK, 2**20 // row_bytes))
    kind = h5py.string_dtype() if dtype == "str" else dtype
    return group.create_dataset(name, shape=(0, *shape), maxshape=(None, *shape), chunks=(rows, *shape), dtype=kind)


def append_rows(column: Any, rows: Any) -> None:
    """Append rows to a column."""
    count = column.shape[0]
    column.resize(count + len(rows), axis=0)
    column[count:] = rows


def link_field(group: Any, name: str, field: Any) -> None:
    """Let `name` in `group` be `field` itself; `target` names the place it was written to, as NeXus links do."""
    field.attrs.setdefault("target", field.name)
    if name in group:
        del group[name]
    group[name] = field


def link_outside(group: Any, name: str, *, file: Path, path: str) -> None:
    """Let `name` in `group` be `path` in another file, found relative to this one so that both can be moved."""
    here = Path(group.file.filename).absolute().parent
    relative = os.path.relpath(file.absolute(), here)
    if name in group:
        del group[name]
    group[name] = h5py.ExternalLink(relative, path)


def copy_group(group: Any, name: str, *, file: Path, path: str) -> None:
    """Copy a small group of another file, with everything in it."""
    with h5py.File(file, "r", locking=False) as source:
        source.copy(path, group, name=name)


def list_companions(file: Path, path: str) -> dict[str, int]:
    """The dataset `path` of a file and those beside it with as many rows, path → rank; and the group of the ledger, 0.

    Empty when the file has no such dataset.
    """
    with h5py.File(file, "r", locking=False) as opened:
        if path not in opened:
            return {}
        dataset = opened[path]
        found = {
            item.name: item.ndim
            for item in dataset.parent.values()
            if isinstance(item, h5py.Dataset) and item.ndim and item.shape[0] == dataset.shape[0]
        }
        if "/entry/mdw" in opened:
            found["/entry/mdw"] = 0
        return found


def plot_by_default(entry: Any, group_name: str) -> None:
    """Let viewers start with that NXdata group."""
    entry.attrs["default"] = group_name


def set_plot(group: Any, *, signal: str, axes: list[str], auxiliary: list[str] | None = None) -> None:
    """Say which field of an NXdata group is plotted against which."""
    group.attrs["signal"] = signal
    group.attrs["axes"] = np.array(axes, dtype=h5py.string_dtype())
    if auxiliary:
        group.attrs["auxiliary_signals"] = np.array(auxiliary, dtype=h5py.string_dtype())
