"""The embedded Tango database: PyDatabaseds on one SQLite file in WAL mode, on loopback."""

from __future__ import annotations

import re
import socket
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

from mamba.errors import PortTaken

LOOPBACK = "127.0.0.1"
_ANNOUNCED = re.compile(r"listening on: host=\S+, port=(\d+)")


def make_command(port: int) -> tuple[str, ...]:
    """The command line; port 0 lets the kernel choose, the log then says which (`find_port`)."""
    where = ("--host", LOOPBACK, "--port", str(port), "--print-host-port")
    return (sys.executable, "-m", "databaseds.database", *where, "2")


def find_port(log: str) -> int | None:
    """The port that the database's log announces, None as long as it has not."""
    announced = _ANNOUNCED.search(log)
    return int(announced.group(1)) if announced else None


def set_wal_mode(file: Path) -> None:
    """Switch the file to write-ahead logging, which stays; several times more writes a second than the default."""
    with closing(sqlite3.connect(file, timeout=5.0)) as connection:
        connection.execute("pragma journal_mode=wal")


def close_wal(file: Path) -> None:
    """Fold the write-ahead log into the one file; the server itself ends without doing so."""
    with closing(sqlite3.connect(file, timeout=5.0)) as connection:
        connection.execute("pragma wal_checkpoint(truncate)")


def read_journal_mode(file: Path) -> str:
    """The file's journal mode: "wal" when all is well."""
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=1.0)) as connection:
        return str(connection.execute("pragma journal_mode").fetchone()[0])


def require_free_port(port: int) -> None:
    """See that `port` on loopback can be had.

    Raises:
        PortTaken: names the process that has it, where it can be found.
    """
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            raise PortTaken(
                f"Tango database: port {port} cannot be used",
                seen=f"{error.strerror}; {_find_holder(port)}",
                remedy="end that process, or write another tango.port (or 'auto') in the profile",
            ) from None


def _find_holder(port: int) -> str:
    import psutil  # heavy, and needed only to word this one message

    for connection in psutil.net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port:
            if connection.pid is None:
                return "held by a process of another user"
            words = " ".join(psutil.Process(connection.pid).cmdline())[:80]
            return f"held by process {connection.pid}: {words}"
    return "no listening process is to be seen"
