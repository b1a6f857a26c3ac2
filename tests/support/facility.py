"""The whole facility for a test: brought up in a folder of its own, taken down, and nothing left behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mamba.config import BUILT_IN_PROFILE
from mamba.errors import NotRunning
from mamba.facility.launch import start_facility, stop_facility
from mamba.facility.sweep import find_processes, find_sockets
from mamba.runtime import RuntimeDirectory
from mamba.wire.client import Client
from tests.support.shared_memory import await_no_more, list_orphaned_memory


@dataclass(frozen=True)
class Facility:
    """A runtime directory and the profile that runs, or will run, in it."""

    runtime: RuntimeDirectory
    profile: Path

    @property
    def state(self) -> dict[str, Any]:
        """What the supervisor says of itself."""
        state = self.runtime.read_state("facility")
        assert state is not None, "no supervisor runs"
        return state

    @property
    def tango_host(self) -> str:
        """host:port of the database."""
        return str(self.state["tango_host"])

    def find_process(self, name: str) -> dict[str, Any]:
        """The line of one process in the state file."""
        return next(process for process in self.state["processes"] if process["name"] == name)

    def client(self) -> Client:
        """A new client of the session host; the caller closes it."""
        return Client(self.runtime.rpc)

    def read_log(self, name: str) -> str:
        """What the process `name` wrote since the facility came up."""
        return (self.runtime.logs / f"{name.replace('/', '-')}.log").read_text(errors="replace")

    def mambactl(self, *arguments: str, timeout_s: float = 40.0) -> subprocess.CompletedProcess[str]:
        """Run the command as a person would, on this facility, in its folder."""
        options = ["--runtime", str(self.runtime.path), "--profile", str(self.profile)]
        return subprocess.run(
            [sys.executable, "-m", "mamba.cli", *options, *arguments],
            cwd=self.runtime.path,
            env=make_environment(),
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )


def make_environment() -> dict[str, str]:
    """The environment of a person's shell: without a word of any facility, and with our tests to be imported."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MAMBA_", "TANGO_"))}
    return {**kept, "PYTHONPATH": str(Path(__file__).parents[2])}


@contextmanager
def runtime_folder() -> Iterator[RuntimeDirectory]:
    """A runtime directory with a short path, taken down and removed at the end whatever happened."""
    path = Path(tempfile.mkdtemp(prefix="mb-", dir="/tmp"))
    runtime = RuntimeDirectory.create(path)
    try:
        yield runtime
    finally:
        with contextlib.suppress(NotRunning):  # the test took it down itself
            stop_facility(runtime)
        shutil.rmtree(path)


@contextmanager
def facility_up(profile: Path = BUILT_IN_PROFILE, *, with_console: bool = True) -> Iterator[Facility]:
    """The facility, up and ready; at the end it is taken down in order and must leave nothing."""
    with runtime_folder() as runtime:
        before = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = str(Path(__file__).parents[2])
        try:
            start_facility(runtime, profile, with_console=with_console)
        finally:
            os.environ.pop("PYTHONPATH") if before is None else os.environ.update(PYTHONPATH=before)
        memory = list_orphaned_memory()
        yield Facility(runtime, profile)
        done = stop_facility(runtime)
        assert not done.swept, f"had to be swept: {done.swept}"
        assert_nothing_left(runtime)
        await_no_more(memory)


def assert_nothing_left(runtime: RuntimeDirectory) -> None:
    """No process, socket, lock or state of this runtime directory."""
    assert find_processes(runtime) == []
    assert find_sockets(runtime) == []
    assert sorted(file.name for file in runtime.path.glob("*.lock")) == []
    assert not (runtime.path / "facility.json").exists()


def wait_until(condition: Callable[[], Any], what: str, *, timeout_s: float = 15.0) -> Any:
    """Wait for a true value of `condition` and return it."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}"
        time.sleep(0.02)
    return value
