"""Datasets of whole frames: one chunk for each, written straight from the ring, or packed by several threads first."""

from __future__ import annotations

import os
import struct
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any, Literal

import h5py
import numpy as np
import xxhash
from numpy.typing import NDArray

from mamba.data_worker.nodes import Item
from mamba.data_worker.sinks.columns import Column, Extendable
from mamba.errors import DataError

Compression = Literal["none", "bslz4"]

_FILTER = 32008  # bitshuffle, in the HDF Group's list of registered filters
_FILTER_OPTIONS = (0, 2)  # block size as the library likes it; LZ4
_HEAD = struct.Struct(">QI")
_BLOCK_BYTES = 8192
_FIRST_ROWS = 1024


def create_frames(
    group: h5py.Group, name: str, dtype: str, shape: tuple[int, ...], *, compression: Compression
) -> h5py.Dataset:
    """A dataset of frames, none yet; a frame that never comes reads as NaN, or 0 where the type has none.

    Raises:
        DataError: what packs them is not installed.
    """
    kind = np.dtype(dtype)
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_chunk((1, *shape))
    if kind.kind in "fc":
        plist.set_fill_value(np.array(np.nan, dtype=kind))
    if compression == "bslz4":
        import_packers(name)
        plist.set_filter(_FILTER, h5py.h5z.FLAG_MANDATORY, _FILTER_OPTIONS)
    space = h5py.h5s.create_simple((0, *shape), (h5py.h5s.UNLIMITED, *shape))
    made = h5py.h5d.create(group.id, name.encode(), h5py.h5t.py_create(kind, logical=True), space, plist)
    return h5py.Dataset(made)


def import_packers(name: str) -> Any:
    """Load the bitshuffle library, and the filter that says in the file how to read it.

    Raises:
        DataError: one of them is not installed.
    """
    try:
        import hdf5plugin  # noqa: F401  # registers the filter

        with _one_thread_each():
            import bitshuffle
    except ImportError as error:
        raise DataError(
            f"{name}: cannot be packed with bslz4", seen=str(error), remedy="pip install 'mamba-beamline[data-worker]'"
        ) from None
    return bitshuffle


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """OpenMP reads this when it is loaded; with threads of its own beside ours packing takes ten times as long."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before


class Packer:
    """Packs frames with bitshuffle and LZ4 in threads of its own, and hands them back in the order they came.

    It keeps two frames for each thread, so that the newest are packed while older ones are written.
    """

    def __init__(self, name: str, threads: int) -> None:
        self._pack = import_packers(name).compress_lz4
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=f"pack {name}")
        self._ahead = 2 * threads
        self._items: deque[tuple[Item, int]] = deque()  # with its frames' bytes

    @property
    def waiting_bytes(self) -> int:
        """Size, before packing, of what was not handed back."""
        return sum(nbytes for _, nbytes in self._items)

    def put(self, item: Item) -> None:
        """Begin with the frames of an item; they must stay as they are until it is handed back."""
        chunks = np.empty(item.count, dtype=object)
        for number, frame in enumerate(item.data):
            chunks[number] = self._pool.submit(self._make_chunk, frame)
        self._items.append((replace(item, arrays={item.source: chunks}), item.data.nbytes))

    def _make_chunk(self, frame: NDArray[Any]) -> bytes:
        return b"".join((_HEAD.pack(frame.nbytes, _BLOCK_BYTES), self._pack(frame).data))

    def take(self, *, rest: bool = False) -> Iterator[Item]:
        """Items for `Frames.write`: those that have waited long enough, or the rest of them."""
        left = sum(item.count for item, _ in self._items)
        while self._items and (rest or left - self._items[0][0].count >= self._ahead):
            item, _ = self._items.popleft()
            left -= item.count
            yield item

    def drop(self) -> None:
        """What was not handed back is not wanted any more."""
        for item in self.take(rest=True):
            for future in item.data:
                future.cancel()

    def close(self) -> None:
        """End the threads when everything is packed; what was not handed back can still be taken."""
        self._pool.shutdown()


class Frames:
    """The frames of one flow.

    Args:
        dataset: made by `create_frames`; what it holds stays.
        checksums: one xxh3 of the stored bytes for each row; 0: no frame.
        strict: `Container.strict` of its file.
    """

    fd: int | None = None
    """Descriptor of the file they go to, if it is not the raw file."""

    def __init__(
        self,
        dataset: h5py.Dataset,
        checksums: h5py.Dataset,
        strict: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._dataset, self._strict = Extendable(dataset), strict
        self._write_chunk, self._origin = dataset.id.write_direct_chunk, (0,) * (dataset.ndim - 1)
        count = self._dataset.count
        self._kept = np.zeros(max(count, _FIRST_ROWS), dtype=bool)
        self._kept[:count] = checksums[:count] != 0
        self._checksums = Column(checksums)

    def write(self, rows: NDArray[np.int64], numbers: NDArray[np.int64], frames: NDArray[Any]) -> None:
        """Write frames into their rows; a frame that is there already stays.

        Args:
            rows: one for each frame.
            numbers: of the frames, for who writes them, too.
            frames: shape (count, *shape), or for a packed dataset their chunks, as `Packer.take` gives them.

        Raises:
            OSError: no room; those before the one that failed are written.
        """
        end = int(rows.max()) + 1
        if end > len(self._kept):
            self._kept = np.concatenate([self._kept, np.zeros(max(end, len(self._kept)), dtype=bool)])
        new = ~self._kept[rows]
        if new.any():
            self._dataset.resize(max(end, self._dataset.count))
            for row, which in zip(rows[new].tolist(), np.flatnonzero(new).tolist(), strict=True):
                chunk = frames[which]
                if isinstance(chunk, Future):
                    chunk = chunk.result()
                with self._strict():
                    self._write_chunk((row, *self._origin), chunk)
                self._kept[row] = True
                self._checksums.put(row, np.array([digest_chunk(chunk)]))

    def holds(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of these rows have a frame."""
        return np.array([row < len(self._kept) and self._kept[row] for row in rows.tolist()])

    def forget(self, count: int) -> None:
        """Rows from `count` on are nobody's again."""
        self._kept[count:] = False

    def flush(self, count: int) -> None:
        """Hand everything to HDF5."""
        self._dataset.resize(count)
        self._checksums.flush(count)


def digest_chunk(chunk: Any) -> np.uint64:
    """xxh3 (64 bits) of a chunk as it is stored; never 0."""
    return np.uint64(xxhash.xxh3_64_intdigest(chunk) or 1)
