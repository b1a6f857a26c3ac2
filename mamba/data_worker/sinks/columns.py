"""Datasets of small rows: numbers, sums, spectra. The newest rows stay in memory, so that late ones cost nothing."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np
import xxhash
from numpy.typing import NDArray

_CHUNK_BYTES = 2**15
_HELD_BYTES = 2**23


def choose_chunk(row_bytes: int) -> int:
    """Rows that HDF5 keeps together: about 32 kB, which every commit writes again while they fill."""
    return max(16, min(4096, _CHUNK_BYTES // max(1, row_bytes)))


def keep_gaps(dtype: str) -> np.dtype[Any]:
    """The type in which rows are kept that may be missing: floats as they are, integers as float64 with NaN.

    Integers are exact below 2⁵³.
    """
    kind = np.dtype(dtype)
    return kind if kind.kind in "fc" else np.dtype(np.float64)


def create_column(group: h5py.Group, name: str, dtype: Any, shape: tuple[int, ...], *, fill: Any) -> h5py.Dataset:
    """A dataset of rows, none yet."""
    rows = choose_chunk(int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize)
    return group.create_dataset(
        name, (0, *shape), maxshape=(None, *shape), chunks=(rows, *shape), dtype=dtype, fillvalue=fill
    )


class Extendable:
    """A dataset that grows along its first axis, by HDF5's own calls: h5py's take 0.1 to 0.2 ms more for each.

    Args:
        dataset: chunked, without limit along its first axis.

    Attributes:
        count: rows it has.
    """

    def __init__(self, dataset: h5py.Dataset) -> None:
        self._id, self._row, self._dtype = dataset.id, dataset.shape[1:], dataset.dtype
        self.count: int = dataset.shape[0]

    def resize(self, count: int) -> None:
        """As many rows."""
        if count != self.count:
            self._id.set_extent((count, *self._row))
            self.count = count

    def write(self, first: int, rows: NDArray[Any]) -> None:
        """Write rows from `first` on."""
        data = np.ascontiguousarray(rows, dtype=self._dtype)
        self._id.write(*self._select(first, len(data)), data)

    def read(self, first: int, end: int) -> NDArray[Any]:
        """Rows `first` to `end - 1`."""
        data = np.empty((end - first, *self._row), dtype=self._dtype)
        if data.size:
            self._id.read(*self._select(first, len(data)), data)
        return data

    def _select(self, first: int, count: int) -> tuple[h5py.h5s.SpaceID, h5py.h5s.SpaceID]:
        shape = (count, *self._row)
        space = self._id.get_space()
        space.select_hyperslab((first, *(0 for _ in self._row)), shape)
        return h5py.h5s.create_simple(shape), space


class Column:
    """Rows of one dataset, in memory until `flush`, and the newest for longer.

    Args:
        dataset: made by `create_column`; what it holds stays.
        checksums: dataset of one xxh3 for each chunk of rows, or None.
    """

    def __init__(self, dataset: h5py.Dataset, checksums: h5py.Dataset | None = None) -> None:
        self._dataset = Extendable(dataset)
        self._checksums = None if checksums is None else Extendable(checksums)
        self._chunk = dataset.chunks[0]
        self._gap = np.full(dataset.shape[1:], dataset.fillvalue, dtype=dataset.dtype)
        self._held = max(4 * self._chunk, _HELD_BYTES // max(1, self._gap.nbytes))
        count = self._dataset.count
        self._base = count // self._chunk * self._chunk  # row of the first in memory
        self._rows = self._blank(min(self._held, 4 * self._chunk))
        self._rows[: count - self._base] = self._dataset.read(self._base, count)
        # first changed row, changed chunks before _base; rows may have been cut off: the last chunk is signed anew
        self._low, self._old = self._base, set[int]()

    def _blank(self, rows: int) -> NDArray[Any]:
        return np.full((rows, *self._gap.shape), self._gap, dtype=self._gap.dtype)

    def put(self, row: int, values: NDArray[Any]) -> None:
        """Set consecutive rows from `row` on."""
        if row < self._base:
            before = min(len(values), self._base - row)
            self._dataset.write(row, values[:before])
            self._old.update(range(row // self._chunk, (row + before - 1) // self._chunk + 1))
            row, values = row + before, values[before:]
        if len(values):
            end = row - self._base + len(values)
            if end > len(self._rows):
                self._rows = np.concatenate([self._rows, self._blank(max(end - len(self._rows), len(self._rows)))])
            self._rows[row - self._base : end] = values
            self._low = min(self._low, row)

    def flush(self, count: int) -> None:
        """Hand the rows before `count` to HDF5; rows that were never set hold the fill value."""
        self._low = min(self._low, self._dataset.count)
        self._dataset.resize(count)
        low = max(self._low, self._base)
        if count > low:
            self.put(count, self._blank(0))
            self._grow(count)
            self._dataset.write(low, self._rows[low - self._base : count - self._base])
        if self._checksums is not None and (self._old or count > low):
            self._sign(low, count)
        self._low, self._old = count, set()
        self._forget(count)

    def _grow(self, count: int) -> None:
        missing = count - self._base - len(self._rows)
        if missing > 0:
            self._rows = np.concatenate([self._rows, self._blank(missing)])

    def _sign(self, low: int, count: int) -> None:
        assert self._checksums is not None
        self._checksums.resize(-(-count // self._chunk))
        for chunk in sorted(self._old):
            first = chunk * self._chunk
            rows = self._dataset.read(first, min(count, first + self._chunk))
            self._checksums.write(chunk, np.array([digest_rows(rows)]))
        first = low // self._chunk
        signs = []
        for start in range(first * self._chunk, count, self._chunk):
            rows = self._rows[start - self._base : min(count, start + self._chunk) - self._base]
            signs.append(digest_rows(rows))
        if signs:
            self._checksums.write(first, np.array(signs))

    def _forget(self, count: int) -> None:
        if count - self._base > self._held:
            base = (count - self._held // 2) // self._chunk * self._chunk
            kept = self._rows[base - self._base :]
            self._rows, self._base = np.concatenate([kept, self._blank(min(self._chunk, base - self._base))]), base


def digest_rows(rows: NDArray[Any]) -> np.uint64:
    """xxh3 (64 bits) of rows as they lie in memory; never 0, which says that nothing is there."""
    return np.uint64(xxhash.xxh3_64_intdigest(np.ascontiguousarray(rows).data) or 1)
