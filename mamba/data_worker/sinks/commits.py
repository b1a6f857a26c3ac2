"""Journals: the last change of a file, complete, beside it.

A journal holds one commit: which bytes belong where, how long the file is then, and a note of its writer's. The two
journals of a file, `NAME.journal0` and `NAME.journal1`, are written in turn, so that one of them is always complete.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import time
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


class Journals:
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
        """Write a commit over the one before the last.

        Raises:
            OSError: no room; the last one stays.
        """
        file = self._files[commit.number % 2]
        write_all(file, commit.pack(), 0)
        if self._power:
            os.fsync(file)

    def close(self) -> None:
        """Unlock and close them; they stay."""
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
        self._journals = Journals(path, power=power, patience_s=patience_s)
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
