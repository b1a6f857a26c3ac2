"""Frames of one flow split over several files, each whole by itself; the raw file shows them as one virtual dataset.

Part k, `NAME_FLOW_0000k.h5`, holds the rows from k · n on, with their frame numbers and checksums. Parts are committed
before the raw file, which counts the rows: what a killed writer left behind its count is cut off.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from mamba.data_worker.sinks.account import MDW
from mamba.data_worker.sinks.columns import Column, create_column
from mamba.data_worker.sinks.container import Container
from mamba.data_worker.sinks.facts import make_class
from mamba.data_worker.sinks.frames import Compression, Frames, create_frames
from mamba.data_worker.sinks.layout import CHECKSUMS, DATA, FRAMES, NUMBER, GroupLayout, dump_layout
from mamba.data_worker.sinks.writeback import Writeback

_OPEN_PARTS = 2
"""Newest parts that stay open: frames of several flows may be that far apart."""


def name_part(path: Path, dataset: str, number: int) -> Path:
    """File of the n-th part, beside the raw file."""
    return path.with_name(f"{path.stem}_{dataset}_{number:05d}.h5")


def list_parts(path: Path, dataset: str) -> list[Path]:
    """The parts that are there, in their order."""
    found: list[Path] = []
    while (part := name_part(path, dataset, len(found))).exists():
        found.append(part)
    return found


class _Part:
    """One file of frames."""

    def __init__(self, path: Path, name: str, source: PartedFrames, *, new: bool) -> None:
        self.file = Container(path, new=new, power=source.power, patience_s=source.patience_s)
        if new:
            _make_part(self.file.h5, name, source)
        data, sums = self.file.h5[DATA], self.file.h5[CHECKSUMS]
        self.frames = Frames(data[name], sums[name], self.file.strict)
        self.numbers = Column(data[NUMBER], sums[NUMBER])
        self.rows = len(data[NUMBER])
        self.writeback = Writeback(self.file.fd)
        self.changed = new

    def flush(self) -> None:
        if self.changed:
            self.frames.flush(self.rows)
            self.numbers.flush(self.rows)
            self.file.commit()
            self.changed = False

    def cut(self, rows: int) -> None:
        if rows < self.rows:
            self.rows, self.changed = rows, True
            self.frames.forget(rows)

    def close(self) -> None:
        self.writeback.close()
        try:
            self.flush()
            self.file.close()
        finally:
            self.file.abandon()


def _make_part(file: h5py.File, name: str, source: PartedFrames) -> None:
    file.attrs["default"] = "entry"
    entry = make_class(file, "entry", "NXentry")
    entry.attrs["default"] = "data"
    data = make_class(entry, "data", "NXdata")
    data.attrs.update({"signal": name, "axes": [NUMBER, *["."] * len(source.shape)], f"{NUMBER}_indices": 0})
    frames = create_frames(data, name, source.dtype, source.shape, compression=source.compression)
    frames.attrs.update({"units": source.units or "counts", "long_name": name})
    create_column(data, NUMBER, np.int64, (), fill=-1).attrs["long_name"] = "frame number"
    sums = make_class(file, CHECKSUMS, "NXcollection")
    for dataset in (name, NUMBER):
        create_column(sums, dataset, np.uint64, (), fill=0)
    make_class(file, MDW, "NXcollection")["layout"] = dump_layout([GroupLayout(DATA, 1, name, {name: name}, {})])
    entry["mdw/part_of"] = source.path.name


class PartedFrames:
    """Takes the place of `Frames`; see there.

    Args:
        path: the raw file.
        name: of the dataset.
        rows: in each part.
        count: rows of the raw file; what the parts hold behind them is cut off.
    """

    def __init__(
        self,
        path: Path,
        name: str,
        *,
        rows: int,
        count: int,
        dtype: str,
        shape: tuple[int, ...],
        units: str,
        compression: Compression,
        power: bool,
        patience_s: float,
    ) -> None:
        self.path, self.dtype, self.shape, self.units = path, dtype, shape, units
        self.compression, self.power, self.patience_s = compression, power, patience_s
        self._name, self._rows = name, rows
        self._parts: dict[int, _Part] = {}
        cut_parts(path, name, rows=rows, count=count, patience_s=patience_s)

    @property
    def fd(self) -> int | None:
        """The newest part's descriptor."""
        return self._parts[max(self._parts)].file.fd if self._parts else None

    def _open(self, number: int) -> _Part:
        if number not in self._parts:
            path = name_part(self.path, self._name, number)
            self._parts[number] = _Part(path, self._name, self, new=not path.exists())
            for old in sorted(self._parts)[:-_OPEN_PARTS]:
                if old != number:
                    self._parts.pop(old).close()
        return self._parts[number]

    def _split(self, rows: NDArray[np.int64]) -> Iterator[tuple[_Part, NDArray[np.bool_]]]:
        for number in np.unique(rows // self._rows).tolist():
            yield self._open(number), rows // self._rows == number

    def write(self, rows: NDArray[np.int64], numbers: NDArray[np.int64], frames: NDArray[Any]) -> None:
        """Write frames into their rows.

        Raises:
            OSError: no room; those before the one that failed are written.
        """
        for part, chosen in self._split(rows):
            local = rows[chosen] % self._rows
            part.changed = True
            part.rows = max(part.rows, int(local.max()) + 1)
            for row, number in zip(local.tolist(), numbers[chosen], strict=True):
                part.numbers.put(row, np.array([number]))
            part.frames.write(local, numbers[chosen], frames[chosen])
            part.writeback.advance()

    def holds(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of these rows have a frame."""
        found = np.zeros(len(rows), dtype=bool)
        for part, chosen in self._split(rows):
            found[chosen] = part.frames.holds(rows[chosen] % self._rows)
        return found

    def flush(self, count: int) -> None:
        """Commit all parts; the raw file is committed after them."""
        for number, part in self._parts.items():
            part.cut(max(0, count - number * self._rows))
            part.flush()

    def close(self) -> None:
        """Close all parts."""
        for part in self._parts.values():
            part.close()
        self._parts = {}


def cut_parts(path: Path, name: str, *, rows: int, count: int, patience_s: float) -> None:
    """Mend the parts that a dead writer left, and cut off what stands behind the raw file's `count` rows.

    Raises:
        DataError: a part cannot be opened, or its writer lives.
    """
    for number, part in enumerate(list_parts(path, name)):
        left = max(0, min(rows, count - number * rows))
        if not left:
            part.unlink()
            for journal in part.parent.glob(f"{part.name}.journal[01]"):
                journal.unlink()
            continue
        file = Container(part, new=False, patience_s=patience_s)
        for item in (DATA, CHECKSUMS):
            dataset = file.h5[f"{item}/{name}"]
            if len(dataset) > left:
                dataset.resize(left, axis=0)
        numbers, sums = file.h5[f"{DATA}/{NUMBER}"], file.h5[f"{CHECKSUMS}/{NUMBER}"]
        if len(numbers) > left:
            numbers.resize(left, axis=0)
            Column(numbers, sums).flush(left)
        file.close()


def show_parts(file: h5py.File, path: Path, group: GroupLayout) -> None:
    """Make the virtual datasets of a group's split flows, and list their files."""
    count = len(file[f"{group.path}/{NUMBER}"])
    for flow, rows in group.split.items():
        name = group.images[flow]
        old = file[f"{group.path}/{name}"]
        layout = h5py.VirtualLayout((count, *old.shape[1:]), old.dtype)
        parts = list_parts(path, name)
        for number, part in enumerate(parts):
            first, end = number * rows, min(count, (number + 1) * rows)
            names = escape_source(part.name), escape_source(f"{DATA}/{name}")
            layout[first:end] = h5py.VirtualSource(*names, (end - first, *old.shape[1:]))
        attributes = dict(old.attrs)
        del file[f"{group.path}/{name}"]
        made = file.create_virtual_dataset(f"{group.path}/{name}", layout, fillvalue=choose_fill(old.dtype))
        made.attrs.update(attributes)
        for link in (f"entry/{name}/{name}", *(["entry/instrument/detector/data"] if name == FRAMES else [])):
            if link in file:
                del file[link]
                file[link] = made
        _list_parts(file, [part.name for part in parts])


def escape_source(name: str) -> str:
    """A name for a virtual dataset: HDF5 counts with %b."""
    return name.replace("%", "%%")


def choose_fill(dtype: np.dtype[Any]) -> Any:
    """What a frame reads as that never came."""
    return dtype.type(np.nan if dtype.kind in "fc" else 0)


def _list_parts(file: h5py.File, names: list[str]) -> None:
    known = file[f"{MDW}/parts"].asstr()[:].tolist() if f"{MDW}/parts" in file else []
    if known:
        del file[f"{MDW}/parts"]
    file[MDW].create_dataset("parts", data=list(dict.fromkeys([*known, *names])), dtype=h5py.string_dtype())
