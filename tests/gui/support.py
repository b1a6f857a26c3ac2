"""A small session host for the window's tests: the real sockets and wire code, and a console that only pretends.

It answers the requests of the window, executes nothing but what its `script` knows, and measures an absorption edge
point by point, so that a run can be paused, resumed and aborted in the middle.
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable
from typing import Any

import zmq

from mamba.errors import NoRun, ZError
from mamba.runtime import RuntimeDirectory
from mamba.wire.handlers import Handlers
from mamba.wire.messages import Rep, make_error, make_ok
from mamba.wire.publisher import Publisher
from mamba.wire.server import Call, RequestServer

_KEYS = {
    "M_energy": {"units": "keV", "dtype": "number", "shape": []},
    "M_energy_setpoint": {"units": "keV", "dtype": "number", "shape": []},
    "D_i0": {"units": "counts", "dtype": "number", "shape": []},
    "D_i1": {"units": "counts", "dtype": "number", "shape": []},
}


class PracticeHost:
    """Serves one runtime directory from a thread; `commands` lists what was injected.

    `point_s` is the time of one point; `hold` is set to let nothing end (commands then run for ever); `prompt` is told
    instead of what it does.
    """

    def __init__(self, runtime: RuntimeDirectory, *, point_s: float = 0.004) -> None:
        self.runtime, self.point_s = runtime, point_s
        self.commands: list[dict[str, Any]] = []
        self.requests: list[str] = []
        self.history: list[dict[str, Any]] = []
        self.limits = {"M.energy": {"low": 5.0, "high": 20.0, "unit": "keV"}}
        self.person = "default"
        self.prompt = ""
        self.run: dict[str, Any] = {"state": "idle", "uid": None, "reason": ""}
        self.last_run: dict[str, Any] | None = None
        self._logged_in = False
        self._jobs: list[Callable[[], bool]] = []
        self._calls: list[Callable[[], None]] = []
        self._stop = threading.Event()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="practice-host")
        self._thread.start()
        assert self._started.wait(5)

    def close(self) -> None:
        self._stop.set()
        self._thread.join(5)
        assert not self._thread.is_alive()

    def __enter__(self) -> PracticeHost:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def publish(self, typ: str, **fields: Any) -> None:
        """Push a notice, from any thread."""
        self._calls.append(lambda: self._say(typ, **fields))

    def skip_notice(self, typ: str) -> None:
        """Lose one notice on the way: only its number is used up."""
        self._calls.append(lambda: self._publisher.seq.update({typ: self._publisher.seq.get(typ, 0) + 1}))

    def _say(self, typ: str, **fields: Any) -> None:
        notice = json.loads(self._publisher.publish(typ, fields))
        if typ == "scan/start":
            self.last_run = {"start": notice, "descriptor": None, "points": [], "stop": None}
        elif typ.startswith("scan/") and self.last_run is not None:
            if typ == "scan/point":
                self.last_run["points"].append(notice)
            else:
                self.last_run[typ.removeprefix("scan/")] = notice

    def _serve(self) -> None:
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._publisher = Publisher(context, self.runtime.notify)
        server = RequestServer(context, self.runtime.rpc, self._make_handlers())
        self._started.set()
        next_step = 0.0
        while not self._stop.is_set():
            server.socket.poll(2)
            server.serve()
            while self._calls:
                self._calls.pop(0)()
            if self._jobs and time.monotonic() >= next_step and self._jobs[0]():
                self._jobs.pop(0)
            elif self._jobs and time.monotonic() >= next_step:
                next_step = time.monotonic() + self.point_s
        server.socket.linger = 0
        server.close()
        self._publisher.close()
        context.term()

    def _make_handlers(self) -> Handlers:
        handlers = Handlers()
        handlers.add("state", self._state)
        handlers.add("cmd", self._cmd)
        handlers.add("cmd/status", self._status)
        handlers.add("dev/limits", self._limits)
        handlers.add("auth/login", self._login)
        handlers.add("run/pause", lambda _call: self._steer("running", "paused"))
        handlers.add("run/resume", lambda _call: self._steer("paused", "running"))
        handlers.add("run/abort", self._abort)
        return handlers

    def _state(self, _call: Call) -> Any:
        self.requests.append("state")
        return {
            "prompt": self.prompt or ("running" if self._jobs else "idle"),
            "running": None,
            "waiting": [],
            "run": self.run,
            "person": self.person,
            "history": self.history,
            "last_run": self.last_run,
            "seq": dict(self._publisher.seq),
        }

    def _cmd(self, _call: Call, *, cmd: str, origin: str, wait: bool = True) -> Any:
        assert not wait
        if "\x1b" in cmd:
            raise ZError("text-refused", "command: cannot be delivered")
        command = {"id": f"c-{len(self.commands) + 1}", "text": cmd, "origin": origin, "person": self.person}
        command["n"] = len(self.commands) + 1
        self.commands.append(command)
        self._jobs.append(self._make_job(command))
        return {"id": command["id"]}

    def _status(self, _call: Call, *, id: str) -> Any:
        for receipt in self.history:
            if receipt["id"] == id:
                return {**receipt, "state": "done"}
        if any(command["id"] == id for command in self.commands):
            return {"id": id, "state": "running", "text": "…"}
        raise ZError("unknown-command", f"{id}: no such command")

    def _limits(self, _call: Call, *, path: str) -> Any:
        return self.limits.get(path, {"low": None, "high": None, "unit": ""})

    def _login(self, _call: Call, *, person: str) -> Any:
        self.person, self._logged_in = person, True
        self._say("session/person", person=person)
        return None

    def _steer(self, wanted: str, state: str) -> Any:
        if self.run["state"] != wanted:
            raise NoRun(f"run: nothing is {wanted}")
        self._set_run(state)
        return None

    def _abort(self, _call: Call, *, reason: str) -> Any:
        if self.run["state"] not in ("running", "paused"):
            raise NoRun("run: there is none to abort")
        self.run["reason"] = reason
        self._set_run("aborting")
        return None

    def _set_run(self, state: str) -> None:
        self.run = {**self.run, "state": state}
        self._say("run/state", **self.run, id=7)

    def _make_job(self, command: dict[str, Any]) -> Callable[[], bool]:
        steps = self._execute(command)
        return lambda: next(steps, True) is True

    def _execute(self, command: dict[str, Any]) -> Any:
        began, text = time.monotonic(), command["text"]
        self._say("cmd/running", **command)
        rep: Rep = make_ok(None)
        files: list[str] = []
        if text == "1 / 0":
            rep = make_error(ZeroDivisionError("division by zero"))
        elif text == "U.logout()":
            rep = self._log_out()
        elif text.startswith(("RE(scan", "RE(xafs_scan", "RE(count", "RE(rel_scan")):
            points = 120 if "xafs" in text else 30
            yield from self._measure(command, points)
            files = ["/data/00007_scan.nxs"]
            rep = make_ok(["uid-7"]) if self.run["reason"] == "" else make_error(ZError("run-aborted", "run: aborted"))
        elif text == "wait":
            while True:
                yield False
        elif text.isdigit():
            rep = make_ok(int(text))
        receipt = {**command, "duration_s": time.monotonic() - began, "files": files, "rep": rep}
        self.history.append(receipt)
        self._say("cmd/done", **receipt)

    def _log_out(self) -> Rep:
        if not self._logged_in:
            return make_error(ZError("not-logged-in", "logout: nobody is logged in"))
        self.person, self._logged_in = "default", False
        self._say("session/person", person=self.person)
        return make_ok(None)

    def _measure(self, command: dict[str, Any], points: int) -> Any:
        self.run["reason"], uid = "", f"uid-{command['id']}"
        self._set_run("running")
        detectors, motors = ["D.i0", "D.i1"], ["M.energy"]
        start = {"id": 7, "uid": uid, "plan": command["text"][3:].partition("(")[0], "motors": motors}
        self._say("scan/start", **start, detectors=detectors, num_points=points, x="M_energy")
        self._say("scan/descriptor", id=7, uid=uid, stream="primary", keys=_KEYS)
        for n in range(1, points + 1):
            while self.run["state"] == "paused":
                yield False
            if self.run["state"] == "aborting":
                break
            self._say("scan/point", id=7, uid=uid, stream="primary", n=n, data=measure_point(n, points))
            yield False
        end = "abort" if self.run["state"] == "aborting" else "success"
        self._say("scan/stop", id=7, uid=uid, exit_status=end, reason=self.run["reason"], num_points=n, files=[])
        self._set_run("idle")


def measure_point(n: int, points: int) -> dict[str, float]:
    """A smooth absorption edge: its middle lies at 8.98 keV."""
    energy = 8.88 + 0.25 * n / points
    mu = 0.4 + 1.2 / (1 + math.exp(-(energy - 8.98) / 0.003)) + 0.05 * math.sin(energy * 90)
    return {"M_energy": energy, "M_energy_setpoint": energy, "D_i0": 1e6, "D_i1": 1e6 * math.exp(-mu)}
