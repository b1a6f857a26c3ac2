"""A file that HDF5 changes in whole steps only, so that a writer may be killed at any moment.

HDF5 brings its bookkeeping up to date in several small writes; a writer killed between two of them leaves a file that
may not open. Here such writes wait in memory. `commit` puts them into a journal first (`commits.py`), then into the
file. After a kill `replay` does the last commit once more: the file is as it was after the last complete commit.

What lies behind the end of the last commit belongs to nobody yet. Writes there, which are the frames, go straight to
the file, so that the journal stays small.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mamba.data_worker.sinks.commits import Commit, Journals, remove_journals, replay, write_all


class JournaledFile:
    """What h5py takes for a file (its driver `fileobj`); belongs to one thread.

    Args:
        path: the file.
        new: make it; else it is there, and its last commit is replayed.
        power: commits also survive a power failure: each waits for the disk.
        patience_s: how long another writer may take to be gone.

    Attributes:
        note: what the last commit said, for who goes on with the file.

    Raises:
        OSError: it exists (`new`), cannot be made or opened, or another program writes it.
    """

    def __init__(self, path: Path, *, new: bool, power: bool = False, patience_s: float = 0.0) -> None:
        self.path, self._power = path, power
        self.fd = os.open(path, os.O_RDWR | (os.O_CREAT | os.O_EXCL if new else 0), 0o666)
        if new:
            remove_journals(path)  # of a file of that name that was taken away
        try:
            self._journals = Journals(path, power=power, patience_s=patience_s)
        except OSError:
            os.close(self.fd)
            if new:
                path.unlink()
            raise
        last = None if new else replay(path)
        if power:
            _sync_folder(path.parent)
        self._at = 0
        self._number, self.note = (0, b"") if last is None else (last.number, last.note)
        self._safe_end = self._end = os.fstat(self.fd).st_size
        self._waiting: list[tuple[int, bytes]] = []
        self._changed = False
        self._refusal: OSError | None = None

    @property
    def size(self) -> int:
        """Size of the file as HDF5 sees it."""
        return max([self._end, *(address + len(data) for address, data in self._waiting)])

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As of any file."""
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence]
        return self._at

    def tell(self) -> int:
        """As of any file."""
        return self._at

    def read(self, size: int) -> bytes:
        """As of any file."""
        buffer = bytearray(size)
        return bytes(buffer[: self.readinto(buffer)])

    def readinto(self, buffer: bytearray | memoryview) -> int:
        """Read what was written, also what still waits."""
        view = memoryview(buffer).cast("B")
        first, end, done = self._at, self._at + len(view), 0
        while done < len(view):
            part = os.preadv(self.fd, [view[done:]], first + done)
            if not part:
                view[done:] = bytes(len(view) - done)  # not there yet: HDF5 knows what it may read
                break
            done += part
        for address, data in self._waiting:
            low, high = max(first, address), min(end, address + len(data))
            if low < high:
                view[low - first : high - first] = data[low - address : high - address]
        self._at = end
        return len(view)

    @contextmanager
    def strict(self) -> Iterator[None]:
        """Raises at its end when a write within it had no room: HDF5 itself would not bear the error.

        What was to be written waits in memory for the next commit.

        Raises:
            OSError: no room.
        """
        self._refusal = None
        yield
        if self._refusal is not None:
            raise self._refusal

    def write(self, data: bytes | memoryview) -> int:
        """Write behind the last commit's end, or keep for the next commit, as what has no room: then that raises."""
        view = memoryview(data).cast("B")
        address, self._at = self._at, self._at + len(view)
        if not self._write_behind(view, address):
            self._waiting = [(at, old) for at, old in self._waiting if at < address or at + len(old) > self._at]
            self._waiting.append((address, bytes(view)))
        self._changed = True
        return len(view)

    def _write_behind(self, view: memoryview, address: int) -> bool:
        end = address + len(view)
        if address < self._safe_end or any(at < end and at + len(old) > address for at, old in self._waiting):
            return False
        try:
            write_all(self.fd, view, address)
        except OSError as error:
            self._refusal = error
            return False
        self._end = max(self._end, end)
        return True

    def truncate(self, size: int) -> int:
        """The file ends there, from the next commit on."""
        if size != self._end:
            self._end, self._changed = size, True
        return size

    def flush(self) -> None:
        """HDF5 asks for it whenever; what counts is `commit`."""

    def commit(self, note: bytes = b"") -> bool:
        """Make everything written so far the new state of the file; returns False when there was nothing to do.

        Raises:
            OSError: no room; the file stays as the last commit left it, and this commit can be tried again.
        """
        if not (self._changed or note != self.note):
            return False
        commit = Commit(self._number + 1, self.size, note, self._waiting)
        for address, data in self._waiting:
            os.posix_fallocate(self.fd, address, len(data))  # once in the journal, it must not fail any more
        if self._power:
            os.fsync(self.fd)
        self._journals.write(commit)
        self._number += 1
        commit.apply(self.fd)
        self._safe_end = self._end = commit.end
        self._waiting, self.note, self._changed = [], note, False
        return True

    def close(self, *, clean: bool = True) -> None:
        """Close it; `clean`: everything is committed, and the journals go. Idempotent."""
        if self.fd < 0:
            return
        self._journals.close()
        if clean and self._power:
            os.fsync(self.fd)
        os.close(self.fd)
        self.fd = -1
        if clean or not self._number:
            remove_journals(self.path)


def _sync_folder(folder: Path) -> None:
    """Names of new files survive a power failure, too."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
