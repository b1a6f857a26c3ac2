"""Sink: the raw HDF5 file of one arm, one chunk per frame, readable by plain HDF5 at every flush.

Chunks go straight from the ring to the file (`write_direct_chunk`). Format "earliest" with flushes survives a killed
writer: a plain open shows everything acknowledged. Acknowledged means handed to the kernel: it survives any process,
but not a power failure. Layout::

    /entry                NXentry
      data                NXdata: frames (n, height, width), frame_number (n), one (n, columns) dataset per table
      mdw                 NXcollection: the ledger, the graph and what the run said about itself

Tables are kept as float64 (exact for integers below 2⁵³), so that NaN can mark a row that never came.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from pydantic import Field

from mamba.data_worker.ledger import DatasetInfo, RangeSet
from mamba.data_worker.nodes import Flow, Item, Job, NodeParameters, Sink
from mamba.data_worker.sinks.writeback import Writeback
from mamba.errors import DataError, DiskFull, GraphInvalid

_RESERVED = ("frames", "frame_number")
_ROWS = 4096
"""Rows of the small datasets held and stored together."""
_ROWS_AT_FIRST = 2**20


class Hdf5Parameters(NodeParameters):
    """How careful the file is with the disk."""

    spare_mib: int = Field(16, ge=1, description="free space, in MiB, that is left for the file's own bookkeeping")


class Hdf5Sink(Sink):
    """Writes frames in the order they come; row i of every dataset belongs to frame_number[i]."""

    takes = Hdf5Parameters
    inputs = (1, 17)

    def plan(self, inputs: dict[str, Flow]) -> None:
        """One input of images, any number of rows of numbers, with names that leave /entry/data unambiguous."""
        for name in inputs:
            if name in _RESERVED:
                raise GraphInvalid(f"node {self.name!r}: the file has a dataset {name!r}", remedy="rename that node")
        images = [name for name, flow in inputs.items() if len(flow.shape) == 2]
        if len(images) != 1:
            raise GraphInvalid(
                f"node {self.name!r}: it needs one input of frames",
                seen=", ".join(images) or "none",
                remedy="mend the edges",
            )

    def open(self, job: Job, inputs: dict[str, Flow]) -> None:
        """Make the file.

        Raises:
            DataError: it exists, or the folder does not take it.
        """
        assert isinstance(self.parameters, Hdf5Parameters)
        self._spare = self.parameters.spare_mib << 20
        self.path = job.file
        self.files = (job.file,)
        self._file = h5py.File(job.file, "r+") if job.resume else _create(job.file)
        # Evicted metadata would reach the file between two flushes, and a killed writer leave it half changed.
        config = self._file.id.get_mdc_config()
        config.incr_mode = config.flash_incr_mode = config.decr_mode = 0
        config.evictions_enabled = False
        self._file.id.set_mdc_config(config)
        self._tables = {name: flow for name, flow in inputs.items() if len(flow.shape) != 2}
        self._form = next(flow for name, flow in inputs.items() if len(flow.shape) == 2)
        # a slip of the keyboard may ask for 10^12 frames: the tables grow when that many really come
        at_first = min(max(job.frames, _ROWS), _ROWS_AT_FIRST)
        self._rows = np.full(at_first, -1, dtype=np.int64)  # frame number → row
        self._numbers = np.empty(self._rows.size, dtype=np.int64)  # row → frame number
        self._values = {n: np.full((self._rows.size, *form.shape), np.nan) for n, form in self._tables.items()}
        self._count = self._flushed = self._oldest_change = 0
        if job.resume:
            self._resume()
        else:
            self._layout(job)
        self._file.flush()
        self._writeback = Writeback(self._file.id.get_vfd_handle())

    def _resume(self) -> None:
        """Take up the file of a writer that was killed: what it had flushed stays, the rest comes again."""
        data = self._file["entry/data"]
        self._frames = data["frames"]
        self._small = {name: data[name] for name in ("frame_number", *self._tables)}
        numbers = data["frame_number"][:]
        self._make_room(int(numbers.max(initial=0)) + 1)
        self._count = self._flushed = self._oldest_change = len(numbers)
        self._numbers[: len(numbers)] = numbers
        self._rows[numbers] = np.arange(len(numbers))
        for name, values in self._values.items():
            values[numbers] = data[name][:]

    def discard(self) -> None:
        """Remove the empty file."""
        self._writeback.close()
        self._file.close()
        self.path.unlink()

    def _layout(self, job: Job) -> None:
        entry = self._file.create_group("entry")
        self._file.attrs["default"] = "entry"
        entry.attrs.update({"NX_class": "NXentry", "default": "data"})
        data = entry.create_group("data")
        data.attrs.update({"NX_class": "NXdata", "signal": "frames", "axes": ["frame_number", ".", "."]})
        data.attrs["frame_number_indices"] = 0
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_chunk((1, *self._form.shape))
        plist.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        space = h5py.h5s.create_simple((0, *self._form.shape), (h5py.h5s.UNLIMITED, *self._form.shape))
        kind = h5py.h5t.py_create(np.dtype(self._form.dtype), logical=True)
        self._frames = h5py.Dataset(h5py.h5d.create(data.id, b"frames", kind, space, plist))
        self._frames.attrs.update({"units": "counts", "long_name": f"{job.device or 'detector'} frames"})
        self._small = {"frame_number": _create_rows(data, "frame_number", np.int64, ())}
        self._small["frame_number"].attrs["long_name"] = "frame number"
        for name, form in self._tables.items():
            table = self._small[name] = _create_rows(data, name, np.float64, form.shape)
            table.attrs.update({"units": form.units, "long_name": name, "columns": list(form.columns)})
        mdw = entry.create_group("mdw")
        mdw.attrs.update({"NX_class": "NXcollection", "arm": job.arm, "device": job.device, "frames_asked": job.frames})
        mdw["graph"] = job.graph
        mdw["metadata"] = json.dumps(job.metadata)

    def process(self, item: Item) -> None:
        """Write a block of frames, or keep a block of rows until the next flush.

        Raises:
            DiskFull: there is no room for the block; nothing of it was written.
        """
        self._make_room(item.last + 1)
        if item.source in self._tables:
            self._take_rows(item)
        else:
            self._take_frames(item)

    def _make_room(self, numbers: int) -> None:
        more = max(numbers, self._count + self._form.block_frames) - self._rows.size
        if more > 0:
            more = max(more, self._rows.size)
            self._rows = np.append(self._rows, np.full(more, -1))
            self._numbers = np.append(self._numbers, np.empty(more, dtype=np.int64))
            for name, values in self._values.items():
                self._values[name] = np.append(values, np.full((more, *values.shape[1:]), np.nan), axis=0)

    def _take_rows(self, item: Item) -> None:
        first, end = item.first, item.last + 1
        self._values[item.source][first:end] = item.data
        rows = self._rows[first:end]
        written = rows[rows >= 0]
        if written.size:
            self._oldest_change = min(self._oldest_change, int(written.min()))

    def _take_frames(self, item: Item) -> None:
        self._check_space(item.data.nbytes)
        self._frames.id.set_extent((self._count + item.count, *self._form.shape))
        origin = (0,) * len(self._form.shape)
        for number, frame in enumerate(item.data, item.first):
            if self._rows[number] >= 0:
                continue  # it came again: the first one stays
            try:
                self._frames.id.write_direct_chunk((self._count, *origin), frame)
            except OSError as error:
                raise self._explain_full(str(error)) from None
            self._rows[number], self._numbers[self._count] = self._count, number
            self._count += 1
        self._writeback.advance()

    def _check_space(self, nbytes: int) -> None:
        stat = os.statvfs(self.path.parent)
        free = stat.f_bavail * stat.f_frsize
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
        if limit != resource.RLIM_INFINITY:
            free = min(free, limit - self.path.stat().st_size)
        if free < nbytes + self._spare:
            raise self._explain_full(f"{free / 2**20:.1f} MiB free")

    def _explain_full(self, seen: str) -> DiskFull:
        return DiskFull(
            f"{self.path}: no room for the next {self._form.block_frames} frames",
            seen=f"{seen}; {self._count} frames are safe in it",
            remedy="free space, or point data.directory of the profile at another disk, and acquire again",
        )

    def flush(self) -> list[tuple[int, int]]:
        """Hand everything to the kernel."""
        count, start = self._count, min(self._oldest_change, self._flushed)
        if count == self._flushed and start == count:
            return []
        self._frames.id.set_extent((count, *self._form.shape))
        for name, dataset in self._small.items():
            dataset.resize(count, axis=0)
            if count > start:
                numbers = self._numbers[start:count]
                dataset[start:count] = numbers if name == "frame_number" else self._values[name][numbers]
        self._file.flush()
        safe = RangeSet()
        for number in self._numbers[self._flushed : count].tolist():
            safe.add(number, 1)
        self._flushed = self._oldest_change = count
        return list(safe)

    def close(self, account: dict[str, Any]) -> dict[str, DatasetInfo]:
        """Write the account and close the file.

        Raises:
            DiskFull: not even that fits; what was flushed is safe.
        """
        self._writeback.close()
        try:
            self.flush()
            _write_account(self._file, account)
            kept = _describe(self._file, self.path)
            self._file.close()
        except OSError as error:
            raise self._explain_full(str(error)) from None
        return kept


def _create(path: Path) -> h5py.File:
    try:
        return h5py.File(path, "x", libver=("earliest", "v108"))
    except FileExistsError:
        raise DataError(f"{path}: exists", remedy="give another name; files are never overwritten") from None
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        free = shutil.disk_usage(path.parent).free >> 20 if path.parent.is_dir() else 0
        raise DataError(
            f"{path}: cannot be made",
            seen=f"{reason} ({free} MiB free)",
            remedy="check the folder: it must exist, be yours to write, and have room",
        ) from None


def _create_rows(group: h5py.Group, name: str, dtype: Any, shape: tuple[int, ...]) -> h5py.Dataset:
    chunks = (_ROWS if not shape else max(64, _ROWS // shape[0]), *shape)
    return group.create_dataset(name, (0, *shape), maxshape=(None, *shape), chunks=chunks, dtype=dtype)


def _write_account(file: h5py.File, account: dict[str, Any]) -> None:
    mdw = file["entry/mdw"]
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


def _describe(file: h5py.File, path: Path) -> dict[str, DatasetInfo]:
    return {
        name: DatasetInfo(path, item.name, tuple(item.shape), item.dtype.name, str(item.attrs.get("units", "")))
        for name, item in file["entry/data"].items()
    }


def recover(path: Path, account: dict[str, Any]) -> dict[str, DatasetInfo]:
    """Finish the file of a killed writer: drop rows nobody acknowledged, write the account.

    Args:
        path: the file.
        account: as for `Hdf5Sink.close`; its `written` frames are the first rows of the file.

    Raises:
        DataError: it cannot be opened.
    """
    try:
        file = h5py.File(path, "r+")
    except OSError as error:
        raise DataError(f"{path}: cannot be opened after its writer died", seen=str(error)) from None
    with file:
        for dataset in file["entry/data"].values():
            if dataset.shape[0] > account["written"]:
                dataset.resize(account["written"], axis=0)
        _write_account(file, account)
        return _describe(file, path)
