"""Find and remove what belongs to one runtime directory: processes by a mark in their environment, sockets, memory.

*Mark*: `MAMBA_FACILITY=<runtime directory>` in the environment of everything the supervisor starts, and of whatever
those start in turn (Ray, a shell in the console). A person's own shell may carry MAMBA_RUNTIME_DIR, never the mark.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import stat
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mamba import orphans
from mamba.orphans import RING_PREFIX, SHARED
from mamba.runtime import RuntimeDirectory

MARK = "MAMBA_FACILITY"
PROCESS_MARK = "MAMBA_PROCESS"


@dataclass(frozen=True)
class MarkedProcess:
    """A process of the facility, or a child of one; `name` is the facility's name for the one it came from."""

    pid: int
    name: str


def make_mark(runtime: RuntimeDirectory) -> str:
    """The value of the mark for this runtime directory."""
    return os.path.realpath(runtime.path)


def find_processes(runtime: RuntimeDirectory, *, name: str | None = None) -> list[MarkedProcess]:
    """Living processes with the mark, and their descendants, without the calling process.

    Descendants are followed by parentage because a program that renames itself (Ray's workers) overwrites the
    environment that others can see.
    """
    mark = make_mark(runtime)
    parents: dict[int, int] = {}
    found: dict[int, str] = {}
    for pid in _list_pids():
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes()
            parents[pid] = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            continue  # it ended meanwhile, or belongs to somebody else
        values = dict(part.partition("=")[::2] for part in os.fsdecode(environment).split("\0"))
        process = values.get(PROCESS_MARK, "supervisor")
        if values.get(MARK) == mark and name in (None, process):
            found[pid] = process
    _add_descendants(found, parents)
    found.pop(os.getpid(), None)
    return [MarkedProcess(pid, found[pid]) for pid in sorted(found)]


def _list_pids() -> list[int]:
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]


def _add_descendants(found: dict[int, str], parents: dict[int, int]) -> None:
    grown = True
    own = os.getpid()
    while grown:
        grown = False
        for pid, parent in parents.items():
            if pid not in found and parent in found and parent != own:
                found[pid] = found[parent]
                grown = True


def end_processes(processes: Iterable[MarkedProcess], *, timeout_s: float) -> list[MarkedProcess]:
    """SIGTERM to all, SIGKILL after `timeout_s` to those who stay; those that were ended, when all are gone."""
    handles: dict[int, MarkedProcess] = {}
    for process in processes:
        with contextlib.suppress(ProcessLookupError):  # gone already
            handles[os.pidfd_open(process.pid)] = process
    ended = list(handles.values())
    try:
        for number, limit_s in ((signal.SIGTERM, timeout_s), (signal.SIGKILL, 5.0)):
            for handle in handles:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(handle, number)
            _close_ended(handles, limit_s)
    finally:
        for handle in handles:
            os.close(handle)
    return ended


def _close_ended(handles: dict[int, MarkedProcess], timeout_s: float) -> None:
    """Wait until every handle's process has gone, at most `timeout_s`; drops the handles of those that have."""
    deadline = time.monotonic() + timeout_s
    poller = select.poll()
    for handle in handles:
        poller.register(handle, select.POLLIN)
    while handles and (left_s := deadline - time.monotonic()) > 0:
        for handle, _ in poller.poll(left_s * 1000):
            poller.unregister(handle)
            os.close(handle)
            del handles[handle]


def find_sockets(runtime: RuntimeDirectory) -> list[Path]:
    """Socket files in the runtime directory; not those of an arm, whose folder has an owner (`orphans.sweep`)."""
    found = []
    for folder, below, names in os.walk(runtime.path):
        if Path(folder) == runtime.path / "mdw":
            below.clear()
        for name in names:
            file = Path(folder, name)
            with contextlib.suppress(FileNotFoundError):
                if stat.S_ISSOCK(file.lstat().st_mode):
                    found.append(file)
    return found


def find_shared_memory(pids: Iterable[int]) -> set[Path]:
    """Files of shared memory that these processes have mapped."""
    found = set()
    for pid in pids:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
                path = line[73:]
                if path.startswith(f"{SHARED}/") and not path.endswith(" (deleted)"):
                    found.add(Path(path))
    return found


def find_orphaned_memory(*, older_than_s: float = 5.0) -> set[Path]:
    """Our `mamba-*` shared memory that no living process has mapped; the age spares one that is just being made."""
    candidates = set()
    for file in SHARED.glob(f"{RING_PREFIX}*"):
        with contextlib.suppress(FileNotFoundError):
            info = file.stat()
            if info.st_uid == os.getuid() and time.time() - info.st_ctime > older_than_s:
                candidates.add(file)
    return candidates - find_shared_memory(_list_pids()) if candidates else candidates


def remove_files(files: Iterable[Path]) -> list[Path]:
    """Remove these files, those that are still there; which they were."""
    removed = []
    for file in files:
        with contextlib.suppress(FileNotFoundError):
            file.unlink()
            removed.append(file)
    return removed


def sweep(runtime: RuntimeDirectory, *, timeout_s: float = 3.0) -> tuple[list[MarkedProcess], list[Path]]:
    """End every process with the mark, remove its sockets, memory and orphans; only the owner of the lock may call it.

    Returns the processes and the files, without orphans from elsewhere: they say nothing of this runtime directory.
    """
    processes = find_processes(runtime)
    memory = find_shared_memory(process.pid for process in processes)
    ended: list[MarkedProcess] = []
    # A device server says goodbye to the database: it would wait for one that has gone before it.
    for last in (False, True):
        group = [process for process in processes if (process.name == "database") is last]
        ended += end_processes(group, timeout_s=timeout_s)
    ended += end_processes(find_processes(runtime), timeout_s=1.0)  # what they started while they were ending
    memory -= find_shared_memory(_list_pids())  # shared with somebody who lives on
    orphaned = [path for path in orphans.sweep(runtime.path / "mdw") if path.is_relative_to(runtime.path)]
    return ended, [*orphaned, *remove_files([*find_sockets(runtime), *memory])]
