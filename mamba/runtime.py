"""The runtime directory: one 0700 folder per running beamline, with sockets, lock, database, logs and who is running.

*Owner*: the process that holds the folder's lock; there is one at most. Everything Mamba listens on lives in this
folder or on loopback; only the folder's mode protects a Unix socket, so a folder that others can enter is refused.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import stat
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from mamba.errors import AlreadyRunning, FacilityError

# sun_path holds 108 bytes; the longest name below and the ending zero must fit beside the folder's path.
_LONGEST_FOLDER = 80


@dataclass(frozen=True)
class RuntimeDirectory:
    """Names of everything inside one runtime directory; `path` is absolute."""

    path: Path

    @classmethod
    def create(cls, path: Path) -> RuntimeDirectory:
        """Make the folder with mode 0700, or check the one that exists.

        Raises:
            FacilityError: the folder belongs to somebody else, others can enter it, or its path is too long.
        """
        path = path.absolute()
        if len(os.fsencode(path)) > _LONGEST_FOLDER:
            raise FacilityError(
                f"runtime directory {path}: its path is too long for a socket",
                seen=f"{len(os.fsencode(path))} bytes",
                remedy=f"set MAMBA_RUNTIME_DIR to a folder of at most {_LONGEST_FOLDER} bytes",
            )
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        info = path.stat()
        if info.st_uid != os.getuid() or stat.S_IMODE(info.st_mode) & 0o077:
            raise FacilityError(
                f"runtime directory {path}: others could reach the sockets in it",
                seen=f"owner uid {info.st_uid}, mode {stat.S_IMODE(info.st_mode):04o}",
                remedy="remove it, or choose another folder with MAMBA_RUNTIME_DIR",
            )
        for folder in (path / "logs", path / "truth", path / "mdw"):
            folder.mkdir(mode=0o700, exist_ok=True)
        return cls(path)

    @property
    def rpc(self) -> str:
        """Endpoint of requests (ROUTER)."""
        return f"ipc://{self.path}/rpc"

    @property
    def notify(self) -> str:
        """Endpoint of notices (PUB)."""
        return f"ipc://{self.path}/notify"

    @property
    def keys(self) -> str:
        """Endpoint of raw terminal input (for REQ; bytes in, empty bytes back)."""
        return f"ipc://{self.path}/keys"

    @property
    def agent(self) -> str:
        """Endpoint between the session host and the agent inside IPython."""
        return f"ipc://{self.path}/agent"

    @property
    def terminal(self) -> Path:
        """Unix stream socket by which `mambactl console` joins the terminal."""
        return self.path / "terminal"

    @property
    def database(self) -> Path:
        """SQLite file of the embedded Tango database."""
        return self.path / "tango.sqlite"

    @property
    def logs(self) -> Path:
        """One log file per process."""
        return self.path / "logs"

    @property
    def truth(self) -> Path:
        """What the virtual beamline really did, one JSON line per act, for tests to compare with."""
        return self.path / "truth"

    @property
    def transcript(self) -> Path:
        """Everything the console wrote to its terminal, raw."""
        return self.logs / "console.transcript"

    @property
    def session_key(self) -> Path:
        """Secret of this session (0600), for what must not be guessed."""
        return self.path / "session.key"

    def lock(self, name: str) -> Lock:
        """Take the lock `name` ("facility", "session") or say who has it.

        Raises:
            AlreadyRunning: with the process id of the owner.
        """
        return Lock(self.path / f"{name}.lock")

    def write_state(self, name: str, state: dict[str, Any]) -> None:
        """Replace `name`.json in one step, so that a reader sees the old or the new, never half."""
        part = self.path / f".{name}.json.{os.getpid()}"
        part.write_text(json.dumps(state, indent=1))
        part.replace(self.path / f"{name}.json")

    def read_state(self, name: str) -> dict[str, Any] | None:
        """Read `name`.json, None where it was never written, or not to its end when the machine's power failed."""
        try:
            state: dict[str, Any] = json.loads((self.path / f"{name}.json").read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return None
        return state

    def owner(self, name: str) -> int | None:
        """Process id of who holds the lock `name` now, None when it is free."""
        file = self.path / f"{name}.lock"
        try:
            inode = file.stat().st_ino
        except FileNotFoundError:
            return None
        # The kernel is asked: trying the lock, if only for a moment, could make the next owner fail.
        return _find_holder(inode)


def read_peer_uid(connection: socket.socket) -> int:
    """User id of the process at the other end of a Unix socket, as the kernel knows it."""
    _pid, uid, _gid = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return int(uid)


def _find_holder(inode: int) -> int | None:
    """Who holds an flock on this file: what stands in the file may be of the owner before."""
    for fields in map(str.split, Path("/proc/locks").read_text().splitlines()):
        # "->" is one that waits
        if fields[1] == "FLOCK" and fields[5].endswith(f":{inode}"):
            return int(fields[4])
    return None


class Lock:
    """An flock with the owner's process id inside; the kernel frees it when the owner dies, however it dies."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._stream = _open_locked(file)
        self._stream.truncate(0)
        self._stream.write(str(os.getpid()))
        self._stream.flush()

    def release(self) -> None:
        """Free the lock and remove its file."""
        self.file.unlink(missing_ok=True)
        self._stream.close()


def _open_locked(file: Path) -> IO[str]:
    while True:
        # The descriptor is not inherited: a child that outlives us must not look like the owner.
        stream = os.fdopen(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+")
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = _find_holder(os.fstat(stream.fileno()).st_ino) or stream.read().strip() or "that ends just now"
            stream.close()
            raise AlreadyRunning(
                f"{file.parent}: already in use",
                seen=f"process {owner} holds {file.name}",
                remedy="join it with 'mambactl console', or end it with 'mambactl down'",
            ) from None
        # An owner that left in between removed the file it had locked: a lock on that one keeps nobody out.
        if _is_still(file, stream):
            return stream
        stream.close()


def _is_still(file: Path, stream: IO[str]) -> bool:
    try:
        return os.path.samestat(file.stat(), os.fstat(stream.fileno()))
    except FileNotFoundError:
        return False
