"""What moves is stopped, by a process of its own that stands by while the session goes on.

Asked for when the console has died (*making safe*), and by whoever wants everything to stand still (*stop all*), which
must work when the console is busy or hangs.

*Standby*: `mamba.facility.stop_motion`, started by its name, waiting for requests; it costs 68 MB, and the beginning of
a Tango program (a second on a loaded machine) when there is no second to lose. Sessions without Tango
devices have none. *Reach*: how each device of M and D is brought to rest, from the profile and from what the console
told about devices that its start-up script made; a device that is not Tango's is named as one that nobody can stop.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mamba.config import DevicesConfig, load_profile
from mamba.session.loop import Loop, Timer

log = logging.getLogger(__name__)

DEADLINE_S = 5.0
"""How long bringing everything to rest may take before it is given up."""
_COMMAND = (sys.executable, "-m", "mamba.facility.stop_motion")
_PIPE_BYTES = 2**20
"""Room for a request about thousands of devices, which is written before anybody reads."""
_NOT_TANGO = "is no Tango device: nobody but the console could stop it"

Reach = dict[str, dict[str, str]]
Result = dict[str, Any]
"""`stopped`, `closed`, `aborted`: names; `failed`: why, by name."""


@dataclass
class _Job:
    """One request to the standby: the devices that have not answered yet, and what the others did."""

    number: int
    asked: set[str]
    result: Result
    on_done: Callable[[Result], None]
    deadline: Timer | None = None

    def take(self, answer: Mapping[str, str]) -> None:
        """One device's answer."""
        name, did, why = answer["device"], answer["did"], answer["why"]
        self.asked.discard(name)
        if why:
            self.result["failed"][name] = why
        elif did:
            self.result[did].append(name)


