"""The process with Ray in it (`ray_host`), as the console sees it: started, asked, watched and ended."""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import os
import secrets
import shutil
import socket
import sys
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import psutil

from mamba.errors import DataError, NodeFailed
from mamba.orphans import SHARED

log = logging.getLogger(__name__)

_START_S = 60.0
_ASK_S = 10.0
_ENDED_S = 10.0
_PARTS = ("gcs_server", "raylet")
_LAST_LINES = 20
_NEEDED_MIB = 80
_LOG = "driver.log"
_ENDED = "the process with Ray in it ended"
SETTINGS = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # despite its name: keeps every port on loopback
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_enable_worker_prestart": "1",
    "RAY_prestart_worker_first_driver": "1",
    "RAY_worker_niceness": "0",  # frames do not wait until everybody else on the host has computed
}


class RayProcess:
    """Ray, started in a process of its own.

    Args:
        folder: 0700, short, for Ray's files and for what its driver prints; whoever made it removes it.

    Attributes:
        environment: of the process, with Ray's settings and the token's path.
        address: host and port of Ray's head.
        node: id of the Ray node that came with it.
        parts: Ray's own servers.

    Raises:
        DataError: Ray is not installed, or does not start; nothing of it runs.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._numbers = folder, itertools.count()
        self._asked: dict[int, Future[Any]] = {}
        self._lock = threading.Lock()  # who asks, and what is written to the process
        self._gone = False
        self.parts: list[psutil.Process] = []
        self.environment = {**os.environ, **SETTINGS, "RAY_AUTH_TOKEN_PATH": str(_write_token(folder))}
        ours, theirs = socket.socketpair()
        with theirs, (folder / _LOG).open("wb") as printed:
            self._process = psutil.Popen(
                [sys.executable, "-m", "mamba.data_worker.ray_host"],
                stdin=theirs.fileno(),
                stdout=printed,
                stderr=printed,
                env=self.environment,
                start_new_session=True,  # a Ctrl-C at the terminal is not for it
            )
        self._link, self._lines = ours, ours.makefile(encoding="utf-8")
        self._reader = threading.Thread(target=self._read, name="ray answers", daemon=True)
        try:
            started = self._await_start()
        except BaseException:  # KeyboardInterrupt, too
            self.end()
            raise
        self.address: str = started["address"]
        self.node: str = started["node"]
        self.parts = [p for p in self._process.children() if p.name() in _PARTS]
        self._reader.start()

    def _await_start(self) -> dict[str, Any]:
        # Ray opens its folder to everybody, and ours is around it
        self._write({"folder": str(self._folder / "r"), "path": sys.path})
        self._link.settimeout(_START_S)
        try:
            line = self._lines.readline()
        except TimeoutError:
            raise DataError("data worker: Ray does not start", seen=f"nothing within {_START_S:g} s") from None
        self._link.settimeout(None)
        if not line:
            words = self.read_last_words()
            seen = words.rpartition("\n")[2][:200] or "it ended"
            if seen.startswith("ModuleNotFoundError"):
                remedy = "pip install 'mamba-beamline[data-worker]'"
                raise DataError("data worker: Ray is not installed", seen=seen, remedy=remedy)
            log.warning("Ray does not start: %s", words)
            raise DataError("data worker: Ray does not start", seen=seen, remedy=_advise())
        started: dict[str, Any] = json.loads(line)
        return started

    def ask(self, do: str, *, within_s: float = _ASK_S, **fields: Any) -> Any:
        """Have something done there.

        Raises:
            NodeFailed: it failed, or the process is dead or hangs.
        """
        number, answer = next(self._numbers), Future[Any]()
        with self._lock:
            if self._gone:
                raise NodeFailed(_ENDED)
            self._asked[number] = answer
            with contextlib.suppress(BrokenPipeError):  # who reads notices its end, too
                self._write({"id": number, "do": do, **fields})
        try:
            return answer.result(within_s)
        except TimeoutError:
            raise NodeFailed(f"the process with Ray in it does not answer within {within_s:g} s") from None
        finally:
            self._asked.pop(number, None)

    def _write(self, message: dict[str, Any]) -> None:
        self._link.sendall(json.dumps(message).encode() + b"\n")

    def _read(self) -> None:
        with contextlib.suppress(ConnectionResetError):
            for line in self._lines:
                message = json.loads(line)
                asked = self._asked.get(message["id"])
                if asked is not None and "failed" in message:
                    asked.set_exception(NodeFailed(message["failed"]))
                elif asked is not None:
                    asked.set_result(message["answer"])
        with self._lock:
            self._gone = True
            for asked in [answer for answer in list(self._asked.values()) if not answer.done()]:
                asked.set_exception(NodeFailed(_ENDED))

    def find_dead(self) -> list[int]:
        """Process ids of Ray's own processes that are dead."""
        dead = [p.pid for p in self.parts if is_gone(p)]
        return dead if self._process.poll() is None else [self._process.pid, *dead]

    @property
    def pid(self) -> int:
        """Of the driver."""
        return int(self._process.pid)

    def read_last_words(self) -> str:
        """What the driver printed at its end."""
        return "\n".join((self._folder / _LOG).read_text(errors="replace").splitlines()[-_LAST_LINES:])

    def end(self) -> None:
        """End all of it; returns when every process is gone. What its actors had in hand is their graph's to settle."""
        doomed = []
        for process in [self._process, *self.parts]:
            with contextlib.suppress(psutil.NoSuchProcess):
                doomed += [process, *process.children(recursive=True)]
        for process in doomed:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.wait(_ENDED_S)
        psutil.wait_procs([p for p in doomed if not is_gone(p)], _ENDED_S)
        if self._reader.is_alive():
            self._reader.join()
        self._lines.close()
        self._link.close()


def _advise() -> str:
    memory, shared = psutil.virtual_memory().available >> 20, shutil.disk_usage(SHARED).free >> 20
    if min(memory, shared) < _NEEDED_MIB:
        return f"free memory ({memory} MiB) and /dev/shm ({shared} MiB): at least {_NEEDED_MIB} MiB each must be free"
    return "the console's log has what it said last"


def is_gone(process: psutil.Process) -> bool:
    """It ended, whether or not somebody has asked how."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _write_token(folder: Path) -> Path:
    token = folder / "token"
    token.touch(mode=0o600)
    token.write_text(secrets.token_hex(32))
    return token
