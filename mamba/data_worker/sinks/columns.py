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


class Column:
    """Rows of one dataset, in memory until `flush`, and the newest for longer.

    Args:
        dataset: made by `create_column`; what it holds stays.
        checksums: dataset of one xxh3 for each chunk of rows, or None.
    """

    def __init__(self, dataset: h5py.Dataset, checksums: h5py.Dataset | None = None) -> None:
        self._dataset, self._checksums = dataset, checksums
        self._chunk = dataset.chunks[0]
        row_bytes = max(1, int(np.prod(dataset.shape[1:], dtype=np.int64)) * dataset.dtype.itemsize)
        self._held = max(4 * self._chunk, _HELD_BYTES // row_bytes)
        count = len(dataset)
        self._base = count // self._chunk * self._chunk  # row of the first in memory
        self._rows = self._blank(min(self._held, 4 * self._chunk))
        self._rows[: count - self._base] = dataset[self._base : count]
        # first changed row, changed chunks before _base; rows may have been cut off: the last chunk is signed anew
        self._low, self._old = self._base, set[int]()

    def _blank(self, rows: int) -> NDArray[Any]:
        return np.full((rows, *self._dataset.shape[1:]), self._dataset.fillvalue, dtype=self._dataset.dtype)

    def put(self, row: int, values: NDArray[Any]) -> None:
        """Set consecutive rows from `row` on."""
        if row < self._base:
            before = min(len(values), self._base - row)
            self._dataset[row : row + before] = values[:before]
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
        if count != len(self._dataset):
            self._low = min(self._low, len(self._dataset))
            self._dataset.resize(count, axis=0)
        low = max(self._low, self._base)
        if count > low:
            self.put(count, self._blank(0))
            self._grow(count)
            self._dataset[low:count] = self._rows[low - self._base : count - self._base]
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
        self._checksums.resize(-(-count // self._chunk), axis=0)
        for chunk in sorted(self._old):
            first = chunk * self._chunk
            self._checksums[chunk] = digest_rows(self._dataset[first : min(count, first + self._chunk)])
        first = low // self._chunk
        signs = []
        for start in range(first * self._chunk, count, self._chunk):
            rows = self._rows[start - self._base : min(count, start + self._chunk) - self._base]
            signs.append(digest_rows(rows))
        if signs:
            self._checksums[first : first + len(signs)] = signs

    def _forget(self, count: int) -> None:
        if count - self._base > self._held:
            base = (count - self._held // 2) // self._chunk * self._chunk
            kept = self._rows[base - self._base :]
            self._rows, self._base = np.concatenate([kept, self._blank(min(self._chunk, base - self._base))]), base


def digest_rows(rows: NDArray[Any]) -> np.uint64:
    """xxh3 (64 bits) of rows as they lie in memory; never 0, which says that nothing is there."""
    return np.uint64(xxhash.xxh3_64_intdigest(np.ascontiguousarray(rows).data) or 1)
