"""What moves is stopped when the console has died: by a process of its own, which stands by while the session goes on.

*Standby*: `mamba.facility.stop_motion`, started by its name, waiting for its one request; it costs 68 MB, and the
beginning of a Tango program (a second on a loaded machine) when there is no second to lose. Sessions without Tango
devices have none. *Reach*: how each device of M and D is brought to rest, from the profile and from what the console
told about devices that its start-up script made; a device that is not Tango's is named as one that nobody can stop.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
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
        self._deadline: Timer | None = None
        self._asked: set[str] = set()
        self._output = b""
        self._result: dict[str, Any] = {}
        self._after: list[Callable[[], None]] = []
        self._stand_by()

    @property
    def is_busy(self) -> bool:
        """Whether devices are being brought to rest now."""
        return self._deadline is not None

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
        self._result = {"stopped": [], "closed": [], "aborted": [], "failed": {}}
        devices = {name: device for name, device in self._reach.items() if device["tango"]}
        self._result["failed"] = {name: _NOT_TANGO for name in self._reach if name not in devices}
        self._asked, self._output = set(devices), b""
        self._deadline = self._loop.call_later(DEADLINE_S, self._give_up)
        self._stand_by()
        self._reach, self._told = dict(self._of_profile), None  # the next console has its own words
        if self._process is None:
            self._finish("there is nothing to stop it with")
            return
        request = json.dumps({"devices": devices, "run_open": run_open}).encode()
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it died while it stood by: its end is seen and told
            self._process.stdin.write(request + b"\n")
            self._process.stdin.close()

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
            self._take(json.loads(line))
        if not self._asked and self.is_busy:
            self._finish("")

    def _take(self, answer: Mapping[str, str]) -> None:
        name, did, why = answer["device"], answer["did"], answer["why"]
        self._asked.discard(name)
        if why:
            self._result["failed"][name] = why
        elif did:
            self._result[did].append(name)

    def _end(self) -> None:
        """The process is gone: after its work, or without a reason."""
        process = self._process
        assert process is not None
        self._read()
        if self._process is not process:
            return
        self._let_go()
        if self.is_busy:
            self._finish(f"the process that should stop it ended with {process.returncode}")
        elif process.returncode:
            log.warning("%s: ended with %s while it stood by", _COMMAND[-1], process.returncode)

    def _give_up(self) -> None:
        self._finish(f"no answer within {DEADLINE_S:g} s")

    def _finish(self, why_not: str) -> None:
        """Tell what became of the devices; those that did not answer, `why_not`."""
        assert self._deadline is not None
        self._deadline.cancel()
        self._deadline = None
        self._result["failed"].update(dict.fromkeys(sorted(self._asked), why_not))
        self._let_go()
        text = _describe(self._result)
        log.log(logging.WARNING if self._result["failed"] else logging.INFO, "made safe: %s", text)
        self._show(f"made safe: {text}")
        self._publish("session/made-safe", self._result)
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


def _describe(result: Mapping[str, Any]) -> str:
    parts = [f"{did} {', '.join(sorted(result[did]))}" for did in ("stopped", "closed", "aborted") if result[did]]
    parts += [f"{name}: {why}" for name, why in result["failed"].items()]
    return "; ".join(parts) or "nothing moved"