class MakingSafe:
    """Brings the devices of a dead console to rest and tells what became of it.

    Args:
        loop: watches the process.
        profile: its devices are known before the console names any.
        publish: publishes the notice `session/made-safe`.
        show: writes a line into the console's terminal.
    """

    def __init__(
        self,
        loop: Loop,
        profile: Path,
        *,
        publish: Callable[[str, dict[str, Any]], None],
        show: Callable[[str], None],
    ) -> None:
        self._loop, self._publish, self._show = loop, publish, show
        self._of_profile = _reach_of_profile(load_profile(profile).devices)
        self._reach = dict(self._of_profile)
        self._told: object = None
        self._process: subprocess.Popen[bytes] | None = None
        self._pidfd = -1
        self._numbers = itertools.count(1)
        self._jobs: dict[int, _Job] = {}
        self._safe: _Job | None = None
        self._output = b""
        self._after: list[Callable[[], None]] = []
        self._stand_by()

    @property
    def is_busy(self) -> bool:
        """Whether the devices of a dead console are being brought to rest now."""
        return self._safe is not None

    @property
    def beyond(self) -> list[str]:
        """Devices that may move and are reached by the console alone."""
        return [name for name, device in self._reach.items() if not device["tango"]]

    def note(self, reach: object) -> None:
        """Take the console's own words about its devices; a device it does not name stays as the profile has it."""
        if not isinstance(reach, dict) or reach == self._told:
            return
        self._told = reach
        for name, device in reach.items():
            if isinstance(device, dict) and isinstance(device.get("tango"), str):
                self._reach[name] = {"tango": device["tango"], "kind": str(device.get("kind"))}
        self._stand_by()

    def when_done(self, call: Callable[[], None]) -> None:
        """Call now, or when the devices are at rest."""
        self._after.append(call)
        self._go_on()

    def begin(self, *, run_open: bool) -> None:
        """Stop what moves; when a run was open, also close shutters and abort cameras."""
        devices = {name: device for name, device in self._reach.items() if device["tango"]}
        failed = dict.fromkeys(self.beyond, _NOT_TANGO)
        self._reach, self._told = dict(self._of_profile), None  # the next console has its own words
        self._safe = self._make_job(devices, failed, self._tell_made_safe)
        self._ask(self._safe, devices, run_open=run_open)

    def stop_all(self, on_done: Callable[[Result], None]) -> None:
        """Stop every motor of M that Tango reaches, and tell which were stopped, and which could not be and why."""
        devices = {n: device for n, device in self._reach.items() if device["tango"] and device["kind"] == "motor"}
        self._ask(self._make_job(devices, {}, on_done), devices, run_open=False)

    def _make_job(self, devices: Reach, failed: dict[str, str], on_done: Callable[[Result], None]) -> _Job:
        job = _Job(
            next(self._numbers), set(devices), {"stopped": [], "closed": [], "aborted": [], "failed": failed}, on_done
        )
        job.deadline = self._loop.call_later(
            DEADLINE_S, lambda: self._finish(job, f"no answer within {DEADLINE_S:g} s")
        )
        self._jobs[job.number] = job
        return job

    def _ask(self, job: _Job, devices: Reach, *, run_open: bool) -> None:
        self._stand_by()
        if self._process is None or not devices:
            self._finish(job, "there is nothing to stop it with")
            return
        request = json.dumps({"id": job.number, "devices": devices, "run_open": run_open}).encode()
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it died while it stood by: its end is seen and told
            self._process.stdin.write(request + b"\n")

    def _stand_by(self) -> None:
        """Have a process that waits, if there is something it could be asked to stop."""
        if self._process is not None or not any(device["tango"] for device in self._reach.values()):
            return
        try:
            self._process = subprocess.Popen(
                _COMMAND,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
                pipesize=_PIPE_BYTES,
                process_group=0,  # Ctrl-C at a host that was started by hand is not meant for it
            )
        except OSError as error:
            log.error("cannot start %s: %s", _COMMAND[-1], error)
            return
        assert self._process.stdout is not None
        self._pidfd = os.pidfd_open(self._process.pid)
        os.set_blocking(self._process.stdout.fileno(), False)
        self._loop.watch_reader(self._process.stdout.fileno(), self._read)
        self._loop.watch_reader(self._pidfd, self._end)

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        self._output += self._process.stdout.read() or b""
        *lines, self._output = self._output.split(b"\n")
        for line in lines:
            answer = json.loads(line)
            job = self._jobs.get(answer["id"])
            if job is not None:
                job.take(answer)
        for job in [job for job in self._jobs.values() if not job.asked]:
            self._finish(job, "")

    def _end(self) -> None:
        """The process is gone: after its work, or without a reason."""
        process = self._process
        assert process is not None
        self._read()
        if self._process is not process:
            return
        self._let_go()
        if process.returncode and not self._jobs:
            log.warning("%s: ended with %s while it stood by", _COMMAND[-1], process.returncode)
        for job in tuple(self._jobs.values()):
            self._finish(job, f"the process that should stop it ended with {process.returncode}")

    def _finish(self, job: _Job, why_not: str) -> None:
        """Tell what became of the devices; those that did not answer, `why_not`."""
        assert job.deadline is not None
        job.deadline.cancel()
        del self._jobs[job.number]
        job.result["failed"].update(dict.fromkeys(sorted(job.asked), why_not))
        if job.asked and not self._jobs:
            self._let_go()  # it waits for servers that hang
            self._stand_by()
        job.on_done(job.result)

    def _tell_made_safe(self, result: Result) -> None:
        self._safe = None
        text = describe_rest(result)
        log.log(logging.WARNING if result["failed"] else logging.INFO, "made safe: %s", text)
        self._show(f"made safe: {text}")
        self._publish("session/made-safe", result)
        self._go_on()

    def _go_on(self) -> None:
        while self._after and not self.is_busy:
            self._after.pop(0)()

    def _let_go(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        assert process.stdout is not None
        self._loop.forget(self._pidfd)
        self._loop.forget(process.stdout.fileno())
        os.close(self._pidfd)
        process.kill()
        process.wait()
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        process.stdout.close()

    def close(self) -> None:
        """End the process that stands by."""
        self._let_go()


def _reach_of_profile(devices: DevicesConfig) -> Reach:
    """The devices of the profile that may move, let beam through or take frames."""
    reach: Reach = {}
    for group, configs in (("M", devices.M), ("D", devices.D)):
        for key, config in configs.items():
            if config.type in ("shutter", "camera"):
                reach[f"{group}.{key}"] = {"tango": config.tango, "kind": config.type}
            elif config.type == "motor" or (group == "M" and config.type == "signal"):
                reach[f"{group}.{key}"] = {"tango": config.tango, "kind": "motor"}
    return reach


def describe_rest(result: Mapping[str, Any]) -> str:
    """What was brought to rest and what could not be, on one line."""
    parts = [f"{did} {', '.join(sorted(result[did]))}" for did in ("stopped", "closed", "aborted") if result[did]]
    parts += [f"{name}: {why}" for name, why in result["failed"].items()]
    return "; ".join(parts) or "nothing moved"
