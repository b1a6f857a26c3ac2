"""The audit log's lines on disk: what an entry is, where the chain ends, and whether anybody changed it.

*Entry*: one JSON object in one line; `n` counts from 1, `prev` is the SHA-256 of the bytes of the line before it
(without its line feed). *Chain*: all entries, across the files `audit.1.jsonl`, `audit.2.jsonl` … `audit.jsonl`, oldest
first. *Head*: number and hash of the newest entry, in `audit.head`. *Torn*: a line that a power cut left unfinished;
it stays, the entry after it says so. Everything here only reads, except `write_head`.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

Entry = dict[str, Any]
"""`n, time, prev, verb, person, role, origin, pid, text, id, cell, result, desc, duration_s, files`; s since 1970."""

NOTHING = "0" * 64
"""`prev` of the first entry."""
TORN, CUT, GAP = "log/torn", "log/cut", "log/gap"
"""Verbs of what the log says of itself: a torn line, a tail that is not the one of the head, entries never written."""
_TAIL_BYTES = 4 * 2**20
_FOLLOW_S = 0.1


@dataclass(frozen=True)
class Problem:
    """One place where the chain is not as it was written; `kind` is torn, changed, removed, moved or cut."""

    kind: str
    file: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file.name} line {self.line}: {self.kind}: {self.text}"


@dataclass(frozen=True)
class Head:
    """Number and hash of the newest entry."""

    n: int = 0
    digest: str = NOTHING


@dataclass(frozen=True)
class Line:
    """One line as it stands in a file, without its line feed; the last one may have none (`ended`)."""

    file: Path
    number: int
    data: bytes
    ended: bool = True


def compute_digest(line: bytes) -> str:
    """SHA-256 of a line without its line feed, in hexadecimal."""
    return hashlib.sha256(line).hexdigest()


def parse_entry(line: bytes) -> Entry | None:
    """The entry in a line, None when there is none."""
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    is_entry = isinstance(entry, dict) and type(entry.get("n")) is int and isinstance(entry.get("prev"), str)
    return entry if is_entry else None


def list_rotated(file: Path) -> list[Path]:
    """The full files before `file`, oldest first."""
    numbered = {}
    for path in file.parent.glob(f"{file.stem}.*{file.suffix}"):
        number = path.name.removeprefix(f"{file.stem}.").removesuffix(file.suffix)
        if number.isdecimal():
            numbered[int(number)] = path
    return [numbered[number] for number in sorted(numbered)]


def list_files(file: Path) -> list[Path]:
    """All files of the log whose newest is `file`, oldest first."""
    return [*list_rotated(file), *([file] if file.exists() else [])]


def find_head_file(file: Path) -> Path:
    """Where the head of this log is kept."""
    return file.with_suffix(".head")


def read_head(file: Path) -> Head | None:
    """The head; None when its file is missing or is none."""
    try:
        head = json.loads(find_head_file(file).read_bytes())
        return Head(int(head["n"]), str(head["sha256"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def write_head(file: Path, head: Head) -> None:
    """Replace the head in one step, so that a power cut leaves the old one or the new one.

    Raises:
        OSError: it cannot be written.
    """
    target = find_head_file(file)
    part = target.with_suffix(".head.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, f'{{"n": {head.n}, "sha256": "{head.digest}"}}\n'.encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    part.replace(target)


def read_lines(file: Path) -> Iterator[Line]:
    """All lines of the log, oldest first."""
    for path in list_files(file):
        with path.open("rb") as stream:
            for number, raw in enumerate(stream, 1):
                yield Line(path, number, raw.removesuffix(b"\n"), ended=raw.endswith(b"\n"))


def read_entries(file: Path) -> Iterator[Entry]:
    """All entries that can be read, oldest first; `verify` names the lines that are none."""
    return (entry for line in read_lines(file) if (entry := parse_entry(line.data)) is not None)


def follow_entries(file: Path, *, after: int) -> Iterator[Entry]:
    """Entries with a number above `after` (the last that was read, 0 for none), for ever, also of the next files.

    By number, since more may have been written between the reading and now; even a file may have become full.
    """
    while not file.exists():
        time.sleep(_FOLLOW_S)
    following = list_files(file)[-2:][0]
    while True:
        with following.open("rb") as stream:
            following = yield from _follow_one(file, stream, after)


def _follow_one(file: Path, stream: BinaryIO, after: int) -> Generator[Entry, None, Path]:
    """What is written to one file until it is full; returns the file after it."""
    rest = b""
    while True:
        following = _find_following(
            file, os.fstat(stream.fileno()).st_ino
        )  # before reading: a full file stays as it is
        *whole, rest = (rest + stream.read()).split(b"\n")
        entries = (entry for line in whole if (entry := parse_entry(line)) is not None)
        yield from (entry for entry in entries if entry["n"] > after)
        if following is not None:
            return following
        time.sleep(_FOLLOW_S)  # as `tail -f`


def _find_following(file: Path, inode: int) -> Path | None:
    """The file after the one with this inode; None when it is the newest, or was numbered at this moment."""
    files = list_files(file)
    inodes = [path.stat().st_ino for path in files]
    position = inodes.index(inode) if inode in inodes else len(files)
    return files[position + 1] if position + 1 < len(files) else None


@dataclass
class End:
    """Where a chain ends: `last` is the line that the next entry names, and how it is with that line."""

    n: int = 0
    last: str = NOTHING
    torn: bool = False
    unended: bool = False
    digests: dict[int, str] = field(default_factory=dict)

    def agrees_with(self, head: Head | None) -> bool:
        """Whether the entry that the head names is there, as far back as was looked."""
        if head is None:
            return self.n == 0
        return head.n <= self.n and self.digests.get(head.n, head.digest) == head.digest


def find_end(file: Path) -> End:
    """The end of the log whose newest file is `file`, from the last 4 MiB."""
    end, torn = End(), NOTHING
    for path in reversed(list_files(file)):
        lines = _read_tail(path)
        if path == file and lines:
            end.unended = lines[-1] != b""
            lines = lines if end.unended else lines[:-1]
            end.torn = bool(lines) and parse_entry(lines[-1]) is None
            torn = compute_digest(lines[-1]) if end.torn else NOTHING
        for line in lines:
            if (entry := parse_entry(line)) is not None:
                end.n, end.last = entry["n"], compute_digest(line)
                end.digests[end.n] = end.last
        if end.n:
            break
    if end.torn:
        end.last = torn
    return end


def _read_tail(path: Path) -> list[bytes]:
    """The last lines; the last item is what stands after the last line feed."""
    with path.open("rb") as stream:
        start = max(0, stream.seek(0, os.SEEK_END) - _TAIL_BYTES)
        stream.seek(start)
        lines = stream.read().split(b"\n")
    return lines[1:] if start else lines


def verify(file: Path) -> list[Problem]:
    """Every place where the log whose newest file is `file` is not as the session host wrote it.

    Found are lines that were changed, removed, inserted or put elsewhere, and a tail that was cut off; of a session
    that runs or was killed, the entries of the last second or so are not in the head yet and can be cut unseen. Whoever
    may write to the folder can change a line, compute everything after it anew, and the head with it: a site that wants
    to find that too copies `audit.head` to another machine from time to time and compares.
    """
    while True:
        files, check = list_files(file), _Check(file, read_head(file))  # the head first: the log is never behind it
        for line in read_lines(file):
            check.take(line)
        if list_files(file) == files:  # else a file became full meanwhile
            return check.end()


class _Check:
    def __init__(self, file: Path, head: Head | None) -> None:
        self._head = head
        self._n, self._prev = 0, NOTHING
        self._line = Line(file, 0, b"")
        self._unread: Line | None = None
        self._problems: list[Problem] = []

    def _report(self, kind: str, line: Line, text: str) -> None:
        self._problems.append(Problem(kind, line.file, line.number, text))

    def take(self, line: Line) -> None:
        entry, digest = parse_entry(line.data), compute_digest(line.data)
        if entry is None:
            self._blame_unread()
            self._unread = line
        else:
            self._compare(line, entry)
            if self._head is not None and entry["n"] == self._head.n and digest != self._head.digest:
                self._report("changed", line, f"entry {entry['n']} is not the one that the head names")
            self._n = entry["n"]
        self._prev, self._line = digest, line

    def _compare(self, line: Line, entry: Entry) -> None:
        n = entry["n"]
        if self._unread is not None:
            # a full disk may have kept the entry that says so from being written
            if entry.get("verb") in (TORN, GAP) and (n, entry["prev"]) == (self._n + 1, self._prev):
                self._report("torn", self._unread, "a power cut left this line unfinished; the chain goes on after it")
                self._unread = None
            self._blame_unread()
        elif n > self._n + 1:
            self._report("removed", line, f"entries {self._n + 1} to {n - 1} are missing before entry {n}")
        elif n <= self._n:
            self._report("moved", line, f"entry {n} stands after entry {self._n}: inserted, or put elsewhere")
        elif entry["prev"] != self._prev:
            self._report("changed", line, f"entry {n} names another line than the one before it: one was changed")
        if entry.get("verb") == CUT:
            self._report("cut", line, str(entry.get("desc")))

    def _blame_unread(self) -> None:
        if self._unread is not None:
            self._report("changed", self._unread, "this line is no entry")
            self._unread = None

    def end(self) -> list[Problem]:
        if not self._line.ended:
            self._report("torn", self._line, "the last line is not finished")
            self._unread = None
        self._blame_unread()
        if self._head is None and self._line.number:
            self._report("cut", self._line, "the head is missing, so that a cut tail cannot be seen")
        elif self._head is not None and self._head.n > self._n:
            self._report("cut", self._line, f"the log ends with entry {self._n}, its head names entry {self._head.n}")
        return self._problems
