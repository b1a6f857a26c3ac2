"""A file that HDF5 changes in whole steps only, so that a writer may be killed at any moment.

HDF5 brings its bookkeeping up to date in several small writes; a writer killed between two of them leaves a file that
may not open. Here such writes wait in memory. `commit` puts them into a *journal* beside the file first, then into the
file. After a kill `replay` does the last commit once more: the file is as it was after the last complete commit.

What lies behind the end of the last commit belongs to nobody yet. Writes there, which are the frames, go straight to
the file, so that the journal stays small. Its two files, `NAME.journal0` and `NAME.journal1`, are written in turn: one
of them is always complete. They carry a note of the writer's own, too, and are removed at a clean end.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import xxhash

_HEAD = struct.Struct(
    "<8sQQQQQ"
)  # magic, commit, size of the file, size of the note, size of the body, xxh3 of the body
_WRITE = struct.Struct("<QQ")  # address, size
_MAGIC = b"MDWJRNL1"
_ANY_END = 2**64 - 1
"""Size of the file in a commit that leaves it alone."""
_LOCK_POLL_S = 0.05


@dataclass(frozen=True)
class Commit:
    """One step of a file.

    Attributes:
        number: counts up from 1.
        end: size of the file after it.
        note: the writer's own.
        writes: (address, bytes), in their order.
    """

    number: int
    end: int
    note: bytes = b""
    writes: list[tuple[int, bytes]] = field(default_factory=list)

    def pack(self) -> bytes:
        """As bytes of a journal."""
        parts = [self.note]
        for address, data in self.writes:
            parts += [_WRITE.pack(address, len(data)), data]
        body = b"".join(parts)
        return _HEAD.pack(_MAGIC, self.number, self.end, len(self.note), len(body), _digest(self, body)) + body

    @classmethod
    def read(cls, path: Path) -> Commit | None:
        """The commit in a journal; None when there is none, or its writer was killed in it."""
        try:
            raw = path.read_bytes()
        except FileNotFoundError:
            return None
        if len(raw) < _HEAD.size:
            return None
        magic, number, end, note_size, size, digest = _HEAD.unpack_from(raw)
        body = raw[_HEAD.size : _HEAD.size + size]
        if magic != _MAGIC or len(body) != size or _digest(cls(number, end), body) != digest:
            return None
        writes, at = [], note_size
        while at < size:
            address, length = _WRITE.unpack_from(body, at)
            at += _WRITE.size
            writes.append((address, body[at : at + length]))
            at += length
        return cls(number, end, body[:note_size], writes)

    def apply(self, file: int) -> None:
        """Put it into the file; as often as one likes."""
        for address, data in self.writes:
            write_all(file, data, address)
        if self.end not in (_ANY_END, os.fstat(file).st_size):
            os.ftruncate(file, self.end)


def _digest(commit: Commit, body: bytes) -> int:
    return int(xxhash.xxh3_64_intdigest(body, seed=(commit.number * 0x9E3779B97F4A7C15 + commit.end) % 2**64))


def write_all(file: int, data: bytes | memoryview, address: int) -> None:
    """`os.pwrite` until everything is written.

    Raises:
        OSError: no room, or the limit for files is reached.
    """
    view = memoryview(data).cast("B")
    while view:
        done = os.pwrite(file, view, address)
        view, address = view[done:], address + done


def name_journals(path: Path) -> tuple[Path, Path]:
    """The two journals of a file."""
    return path.with_name(path.name + ".journal0"), path.with_name(path.name + ".journal1")


def find_commit(path: Path) -> Commit | None:
    """The last complete commit of a file whose writer is dead; None when it was closed, or died before the first."""
    found = [commit for journal in name_journals(path) if (commit := Commit.read(journal)) is not None]
    return max(found, key=lambda commit: commit.number, default=None)


def replay(path: Path) -> Commit | None:
    """Bring a file whose writer died to the state after its last complete commit; returns that commit.

    Raises:
        OSError: it cannot be written.
    """
    commit = find_commit(path)
    if commit is not None:
        file = os.open(path, os.O_WRONLY)
        try:
            commit.apply(file)
        finally:
            os.close(file)
    return commit


def remove_journals(path: Path) -> None:
    """The file needs them no more."""
    for journal in name_journals(path):
        journal.unlink(missing_ok=True)


class _Journals:
    """The two journals of a file, written in turn. They are locked: a file has one writer.

    Raises:
        BlockingIOError: another writer has them, and is not gone within `patience_s`.
    """

    def __init__(self, path: Path, *, power: bool, patience_s: float) -> None:
        self._power = power
        self._files = [os.open(name, os.O_WRONLY | os.O_CREAT, 0o666) for name in name_journals(path)]
        deadline = time.monotonic() + patience_s
        while not _lock(self._files[0]):
            if time.monotonic() >= deadline:
                self.close()
                raise BlockingIOError(errno.EWOULDBLOCK, "another program writes it")
            time.sleep(_LOCK_POLL_S)  # a killed writer's lock goes when the kernel has taken it apart

    def write(self, commit: Commit) -> None:
        file = self._files[commit.number % 2]
        write_all(file, commit.pack(), 0)
        if self._power:
            os.fsync(file)

    def close(self) -> None:
        for file in self._files:
            os.close(file)
        self._files = []


def _lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class NoteBook:
    """Notes of a writer whose file looks after itself (SWMR): a journal without changes of the file.

    Args:
        path: the file; its journals are there.
        power: notes survive a power failure, too.
        patience_s: how long another writer may take to be gone.

    Raises:
        BlockingIOError: another program writes the file.
    """

    def __init__(self, path: Path, *, power: bool = False, patience_s: float = 0.0) -> None:
        self._journals = _Journals(path, power=power, patience_s=patience_s)
        last = find_commit(path)
        self._number = 0 if last is None else last.number
        self._note: bytes | None = None

    def write(self, note: bytes) -> None:
        """Keep a note; it replaces the last one.

        Raises:
            OSError: no room; the last one stays.
        """
        if note != self._note:
            self._journals.write(Commit(self._number + 1, _ANY_END, note))
            self._number, self._note = self._number + 1, note

    def close(self) -> None:
        """Close it; the notes stay."""
        self._journals.close()


def _sync_folder(folder: Path) -> None:
    """Names of new files survive a power failure, too."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


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
            self._journals = _Journals(path, power=power, patience_s=patience_s)
        except OSError:
            os.close(self.fd)
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
