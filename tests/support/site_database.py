"""A site's own control system for a test, from Debian's packages and without systemd.

MariaDB (on a socket in a folder, no TCP) with the schema of Debian's `tango-db`, Tango's `DataBaseds` on a free port of
127.0.0.1 and, when asked for, Tango's `Starter`. Everything runs as children of the test and ends with it.

The system tables are written with `mariadbd --bootstrap`, as `mariadb-install-db` does: that program itself wants
`my_print_defaults` of the client package, which is not needed for anything else.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import tango

from tests.support.tango_facility import Process, TangoFacility, wait_until

DEBIAN = Path(sys.prefix) / "debian" / "usr"
"""Where `make install-tests` unpacks tango-db, tango-starter and tango-test."""
PROGRAMS = DEBIAN / "lib" / "tango"
_SYSTEM_TABLES = Path("/usr/share/mysql")
_MARIADBD = "/usr/sbin/mariadbd"
_ANSWER_TIMEOUT_S = 30.0


class SiteFacility(TangoFacility):
    """Like `TangoFacility`, on MariaDB and DataBaseds; `start_starter` adds the Starter of this host."""

    def __init__(self, folder: Path) -> None:
        self.starter: tango.DeviceProxy | None = None
        self._starter_process: Process | None = None
        super().__init__(folder)

    def _start_database(self) -> tuple[Process, int]:
        self._mariadb = self._start_mariadb()
        port = find_free_port()
        (self.folder / ".my.cnf").write_text(f"[client]\nsocket={self.folder}/mariadb.sock\n")
        process = Process(
            [str(PROGRAMS / "DataBaseds"), "2", "-ORBendPoint", f"giop:tcp:127.0.0.1:{port}"],
            environment={
                **os.environ,
                "TANGO_HOST": f"127.0.0.1:{port}",
                "HOME": str(self.folder),  # where it finds .my.cnf: the only way to a socket that is not the usual one
                "MYSQL_USER": "root",
                "MYSQL_PASSWORD": "not-checked",
                "MYSQL_HOST": "localhost",  # to MariaDB's library this word means its socket; it looks up no name
                "MYSQL_DATABASE": "tango",
            },
            log=self.folder / "database.log",
        )
        process.wait_for_line(re.compile("^Ready to accept request", re.MULTILINE))
        return process, port

    def _start_mariadb(self) -> Process:
        data = self.folder / "mariadb"
        data.mkdir()
        shared = (_MARIADBD, "--no-defaults", "--user=root", f"--datadir={data}", "--innodb-log-file-size=8M")
        with (self.folder / "mariadb-install.log").open("wb") as log:
            subprocess.run([*shared, "--bootstrap"], input=_make_schema(), stdout=log, stderr=log, check=True)
        words = ("--skip-networking", "--skip-grant-tables", f"--socket={self.folder}/mariadb.sock")
        process = Process([*shared, *words], environment=dict(os.environ), log=self.folder / "mariadb.log")
        process.wait_for_line(re.compile("ready for connections"))
        return process

    def start_starter(self, programs: Path, properties: Mapping[str, str] | None = None) -> tango.DeviceProxy:
        """Start Tango's Starter for this host and return its device, which answers.

        Args:
            programs: the folder where it finds the executables that it starts (`StartDsPath`).
            properties: other properties of the Starter.
        """
        host = socket.gethostname().partition(".")[0]
        name = f"tango/admin/{host}"
        (self.folder / "starter").mkdir(exist_ok=True)
        held = {"StartDsPath": str(programs), "LogFileHome": str(self.folder / "starter"), "UseEvents": "0"}
        self.register(f"Starter/{host}", {name: ("Starter", {**held, **(properties or {})})})
        self._starter_process = Process(
            [str(PROGRAMS / "Starter"), host, "-ORBendPoint", "giop:tcp:127.0.0.1:0"],
            environment={**os.environ, "TANGO_HOST": self.host, "MAMBA_TRUTH_DIR": str(self.truth)},
            log=self.folder / "starter.log",
        )
        proxy = wait_until(lambda: self._find_device(name), what="the Starter answers", timeout_s=_ANSWER_TIMEOUT_S)
        self.starter = proxy
        return proxy

    def _find_device(self, name: str) -> tango.DeviceProxy | None:
        try:
            proxy = self.device(name)
            proxy.ping()
        except tango.DevFailed:
            return None
        return proxy

    def close(self) -> None:
        """End what the Starter started, then everything else; the database last."""
        if self._starter_process is not None:
            self._starter_process.stop()  # first, else it would start again what ends
        for pid in self._find_started():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)  # what a thread of the Starter starts inherits that SIGTERM is blocked
            wait_until(partial(_is_gone, pid), what=f"the end of process {pid}")
        super().close()
        self._mariadb.stop()

    def _find_started(self) -> list[int]:
        """Processes that the Starter started: exported here, with our TANGO_HOST, and not our own."""
        own = {process.pid for process in (*self.servers.values(), self._database)}
        devices = self.database.get_device_exported("dserver/*").value_string
        pids = {int(self.database.get_device_info(device).pid) for device in devices} - own
        mark = f"TANGO_HOST={self.host}".encode()
        return [pid for pid in pids if mark in _read_environment(pid)]


def _read_environment(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def _is_gone(pid: int) -> bool:
    """Whether it ended; a zombie did, and belongs to whoever has to collect it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def _make_schema() -> bytes:
    """What a server reads at its first start: its own tables, then Tango's as Debian's package installs them."""
    system = [_SYSTEM_TABLES / name for name in ("mysql_system_tables.sql", "mysql_system_tables_data.sql")]
    tables = [DEBIAN / "share/tango-db" / name for name in ("create_db_tables.sql", "stored_proc.sql")]
    content = DEBIAN / "share/dbconfig-common/data/tango-db/install/mysql"
    rows = "\n".join(line for line in content.read_text().splitlines() if not line.startswith("source "))
    parts = ["create database mysql;\nuse mysql;", *(file.read_text() for file in system)]
    parts += ["create database tango;\nuse tango;", *(file.read_text() for file in tables), rows]
    return "\n".join(parts).encode() + b"\n"


def find_free_port() -> int:
    """A port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running_site(folder: Path) -> Iterator[SiteFacility]:
    """A site's database that is gone afterwards."""
    site = SiteFacility(folder)
    try:
        yield site
    finally:
        site.close()
