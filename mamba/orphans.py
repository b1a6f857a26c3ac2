"""Folders and shared memory that outlive nobody: their owner holds a lock on them, and who finds it free sweeps.

*Owned folder*: a temporary folder (Ray's, an arm's sockets) with `owner.lock` inside. An *orphan* is one whose owner
was killed, or a segment `mamba-…` in /dev/shm whose maker was: the kernel has freed the lock. With an orphaned folder
go the processes that still write files in it: Ray's agents live on for a minute when Ray was killed, under names
and parents by which nobody would know them.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import shutil
import signal
import tempfile
import time
from pathlib import Path

from mamba.runtime import Lock

SHARED = Path("/dev/shm")  # noqa: S108  # not a temporary folder: the kernel's shared memory, files are 0600
RAY_PARENT = Path("/tmp")  # noqa: S108  # Ray needs short paths; each folder is 0700
RAY_PREFIX = "mamba-ray-"
ARM_PREFIX = "mamba-mdw-"
"""Of an arm's folder beside those of others; in a runtime directory's `mdw` all are, and their names are short."""
RING_PREFIX = "mamba-"
_LOCK = "owner.lock"
_GONE_S = 5.0


class OwnedFolder:
    """A new 0700 folder that belongs to this process."""

    def __init__(self, prefix: str, parent: Path) -> None:
        hidden = Path(tempfile.mkdtemp(prefix=f".{prefix}", dir=parent))
        self._lock = Lock(hidden / _LOCK)
        # locked before it gets its name: a sweep must never find it without an owner
        self.path = hidden.rename(parent / hidden.name[1:])
        self._lock.file = self.path / _LOCK

    def remove(self) -> None:
        """Remove it; idempotent."""
        deadline = time.monotonic() + _GONE_S
        while self.path.exists() and time.monotonic() < deadline:
            shutil.rmtree(self.path, ignore_errors=True)  # one of Ray's that ends just now may write once more
        self._lock.release()


def sweep(mdw: Path) -> list[Path]:
    """All that killed owners left, see `sweep_folders` for `mdw`; returns what was removed."""
    return [*sweep_folders(mdw), *(SHARED / name for name in sweep_rings())]


def sweep_folders(mdw: Path) -> list[Path]:
    """Remove this user's orphaned folders of Ray and of arms, also those in `mdw`; returns which they were."""
    candidates = [*RAY_PARENT.glob(f"{RAY_PREFIX}*"), *Path(tempfile.gettempdir()).glob(f"{ARM_PREFIX}*")]
    return [folder for folder in [*candidates, *mdw.glob("m*")] if _sweep(folder)]


def _sweep(folder: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):  # somebody was faster
        lock = _take_over(folder / _LOCK) if folder.stat().st_uid == os.getuid() else None
        if lock is not None:
            end_writers(folder)
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)
            return True
    return False


def _take_over(file: Path) -> int | None:
    """The lock of a dead owner; None while it lives.

    It is never made: an owner in the middle of removing its folder has its lock file gone and is alive, and would be
    ended as somebody who writes there.
    """
    lock = os.open(file, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        taken = os.path.samestat(file.stat(), os.fstat(lock))
    except (BlockingIOError, FileNotFoundError):
        taken = False
    if taken:
        return lock
    os.close(lock)
    return None


def end_writers(folder: Path) -> list[int]:
    """SIGKILL to this user's other processes that write files in a folder; returns when they are gone, and who.

    Who reads a log in it is a person.
    """
    ended, own = [], os.getpid()
    for pid in [int(entry) for entry in os.listdir("/proc") if entry.isdigit() and int(entry) != own]:
        with contextlib.suppress(ProcessLookupError):
            handle = os.pidfd_open(pid)
            try:
                if _writes(pid, folder):
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
                    select.select([handle], [], [], _GONE_S)
                    ended.append(pid)
            finally:
                os.close(handle)
    return ended


def _writes(pid: int, folder: Path) -> bool:
    with contextlib.suppress(OSError):  # it ended meanwhile, or belongs to somebody else
        for entry in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                if os.readlink(f"/proc/{pid}/fd/{entry}").startswith(f"{folder}/"):
                    fields = Path(f"/proc/{pid}/fdinfo/{entry}").read_text().split()
                    if int(fields[fields.index("flags:") + 1], 8) & os.O_ACCMODE != os.O_RDONLY:
                        return True
    return False


def sweep_rings() -> list[str]:
    """Remove this user's rings whose creator is dead; returns their names."""
    swept = []
    for file in SHARED.glob(f"{RING_PREFIX}*"):
        try:
            if file.stat().st_uid != os.getuid():
                continue
            fd = os.open(file, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            continue  # its creator was faster
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            file.unlink()
            swept.append(file.name)
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.ENOENT):
                raise
        finally:
            os.close(fd)
    return swept
