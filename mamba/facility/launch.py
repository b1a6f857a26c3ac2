"""Start and end the supervisor from outside: what `mambactl up` and `down` do, without their printing."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mamba.errors import AlreadyRunning, NotRunning, ServerFailed
from mamba.facility.process import find_last_words
from mamba.facility.progress import load_error
from mamba.facility.sweep import MARK, end_processes, find_processes, make_mark, remove_files, sweep
from mamba.runtime import RuntimeDirectory

STOP_TIMEOUT_S = 30.0
"""How long an orderly take-down may need before it is cut short, in s."""
OnStep = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class TakenDown:
    """What `stop_facility` did: names of processes ended in order, and of those that had to be swept up."""

    ended: tuple[str, ...]
    swept: tuple[str, ...]


def start_facility(
    runtime: RuntimeDirectory, profile: Path, *, with_console: bool = True, on_step: OnStep = lambda step: None
) -> None:
    """Start a supervisor in the background and return when everything is ready.

    Args:
        runtime: where; whatever a killed supervisor left there is swept first.
        profile: the beamline profile.
        with_console: also start the session host and the console.
        on_step: is given each line of `mamba.facility.progress` as it comes.

    Raises:
        AlreadyRunning: says who, since when, with which profile.
        PortTaken: says who has it.
        FacilityError: something did not come up; nothing is left running.
        KeyboardInterrupt: was asked for meanwhile; what had come up is taken down.
    """
    refuse_second(runtime)
    reading, writing = os.pipe()
    with os.fdopen(reading) as lines:
        try:
            try:
                _spawn(runtime, profile, writing, with_console=with_console)
            finally:
                os.close(writing)
            _follow(runtime, lines, on_step)
        except KeyboardInterrupt:
            _give_up_start(runtime)
            raise


def _give_up_start(runtime: RuntimeDirectory) -> None:
    """Take down what has come up, also a supervisor that does not own the lock yet: only its mark tells of it."""
    starting = [process for process in find_processes(runtime) if process.name == "supervisor"]
    end_processes(starting, timeout_s=STOP_TIMEOUT_S)
    with contextlib.suppress(NotRunning):  # it left nothing
        stop_facility(runtime)


def refuse_second(runtime: RuntimeDirectory) -> None:
    """See that nothing runs in this runtime directory.

    Raises:
        AlreadyRunning: something does.
    """
    owner = runtime.owner("facility")
    if owner is None:
        return
    state = runtime.read_state("facility")
    seen = f"process {owner}"
    name = ""
    if state is not None:
        since = datetime.datetime.fromtimestamp(state["started"]).strftime("%Y-%m-%d %H:%M:%S")
        seen += f" since {since}, profile {state['profile']['path']}"
        name = f"the beamline {state['profile']['name']!r} "
    raise AlreadyRunning(
        f"{runtime.path}: {name}is up already",
        seen=seen,
        remedy="join it with 'mambactl console', or end it with 'mambactl down'",
    )


def _spawn(runtime: RuntimeDirectory, profile: Path, progress: int, *, with_console: bool) -> None:
    words = ["--runtime", str(runtime.path), "--profile", str(profile), "--progress", str(progress), "--detach"]
    file = runtime.logs / "facility.log"
    if file.exists():
        file.replace(file.with_suffix(".log.1"))
    with file.open("wb") as log:
        subprocess.run(
            [sys.executable, "-m", "mamba.facility", *words, *([] if with_console else ["--without-console"])],
            env={**os.environ, MARK: make_mark(runtime)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            pass_fds=[progress],
            check=True,
        )


def _follow(runtime: RuntimeDirectory, lines: Any, on_step: OnStep) -> None:
    """Read progress to its end; raises what the supervisor reports."""
    for line in lines:
        message = json.loads(line)
        if "error" in message:
            _wait_for_end(message["pid"], 5.0)
            raise load_error(message["error"])
        on_step(message)
        if "ready" in message:
            return
    file = runtime.logs / "facility.log"
    seen = find_last_words(file.read_text(errors="replace"))
    with contextlib.suppress(NotRunning):  # it left nothing
        stop_facility(runtime)
    raise ServerFailed("facility: its supervisor ended", seen=seen, remedy=f"read {file}")


def stop_facility(runtime: RuntimeDirectory) -> TakenDown:
    """End the supervisor in order, and by force what does not go; then nothing of this runtime directory is left.

    Raises:
        NotRunning: nothing ran and nothing was left behind by one that was killed.
    """
    nothing = NotRunning(f"{runtime.path}: nothing runs here", remedy="start it with 'mambactl up'")
    if not runtime.path.is_dir():
        raise nothing
    owner = runtime.owner("facility")
    state = runtime.read_state("facility")
    ended: list[str] = []
    if owner is not None:
        ended = [process["name"] for process in (state or {}).get("processes", []) if process["pid"]]
        with contextlib.suppress(ProcessLookupError):
            os.kill(owner, signal.SIGTERM)
            if not _wait_for_end(owner, STOP_TIMEOUT_S):
                os.kill(owner, signal.SIGKILL)
                _wait_for_end(owner, 5.0)
    lock = runtime.lock("facility")  # nobody may start while we sweep
    try:
        swept, removed = sweep(runtime)
        removed += remove_files([runtime.path / "facility.json"])
        if runtime.owner("session") is None:  # a host that was started by hand keeps its lock
            removed += remove_files([runtime.path / "session.lock"])
    finally:
        lock.release()
    if owner is None and not swept and not removed:
        raise nothing
    return TakenDown(tuple(ended), tuple(f"{process.name} ({process.pid})" for process in swept))


def _wait_for_end(pid: int, timeout_s: float) -> bool:
    """Wait for the end of a process that is not ours to collect; whether it came in time."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], timeout_s)[0])
    finally:
        os.close(handle)
