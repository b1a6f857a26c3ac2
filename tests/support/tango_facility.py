"""A Tango facility of its own for a test: an embedded database on a free port and real server processes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import tango

from mamba.facility.database import set_wal_mode

_PORT = re.compile(r"Database DS listening on:.*, port=(\d+)\.")
_DATABASE = (sys.executable, "-m", "mamba.facility.embedded_database")
_ROOT = Path(__file__).parents[2]
_START_TIMEOUT_S = 20.0

TANGO_PROGRAMS = Path(sys.prefix) / "debian/usr/lib/tango"
"""Tango's C++ programs (TangoTest, DataBaseds, Starter), unpacked by `make install-tests`."""

_T = TypeVar("_T")

Properties = dict[str, str | float | int | bool]
Devices = dict[str, tuple[str, Properties]]
"""Tango device name → class and properties."""


class Process:
    """A child process whose output goes to a file, watched line by line while it starts."""

    def __init__(self, command: list[str], *, environment: dict[str, str], log: Path) -> None:
        self.log = log
        with log.open("wb") as stream:
            self._child = subprocess.Popen(command, env=environment, stdout=stream, stderr=stream)

    @property
    def pid(self) -> int:
        return self._child.pid

    def wait_for_line(self, pattern: re.Pattern[str], timeout_s: float = _START_TIMEOUT_S) -> re.Match[str]:
        """The first match in the output; AssertionError when the process ends or the time is over."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            ended = self._child.poll() is not None
            if match := pattern.search(self.log.read_text(errors="replace")):
                return match
            assert not ended, f"ended with {self._child.returncode}:\n{self.log.read_text(errors='replace')}"
            threading.Event().wait(0.02)
        raise AssertionError(f"no {pattern.pattern!r} in {timeout_s} s:\n{self.log.read_text(errors='replace')}")

    def send_signal(self, number: int) -> None:
        self._child.send_signal(number)

    def wait(self, timeout_s: float = 10.0) -> int:
        return self._child.wait(timeout_s)

    def stop(self) -> int:
        """End it as the facility does, by SIGTERM; returns the exit code."""
        if self._child.poll() is None:
            self._child.send_signal(signal.SIGTERM)
        try:
            return self._child.wait(10)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
            raise


class TangoFacility:
    """An embedded database in `folder` and the servers started from it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.truth = folder / "truth"
        self.truth.mkdir(exist_ok=True)
        (folder / "mdw").mkdir(exist_ok=True)
        self.servers: dict[str, Process] = {}
        self._database, self.port = self._start_database()
        self.host = f"127.0.0.1:{self.port}"
        self.database = wait_until(self._connect, what="the database answers")

    def _start_database(self) -> tuple[Process, int]:
        file = self.folder / "tango.sqlite"
        process = Process(
            [*_DATABASE, "--host", "127.0.0.1", "--port", "0", "--print-host-port", "2"],
            environment={**os.environ, "TANGO_HOST": "127.0.0.1:0", "PYTANGO_DATABASE_NAME": str(file)},
            log=self.folder / "database.log",
        )
        port = int(process.wait_for_line(_PORT)[1])
        set_wal_mode(file)
        return process, port

    def _connect(self) -> tango.Database | None:
        try:
            database = tango.Database("127.0.0.1", self.port)
            database.get_info()
        except tango.DevFailed:
            return None
        return database

    def register(self, server: str, devices: Devices) -> None:
        """Enter the devices of a server (`NAME/INSTANCE`) and their properties."""
        for name, (class_name, properties) in devices.items():
            info = tango.DbDevInfo()
            info.name, info._class, info.server = name, class_name, server
            self.database.add_device(info)
            if properties:
                self.database.put_device_property(name, {key: [str(value)] for key, value in properties.items()})

    def start(self, server: str, module: str, **environment: str) -> Process:
        """Start `python -m MODULE INSTANCE` and wait until it is ready."""
        process = Process(
            [sys.executable, "-W", "error", "-m", module, server.partition("/")[2]],
            environment={
                **os.environ,
                "TANGO_HOST": self.host,
                "MAMBA_TRUTH_DIR": str(self.truth),
                "MAMBA_RUNTIME_DIR": str(self.folder),
                # servers of the tests' own are found from whatever folder the test works in
                "PYTHONPATH": os.pathsep.join([str(_ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep),
                **environment,
            },
            log=self.folder / f"{server.replace('/', '-')}.log",
        )
        self.servers[server] = process
        process.wait_for_line(re.compile("^ready$", re.MULTILINE))
        return process

    def start_program(
        self, server: str, program: Path, *, ready: str = "^Ready to accept request", **environment: str
    ) -> Process:
        """Start a server that is no module of ours (Tango's C++ ones) and wait until its output matches `ready`."""
        process = Process(
            [str(program), server.partition("/")[2], "-ORBendPoint", "giop:tcp:127.0.0.1:0"],
            environment={**os.environ, "TANGO_HOST": self.host, **environment},
            log=self.folder / f"{server.replace('/', '-')}.log",
        )
        self.servers[server] = process
        process.wait_for_line(re.compile(ready, re.MULTILINE))
        return process

    def start_tango_test(self, *, device: str = "sys/tg_test/1", instance: str = "test") -> Process:
        """Register and start Tango's own C++ `TangoTest` (Debian's package, unpacked by `make install-tests`)."""
        self.register(f"TangoTest/{instance}", {device: ("TangoTest", {})})
        return self.start_program(f"TangoTest/{instance}", TANGO_PROGRAMS / "TangoTest")

    def stop(self, server: str) -> int:
        """End one server by SIGTERM; returns its exit code."""
        return self.servers.pop(server).stop()

    def device(self, name: str) -> tango.DeviceProxy:
        """A proxy that does not need TANGO_HOST."""
        return tango.DeviceProxy(f"tango://{self.host}/{name}")

    def stop_database(self) -> None:
        """Take the database away from the servers."""
        self._database.stop()

    def close(self) -> None:
        """End all servers and the database."""
        for server in list(self.servers):
            self.stop(server)
        self._database.stop()


@contextmanager
def running_facility(folder: Path) -> Iterator[TangoFacility]:
    """A facility that is gone afterwards."""
    facility = TangoFacility(folder)
    try:
        yield facility
    finally:
        facility.close()


def wait_until(look: Callable[[], _T | None], *, what: str, timeout_s: float = 10.0) -> _T:
    """Look again and again until `look` gives something true."""
    deadline = time.monotonic() + timeout_s
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, f"not in {timeout_s} s: {what}"
        threading.Event().wait(0.002)
