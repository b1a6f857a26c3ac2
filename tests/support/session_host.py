"""A session host under test: a real process, with IPython in it or a small console that starts faster."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mamba.runtime import RuntimeDirectory
from mamba.wire.client import Client
from mamba.wire.subscriber import Subscriber

PROFILE = "name: trial\nperson: Ada\nconsole: {startup: startup.py}\n"
STARTUP = """
from bluesky import RunEngine
from bluesky.plan_stubs import mv, sleep
from bluesky.plans import count, scan
from ophyd.sim import SynAxis, SynSignal
from mamba.console import server_start

class AttrDict(dict):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.__dict__ = self

M = AttrDict(m1=SynAxis(name="M.m1"), m2=SynAxis(name="M.m2"))
D = AttrDict(i0=SynSignal(func=lambda: 1.5, name="D.i0"))
RE = RunEngine()
U = server_start(M, D, RE)
"""


def wait_until(condition: Callable[[], Any], *, timeout_s: float = 10.0, what: str = "") -> Any:
    """The first true value of `condition`."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what or condition}"
        time.sleep(0.01)
    return value


class HostUnderTest:
    """`python -m mamba.session` in a folder of its own; `console` replaces IPython."""

    def __init__(
        self,
        *,
        console: list[str] | None = None,
        startup: str = STARTUP,
        profile: str = PROFILE,
        options: tuple[str, ...] = (),
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="mb-session-", dir="/tmp"))
        (self.folder / "startup.py").write_text(startup)
        (self.folder / "beamline.yaml").write_text(profile)
        self.runtime = RuntimeDirectory.create(self.folder / "rt")
        self.command = [sys.executable, "-m", "mamba.session", "--runtime", str(self.runtime.path)]
        self.command += ["--profile", str(self.folder / "beamline.yaml"), *options]
        if console is not None:
            self.command += ["--", *console]
        self._clients: list[Client | Subscriber] = []
        self.log = self.folder / "host.log"
        self.process = self._start()
        self.client = wait_until(self._connect, what=f"host, see {self.log}")

    def _start(self) -> subprocess.Popen[bytes]:
        with self.log.open("a") as log:
            return subprocess.Popen(
                self.command,
                stderr=log,
                stdout=log,
                stdin=subprocess.DEVNULL,
                env={**os.environ, "IPYTHONDIR": str(self.folder / "ipython")},
            )

    def restart(self) -> float:
        """Kill it without warning and start the next one, which is waited for by nobody; returns when it was killed."""
        self.process.kill()
        killed = time.monotonic()
        self.process.wait()
        self.process = self._start()
        return killed

    def _connect(self) -> Client | None:
        assert self.process.poll() is None, self.log.read_text()
        client = self.make_client()
        return client if client.ask("ping").ok else None

    def make_client(self) -> Client:
        """One more client; closed with the host."""
        client = Client(self.runtime.rpc)
        self._clients.append(client)
        return client

    def subscribe(self, *prefixes: str) -> Subscriber:
        """A subscriber that is known to hear the host."""
        subscriber = Subscriber(self.runtime.notify, prefixes=("session/person", *(prefixes or ("",))))
        self._clients.append(subscriber)

        def heard() -> bool:
            self.client.request("auth/login", person="Probe")
            return subscriber.receive(0.05) is not None

        wait_until(heard, what="the first notice")
        self.client.request("auth/logout")
        while subscriber.receive(0.1):
            pass
        return subscriber

    def wait_prompt(self, prompt: str = "idle", *, timeout_s: float = 20.0) -> None:
        """Until the prompt is in this state."""
        wait_until(lambda: self.client.request("session/status")["prompt"] == prompt, timeout_s=timeout_s, what=prompt)

    @property
    def console_pid(self) -> int:
        """Of the console that runs now."""
        return int(self.client.request("session/status")["console_pid"])

    @property
    def transcript(self) -> str:
        """What the console wrote so far."""
        return self.runtime.transcript.read_text(errors="replace")

    def stop(self) -> int:
        """End it as `mambactl down` does; returns its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=15)

    def close(self) -> None:
        """End it, however it is, and remove the folder."""
        for client in self._clients:
            client.close()
        try:
            if self.process.poll() is None:
                self.stop()
        finally:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            self.process.wait()
            shutil.rmtree(self.folder, ignore_errors=True)
