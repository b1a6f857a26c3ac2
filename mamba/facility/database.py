"""The embedded Tango database: PyDatabaseds with what it lacks, on one SQLite file in WAL mode, on loopback."""

from __future__ import annotations

import socket
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path

from mamba.errors import FacilityError, PortTaken
from mamba.runtime import RuntimeDirectory

LOOPBACK = "127.0.0.1"
_WAL_S = 5.0


def make_command(port: int) -> tuple[str, ...]:
    """The command line of a database on `port` of loopback."""
    return (sys.executable, "-m", "mamba.facility.embedded_database", "--host", LOOPBACK, "--port", str(port), "2")


def is_ready(log: str) -> bool:
    """Whether the database's log says that it takes requests."""
    return "Ready to accept request" in log


def set_wal_mode(file: Path) -> None:
    """Switch the file to write-ahead logging, which stays; several times more writes a second than the default.

    SQLite does so only in a moment when nobody else reads or writes the file, and does not wait for one by itself.

    Raises:
        FacilityError: the file cannot be written, or is no database.
    """
    deadline = time.monotonic() + _WAL_S
    try:
        with closing(sqlite3.connect(file, timeout=_WAL_S)) as connection:
            while not _try_wal_mode(connection, last=time.monotonic() > deadline):
                time.sleep(0.02)  # between two looks for that moment
    except sqlite3.Error as error:
        raise FacilityError(
            f"Tango database: its file {file} cannot be used",
            seen=str(error),
            remedy="see its rights and the room on the disk, or move it away: the next 'up' makes one from the profile",
        ) from None


def _try_wal_mode(connection: sqlite3.Connection, *, last: bool) -> bool:
    try:
        connection.execute("pragma journal_mode=wal")
    except sqlite3.OperationalError as error:
        if last or error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
            raise
        return False
    return True


def close_wal(file: Path) -> None:
    """Fold the write-ahead log into the one file; the server itself ends without doing so."""
    with closing(sqlite3.connect(file, timeout=5.0)) as connection:
        connection.execute("pragma wal_checkpoint(truncate)")


def read_journal_mode(file: Path) -> str:
    """The file's journal mode: "wal" when all is well."""
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=1.0)) as connection:
        return str(connection.execute("pragma journal_mode").fetchone()[0])


def reserve_port(port: int) -> socket.socket:
    """A socket bound to `port` on loopback, 0 for any free one; held open, it keeps the port for the database.

    It never listens, and both sockets allow the address to be shared, so the database can listen on the port, again
    and again, while nobody else is given it: not even as the source port of a client that tries to reconnect.

    Raises:
        PortTaken: names the process that has it, where it can be found.
    """
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        holder.bind((LOOPBACK, port))
    except OSError as error:
        holder.close()
        raise PortTaken(
            f"Tango database: port {port} cannot be used",
            seen=f"{error.strerror}; {_find_holder(port)}",
            remedy="end that process, or write another tango.port (or 'auto') in the profile",
        ) from None
    return holder


def reserve_same_port(runtime: RuntimeDirectory) -> socket.socket:
    """The port this beamline had the last time if it is free, else any: windows that are open find it again."""
    last = (runtime.read_state("tango") or {}).get("port", 0)
    try:
        holder = reserve_port(last)
    except PortTaken:
        holder = reserve_port(0)
    runtime.write_state("tango", {"port": holder.getsockname()[1]})
    return holder


def _find_holder(port: int) -> str:
    import psutil  # heavy, and needed only to word this one message

    for connection in psutil.net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port:
            if connection.pid is None:
                return "held by a process of another user"
            words = " ".join(psutil.Process(connection.pid).cmdline())[:80]
            return f"held by process {connection.pid}: {words}"
    return "no listening process is to be seen"
