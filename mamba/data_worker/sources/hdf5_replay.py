"""Source: a dataset of an HDF5 file, played again as if it came from a detector.

The first axis is frame numbers. Beside the dataset, `frame_number` (as in our own files) says which is which: rows are
put in order, a number that stands twice is taken once, and what was missing then is missing again. A file with
one chunk per frame is read chunk by chunk, without HDF5's filters; bitshuffled LZ4 is unpacked in threads.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from mamba.data_worker.frame import End
from mamba.data_worker.nodes import Flow, Job, NodeParameters, Rows, Source
from mamba.data_worker.ring import LARGEST_SLOT_BYTES
from mamba.data_worker.sources.decompression import Encoding, decompress
from mamba.errors import GraphInvalid, StreamBroken

_FILTERS: dict[int, Encoding] = {32008: "bslz4", 32004: "lz4"}
_BITSHUFFLE_LZ4 = 2
_MOST_ROWS = 10_000


class ReplayParameters(NodeParameters):
    """Which dataset, and how fast."""

    file: Path = Field(description="the file, where the node runs")
    dataset: str = Field("/entry/data/frames", description="path inside the file; its first axis is frame numbers")
    rate: float = Field(0.0, ge=0, json_schema_extra={"units": "frames/s"}, description="0: as fast as they are taken")
    threads: int = Field(2, ge=1, le=64, description="threads that unpack bitshuffled LZ4")


class Hdf5Replay(Source):
    """A dataset of an HDF5 file, played again by its frame numbers, at a rate or as fast as it is taken.

    Measured on two cores, 1024² uint16 from the page cache: one chunk per frame 6,000 frames/s, the same in
    bitshuffled LZ4 750 with two threads and 500 with one.
    """

    takes = ReplayParameters

    @property
    def settings(self) -> ReplayParameters:
        """The parameters."""
        assert isinstance(self.parameters, ReplayParameters)
        return self.parameters

    def plan(self, inputs: dict[str, Flow]) -> Flow:
        """What the dataset holds."""
        with self._open_file(GraphInvalid) as file:
            dataset = self._find(file)
            shape, dtype = tuple(int(n) for n in dataset.shape[1:]), dataset.dtype.newbyteorder("=").name
            columns = tuple(map(str, dataset.attrs.get("columns", ())))
            units = str(dataset.attrs.get("units", ""))
        row_bytes = Flow(shape, dtype).row_bytes
        block = max(1, min(_MOST_ROWS, LARGEST_SLOT_BYTES // row_bytes))
        return Flow(shape, dtype, block, units=units, columns=columns if shape == (len(columns),) else ())

    def _open_file(self, kind: type[GraphInvalid] | type[StreamBroken]) -> h5py.File:
        path = self.settings.file
        try:
            return h5py.File(path, "r", locking=False)
        except OSError as error:
            seen = "no such file" if not path.exists() else str(error)[:200]
            raise kind(f"node {self.name!r}: {path} cannot be read", seen=seen, remedy="name another file") from None

    def _find(self, file: h5py.File) -> h5py.Dataset:
        where = f"node {self.name!r}: {self.settings.file}"
        dataset = file.get(self.settings.dataset)
        if not isinstance(dataset, h5py.Dataset):
            found: list[str] = []
            file.visititems(lambda name, item: found.append(f"/{name}") if isinstance(item, h5py.Dataset) else None)
            raise GraphInvalid(
                f"{where} has no dataset {self.settings.dataset}",
                seen=f"datasets: {', '.join(found[:6]) or 'none'}{', …' if len(found) > 6 else ''}",
                remedy="name one of them",
            )
        if not dataset.shape or not all(dataset.shape[1:]) or dataset.dtype.kind not in "uif":
            raise GraphInvalid(
                f"{where} {self.settings.dataset} cannot be played",
                seen=f"shape {dataset.shape}, {dataset.dtype}",
                remedy="it takes numbers whose first axis is the frame",
            )
        return dataset

    def open(self, job: Job, inputs: dict[str, Flow]) -> None:
        """Open the file and read the frame numbers.

        Raises:
            StreamBroken: the file cannot be read any more.
        """
        self._arm, self._stopped = job.arm, threading.Event()
        self._file = self._open_file(StreamBroken)
        self._dataset = self._find(self._file)
        self._numbers, self._rows = self._read_numbers()
        self._at, self._began = 0, 0.0
        self._encoding = self._find_encoding()
        self._pool = ThreadPoolExecutor(self.settings.threads, thread_name_prefix=f"{self.name} unpacks")

    def _read_numbers(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        rows = np.arange(len(self._dataset), dtype=np.int64)
        beside = self._dataset.parent.get("frame_number")
        if not isinstance(beside, h5py.Dataset) or beside.shape != rows.shape or beside.dtype.kind not in "ui":
            return rows, rows
        numbers, first = np.unique(beside[()].astype(np.int64), return_index=True)
        return numbers, first.astype(np.int64)

    def _find_encoding(self) -> Encoding | None:
        """How a chunk is packed, when there is one for each frame and HDF5 is not needed to unpack it."""
        dataset = self._dataset
        if dataset.chunks != (1, *dataset.shape[1:]) or not dataset.dtype.isnative:
            return None
        plist = dataset.id.get_create_plist()
        if plist.get_nfilters() == 0:
            return "raw"
        code, _, values, _ = plist.get_filter(0)
        if plist.get_nfilters() > 1 or (code == 32008 and (len(values) < 5 or values[4] != _BITSHUFFLE_LZ4)):
            return None
        return _FILTERS.get(code)

    def fill(self, out: Rows, timeout_s: float) -> tuple[int, int] | End | None:
        """Read frames whose numbers follow each other, as many as are due.

        Raises:
            StreamBroken: the file cannot be read any more.
        """
        if self._at == len(self._numbers):
            return End(self._arm, self._count_produced())
        due = self._await_due(timeout_s)
        if not due:
            return None
        first = int(self._numbers[self._at])
        wanted = self._numbers[self._at : self._at + min(due, len(out))]
        count = int(np.argmin(wanted == np.arange(first, first + len(wanted)))) or len(wanted)
        rows = self._rows[self._at : self._at + count]
        try:
            self._read(rows, out)
        except (OSError, ValueError, KeyError) as error:
            raise StreamBroken(
                f"node {self.name!r}: {self.settings.file} cannot be read any more",
                seen=f"frames {first} to {first + count - 1}: {error}"[:300],
            ) from None
        self._at += count
        return first, count

    def _await_due(self, timeout_s: float) -> int:
        """How many frames are due now; waits for the next one."""
        left = len(self._numbers) - self._at
        if not self.settings.rate:
            return left
        now = time.monotonic()
        self._began = self._began or now
        wait_s = self._began + self._at / self.settings.rate - now
        if wait_s > 0 and self._stopped.wait(min(wait_s, timeout_s)):
            return 0
        passed = int((time.monotonic() - self._began) * self.settings.rate) + 1
        return max(0, min(left, passed - self._at))

    def _read(self, rows: NDArray[np.int64], out: Rows) -> None:
        if self._encoding is None:
            self._read_by_hdf5(rows, out)
            return
        jobs = []
        for row, target in zip(rows.tolist(), out, strict=False):
            raw = target.reshape(-1).view(np.uint8)
            offset = (row, *(0 for _ in target.shape))
            if self._encoding == "raw":
                self._dataset.id.read_direct_chunk(offset, out=raw)
                continue
            skipped, data = self._dataset.id.read_direct_chunk(offset)
            how: Encoding = "raw" if skipped else self._encoding
            jobs.append(self._pool.submit(decompress, data, how, target))
        for job in jobs:
            job.result()

    def _read_by_hdf5(self, rows: NDArray[np.int64], out: Rows) -> None:
        first, count = int(rows[0]), len(rows)
        if np.array_equal(rows, np.arange(first, first + count)):
            self._dataset.read_direct(out, np.s_[first : first + count], np.s_[:count])
            return
        for at, row in enumerate(rows.tolist()):
            out[at] = self._dataset[row]

    def _count_produced(self) -> int:
        """What the ledger in the file says, or one more than the last number."""
        last = int(self._numbers[-1]) + 1 if len(self._numbers) else 0
        ledger: Any = self._dataset.parent.parent.get("mdw/produced")
        return max(last, int(ledger[()])) if isinstance(ledger, h5py.Dataset) and ledger.shape == () else last

    def stop(self) -> None:
        """Close the file."""
        if hasattr(self, "_pool"):
            self._stopped.set()
            self._pool.shutdown()
            self._file.close()
