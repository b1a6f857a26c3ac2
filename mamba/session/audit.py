"""The audit log: who asked for what, from where, with which result; only ever appended to (mode 0600).

An entry is one write, without waiting for the disk; the disk is told to keep it (fsync) within `SYNC_S` by a thread,
and the head is renewed after that. So a crash of the session loses nothing, a power cut the last second or so.
Files become full at 32 MiB and get a number; none is ever deleted. `mamba.session.audit_chain` reads and checks.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from mamba.config import Profile
from mamba.errors import AlreadyRunning, FacilityError
from mamba.runtime import RuntimeDirectory
from mamba.session.audit_chain import (
    CUT,
    GAP,
    TORN,
    Head,
    compute_digest,
    find_end,
    list_rotated,
    read_head,
    write_head,
)
from mamba.session.loop import Loop, Timer

log = logging.getLogger(__name__)

ROTATE_BYTES = 32 * 2**20
"""A file that would become longer is closed and numbered."""
SYNC_S = 1.0
"""How long an entry may be in memory only, as far as the disk does its part."""
MAX_CHARS = 16_000
"""The longest text or description of an entry; of longer ones the beginning is kept."""
_MAX_FILES = 100
_MAX_NAME_CHARS = 500


def find_audit_file(profile: Profile, runtime: RuntimeDirectory) -> Path:
    """The newest file of the log: what the profile names as `data.audit`, else `logs/audit.jsonl`."""
    return profile.data.audit or runtime.logs / "audit.jsonl"


def clip_text(text: str, limit: int = MAX_CHARS) -> str:
    """The text, or its beginning and how long it was."""
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text)} characters)"


class AuditLog:
    """The only writer of one log; goes on where the last one ended.

    Args:
        file: the newest file; its folder is made if there is none.
        loop: for the timer.
        rotate_bytes: how long a file becomes.

    Raises:
        FacilityError: the file cannot be opened.
        AlreadyRunning: another session writes it.
    """

    def __init__(self, file: Path, loop: Loop, *, rotate_bytes: int = ROTATE_BYTES) -> None:
        self._file, self._loop, self._rotate_bytes = file, loop, rotate_bytes
        self._lost = 0
        self._troubles: set[str] = set()
        self._timer: Timer | None = None
        self._syncing: Future[None] | None = None
        self._thread = ThreadPoolExecutor(1, "audit")  # an fsync may take long, and the loop must not wait
        try:
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            head, end = read_head(file), find_end(file)
            self._descriptor = self._open(file)
        except OSError as error:
            raise FacilityError(
                f"audit log {file}: cannot be used",
                seen=error.strerror or str(error),
                remedy="mend its rights, or name another file in data.audit of the profile",
            ) from None
        self._size = os.fstat(self._descriptor).st_size
        self._head = Head(end.n, end.last)
        self._before = b"\n" if end.unended else b""
        if end.torn:
            self.add(TORN, desc="the line before was left unfinished by a power cut")
        if not end.agrees_with(head):
            named = f"its head names entry {head.n}" if head else "its head is missing"
            self.add(CUT, desc=f"the log ended with entry {end.n} when the session began, {named}")
        self._sync(os.dup(self._descriptor), self._head)

    @staticmethod
    def _open(file: Path) -> int:
        descriptor = os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise AlreadyRunning(
                f"audit log {file}: another session writes it",
                remedy="name another file in data.audit of one of the profiles",
            ) from None
        return descriptor

    def add(
        self,
        verb: str,
        *,
        person: str = "",
        role: str = "",
        origin: str = "",
        pid: int | None = None,
        text: str = "",
        id: str = "",
        cell: int | None = None,
        result: str = "",
        desc: str = "",
        duration_s: float | None = None,
        files: Sequence[str] = (),
    ) -> None:
        """Append one entry; what cannot be written is counted, and an entry says how many once it works again.

        Args:
            verb: the request ("run/abort"), "cmd" also for a cell that was typed.
            person: on whose behalf.
            role: of the person.
            origin: program or window; "console" for what was typed.
            pid: process of the client.
            text: of the command, or the reason that was given; at most `MAX_CHARS` are kept.
            id: of the command.
            cell: number of the command's `In [n]`.
            result: "" or the code of the error.
            desc: text of the error.
            duration_s: from beginning to end.
            files: that the command wrote.
        """
        if self._lost:
            self._add_gap()
        self._append(
            verb=verb,
            person=clip_text(person, _MAX_NAME_CHARS),
            role=role,
            origin=clip_text(origin, _MAX_NAME_CHARS),
            pid=pid,
            text=clip_text(text),
            id=clip_text(id, _MAX_NAME_CHARS),
            cell=cell,
            result=result,
            desc=clip_text(desc),
            duration_s=None if duration_s is None else round(duration_s, 6),
            files=[clip_text(str(file), _MAX_NAME_CHARS) for file in files[:_MAX_FILES]],
        )
        if self._timer is None:
            self._timer = self._loop.call_later(SYNC_S, self._sync_later)

    def _add_gap(self) -> None:
        lost = self._lost
        if self._append(verb=GAP, desc=f"gap: {lost} entries could not be written"):
            self._lost -= lost
            self._troubles.clear()
        else:
            self._lost = lost

    def _append(self, **fields: object) -> bool:
        entry = {"n": self._head.n + 1, "time": round(time.time(), 6), "prev": self._head.digest, **fields}
        line = json.dumps(entry).encode()
        if self._size + len(line) >= self._rotate_bytes and self._size and not self._before:
            self._rotate()
        if not self._write(self._before + line + b"\n"):
            self._lost += 1
            return False
        self._before = b""
        self._head = Head(self._head.n + 1, compute_digest(line))
        return True

    def _write(self, data: bytes) -> bool:
        """Write all of it or nothing."""
        try:
            written = os.write(self._descriptor, data)
            if written == len(data):
                self._size += written
                return True
            os.ftruncate(self._descriptor, self._size)
            self._tell("cannot be written: the disk is full")
        except OSError as error:  # must not end the session
            self._tell(f"cannot be written: {error.strerror}")
        return False

    def _tell(self, trouble: str) -> None:
        """Log a trouble once, until writing works again."""
        if trouble not in self._troubles:
            self._troubles.add(trouble)
            log.warning("audit log %s: %s", self._file, trouble)

    def _rotate(self) -> None:
        """Number the full file and begin the next; where that fails the full one is written on."""
        part = self._file.with_suffix(".next")
        numbers = [
            int(path.name.removesuffix(self._file.suffix).rpartition(".")[2]) for path in list_rotated(self._file)
        ]
        try:
            following = self._open(part)
            self._file.rename(self._file.with_suffix(f".{max(numbers, default=0) + 1}{self._file.suffix}"))
            part.rename(self._file)
        except OSError as error:
            self._tell(f"cannot begin the next file: {error.strerror}")
            return
        full, self._descriptor, self._size = self._descriptor, following, 0
        self._thread.submit(self._sync, full, self._head)

    def _sync_later(self) -> None:
        self._timer = None
        if self._lost:
            self._add_gap()
        if self._lost or (self._syncing is not None and not self._syncing.done()):
            self._timer = self._loop.call_later(SYNC_S, self._sync_later)
        else:
            self._syncing = self._thread.submit(self._sync, os.dup(self._descriptor), self._head)

    def _sync(self, descriptor: int, head: Head) -> None:
        """Have the disk keep everything up to `head`, then say so in its file; closes the descriptor."""
        try:
            os.fsync(descriptor)
            write_head(self._file, head)
        except OSError as error:
            self._tell(f"cannot be synced: {error.strerror}")
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """Sync and close."""
        if self._timer is not None:
            self._timer.cancel()
        if self._lost:
            self._add_gap()
        self._thread.shutdown()
        self._sync(self._descriptor, self._head)
