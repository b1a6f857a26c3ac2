"""One process of the facility: how it is started, what it is doing, what it wrote last.

States: *starting* until it is proven ready, *running*, *restarting* while it waits for its next start, *failed* when it
died too often, *ended* when it was told to.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mamba.errors import ServerFailed

Kind = Literal["database", "server", "console"]
State = Literal["starting", "running", "restarting", "failed", "ended"]


@dataclass(frozen=True)
class ProcessSpec:
    """What is started: `argv` with `environment`, its output appended to `log`."""

    name: str
    kind: Kind
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    log: Path
    stop_within_s: float = 3.0


class FacilityProcess:
    """A started process and the count of its restarts; used from one event loop."""

    def __init__(self, spec: ProcessSpec) -> None:
        self.spec = spec
        self.state: State = "ended"
        self.restarts = 0
        self.exit_code: int | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    @property
    def pid(self) -> int | None:
        """Process id while it lives."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start it in a process group of its own, so that Ctrl-C at the supervisor does not reach it first."""
        with self.spec.log.open("ab") as log:
            self._log_start = log.tell()
            self._process = subprocess.Popen(
                self.spec.argv,
                env=dict(self.spec.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
        self.state = "starting"
        self.exit_code = None

    async def wait(self) -> int | None:
        """Wait for its end; the exit code, negative for a signal."""
        if self._process is None:
            return self.exit_code
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        descriptor = os.pidfd_open(self._process.pid)
        loop.add_reader(descriptor, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)
        return self._collect()

    async def stop(self) -> None:
        """End it: SIGTERM, and SIGKILL when it has not gone within its time."""
        if self._process is None or self._process.poll() is not None:
            self._collect()
        else:
            self._process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(self.wait(), self.spec.stop_within_s)
            except TimeoutError:
                self._process.kill()
                await self.wait()
        self.state = "ended"

    def _collect(self) -> int | None:
        if self._process is not None:
            self.exit_code = self._process.wait()
            self._process = None
        return self.exit_code

    def read_new_log(self) -> str:
        """What it wrote since its last start."""
        with self.spec.log.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode("utf-8", "replace")

    def make_failure(self, what: str) -> ServerFailed:
        """The error that says `what` about it, with how it ended, its last words and its log."""
        words = find_last_words(self.read_new_log())
        seen = "; ".join(part for part in (self._describe_exit(), words) if part)
        return ServerFailed(f"{self.spec.name}: {what}", seen=seen, remedy=f"read {self.spec.log}")

    def _describe_exit(self) -> str:
        if self.exit_code is None:
            return ""
        if self.exit_code < 0:
            return f"ended by {signal.Signals(-self.exit_code).name}"
        return f"exit code {self.exit_code}"

    def describe(self) -> dict[str, Any]:
        """Its line in the state file."""
        return {
            "name": self.spec.name,
            "kind": self.spec.kind,
            "pid": self.pid,
            "state": self.state,
            "restarts": self.restarts,
            "exit_code": self.exit_code,
            "log": str(self.spec.log),
        }


def find_last_words(text: str) -> str:
    """The last line of a log that says something; of a Tango exception its `desc`. At most 160 characters."""
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if any(c.isalnum() for c in line) and line not in ("Exited", "]")]
    described = [line.removeprefix("desc = ") for line in lines if line.startswith("desc = ")]
    tango_failed = any("DevFailed[" in line for line in lines[-12:])
    last = described[-1] if described and tango_failed else (lines[-1] if lines else "")
    return last if len(last) <= 160 else last[:159] + "…"
