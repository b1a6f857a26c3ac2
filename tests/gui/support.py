"""A small session host for the window's tests: the real sockets, wire code, logins, control and gate, and a console
that only pretends.

It answers the requests of the window, executes nothing but what its `script` knows, and measures an absorption edge
point by point, so that a run can be paused, resumed and aborted in the middle.
"""

from __future__ import annotations

import ast
import json
import math
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import zmq

from mamba.config import Role
from mamba.data_worker.graph import Graph
from mamba.data_worker.kinds import describe_kind
from mamba.data_worker.parameters import replace_parameters
from mamba.errors import GraphInvalid, LoginRefused, MambaError, NoRun, ZError
from mamba.runtime import RuntimeDirectory
from mamba.session.control import Control
from mamba.session.gate import Gate
from mamba.session.loop import Loop
from mamba.session.people import People
from mamba.session.roles import Caller
from mamba.session.verbs.people import ControlVerbs, PersonVerbs
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


_ENDING = ("stopping", "aborting", "halting")
_TURN_S = 0.002
_OUTPUT_KEPT = 2**20
ACCOUNTS: dict[str, tuple[str, Role]] = {
    "alice": ("wonderland", "operator"),
    "bob": ("the builder", "operator"),
    "eve": ("overhears", "observer"),
    "grace": ("compiles", "expert"),
}
"""Person → password and role."""


class PracticeAuthenticator:
    def check(self, person: str, password: str) -> Role:
        known = ACCOUNTS.get(person)
        if known is None or known[0] != password:
            raise LoginRefused("auth/login: name or password is wrong")
        return known[1]


class PracticeHost:
    """Serves one runtime directory from a thread; `commands` lists what was injected.

    `point_s` is the time of one point; `hold` is set to let nothing end (commands then run for ever); `prompt` is told
    instead of what it does. With `logins` people have to log in; each has a password and a role in `ACCOUNTS`.
    """

    def __init__(
        self,
        runtime: RuntimeDirectory,
        *,
        point_s: float = 0.004,
        logins: bool = False,
        control: bool = False,
        control_timeout_s: float = 60.0,
    ) -> None:
        self.runtime, self.point_s = runtime, point_s
        self.commands: list[dict[str, Any]] = []
        self.requests: list[str] = []
        self.asked: list[dict[str, Any]] = []
        self.graph: dict[str, Any] = {}
        self.preview: dict[str, Any] = {}
        self.described: Graph | None = None
        self.refusals: dict[str, MambaError] = {}
        self.output = ""
        self.history: list[dict[str, Any]] = []
        self.limits = {"M.energy": {"low": 5.0, "high": 20.0, "unit": "keV"}}
        self.operator_limits: dict[str, dict[str, Any]] = {}
        self.prompt = ""
        self.waiting: list[dict[str, Any]] = []
        self.run: dict[str, Any] = {"state": "idle", "uid": None, "reason": "", "waits_for": []}
        self.last_run: dict[str, Any] | None = None
        self._logins, self._control_wanted, self._control_timeout_s = logins, control, control_timeout_s
        self._next_step = 0.0
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
        self._calls.append(lambda: self._publisher.skip(typ, 1))

    def _say(self, typ: str, **fields: Any) -> None:
        notice = json.loads(self._publisher.publish(typ, fields))
        if typ == "scan/start":
            self.last_run = {"start": notice, "descriptor": None, "points": [], "stop": None}
        elif typ.startswith("scan/") and self.last_run is not None:
            if typ == "scan/point":
                self.last_run["points"].append(notice)
            else:
                self.last_run[typ.removeprefix("scan/")] = notice

    def print(self, output: str, *, dropped: int = 0) -> None:
        """Have the console print something; `dropped` bytes before it reach no window."""
        self._calls.append(lambda: self._print(output, dropped))

    def _print(self, output: str, dropped: int) -> None:
        self.output = (self.output + output)[-_OUTPUT_KEPT:]
        self._say("console/output", data=output, dropped=dropped)

    def _serve(self) -> None:
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._loop = Loop()
        self._publisher = Publisher(context, self.runtime.notify)
        self.people = People(self._loop, PracticeAuthenticator() if self._logins else None, "default")
        self.control = Control(
            self._loop,
            enabled=self._control_wanted,
            timeout_s=self._control_timeout_s,
            is_present=self.people.is_present,
            publish=lambda typ, fields: self._say(typ, **fields),
        )
        self.gate = Gate(self.people, self.control, added={}, audit=lambda *_args, **_fields: None)
        server = RequestServer(context, self.runtime.rpc, self._make_handlers(), self._admit)
        self._loop.watch_reader(server.socket, server.serve)
        self._turn()
        self._started.set()
        self._loop.run()
        self._loop.forget(server.socket)
        server.socket.linger = 0
        server.close()
        self._publisher.close()
        self.people.close()
        self._loop.close()
        context.term()

    def _turn(self) -> None:
        while self._calls:
            self._calls.pop(0)()
        if self._jobs and time.monotonic() >= self._next_step:
            if self._jobs[0]():
                self._jobs.pop(0)
            else:
                self._next_step = time.monotonic() + self.point_s
        if self._stop.is_set():
            self._loop.stop()
        self._loop.call_later(_TURN_S, self._turn)

    def _admit(self, call: Call) -> None:
        self.asked.append({"typ": call.request.typ, **call.request.fields})
        self.gate.admit(call)

    def _make_handlers(self) -> Handlers:
        handlers = Handlers()
        handlers.add("state", self._state)
        handlers.add("cmd", self._cmd)
        handlers.add("cmd/status", self._status)
        handlers.add("dev/limits", self._limits)
        handlers.add("graph/status", self._graph_status)
        handlers.add("graph/describe", self._describe_graph)
        handlers.add("graph/kinds", lambda _call, *, kind: [asdict(describe_kind(kind))])
        handlers.add("graph/preview", lambda _call, *, node="", path="": self.preview)
        handlers.add("session/output", self._last_output)
        handlers.add("run/pause", self._pause)
        handlers.add("run/resume", lambda _call: self._steer("paused", "running"))
        for verb, state in (("stop", "stopping"), ("abort", "aborting"), ("halt", "halting")):
            handlers.add(f"run/{verb}", self._make_end(state))
        # the host's own verbs: what they need of it is what stands here
        for group in (PersonVerbs, ControlVerbs):
            for verb, handler in group(self).verbs().items():  # type: ignore[arg-type]  # a host as far as they use it
                handlers.add(verb, handler)
        return handlers

    def set_terminal(self, caller: Caller) -> None:
        self.people.terminal = caller
        self._say("session/person", person=self.people.person, proposal=caller.proposal)

    def _last_output(self, _call: Call, *, limit: int = 65536) -> Any:
        return {"data": self.output[-limit:]}

    def _state(self, _call: Call) -> Any:
        self.requests.append("state")
        return {
            "prompt": self.prompt or ("running" if self._jobs else "idle"),
            "running": None,
            "waiting": self.waiting,
            "run": self.run,
            "person": self.people.person,
            "login": self.people.is_required,
            "control": self.control.describe(),
            "history": self.history,
            "last_run": self.last_run,
            "seq": dict(self._publisher.seq),
        }

    def _cmd(self, call: Call, *, cmd: str, origin: str, wait: bool = True) -> Any:
        assert not wait
        if "\x1b" in cmd:
            raise ZError("text-refused", "command: cannot be delivered")
        caller = self.gate.find_caller(call)
        command = {"id": f"c-{len(self.commands) + 1}", "text": cmd, "origin": origin, "person": caller.person}
        command.update(n=len(self.commands) + 1, role=caller.role, pid=call.peer.pid)
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

    def _limits(self, call: Call, *, path: str) -> Any:
        own = {} if self.gate.find_caller(call).role == "expert" else self.operator_limits
        return own.get(path) or self.limits.get(path, {"low": None, "high": None, "unit": ""})

    def _graph_status(self, _call: Call, *, path: str = "") -> Any:
        if path not in ("", self.graph.get("device")):
            raise ZError("unknown-device", f"{path}: has no graph")
        return self.graph

    def _describe_graph(self, _call: Call, *, path: str = "") -> Any:
        if self.described is None or path != "D.camera":
            raise ZError("unknown-device", f"{path}: has no graph")
        return {"device": path, "source": "", **self.described.dump()}

    def _set_parameters(self, text: str) -> Rep:
        """What the console does with the one command of the form, by the code that it uses for it."""
        call = ast.parse(text, mode="eval").body
        assert isinstance(call, ast.Call)
        assert ast.unparse(call.func) == "graph(D.camera).set_parameters"
        assert self.described is not None
        values = {str(each.arg): ast.literal_eval(each.value) for each in call.keywords}
        try:
            self.described = replace_parameters(self.described, ast.literal_eval(call.args[0]), values)
        except GraphInvalid as error:
            return make_error(error)
        return make_ok(None)

    def _steer(self, wanted: str, state: str) -> Any:
        if self.run["state"] != wanted:
            raise NoRun(f"run: nothing is {wanted}")
        self._set_run(state)
        return None

    def _pause(self, _call: Call, *, defer: bool = False) -> Any:
        return self._steer("running", "paused")

    def _make_end(self, state: str) -> Callable[..., Any]:
        def end(_call: Call, *, reason: str = "") -> Any:
            if self.run["state"] not in ("running", "paused"):
                raise NoRun("run: there is none to end")
            self.run["reason"] = reason
            self._set_run(state)

        return end

    def suspend_run(self, *devices: str) -> None:
        """Have the run wait for `devices`, as told by a real session: the reason, then the engine's states."""

        def suspend() -> None:
            self.run["waits_for"] = list(devices)
            self._say("run/suspended", devices=list(devices), what=f"{devices[0]}: cannot read Energy", seen="lost")
            for state in ("suspending", "running"):
                self._set_run(state)

        self._calls.append(suspend)

    def go_on(self) -> None:
        """The devices it waits for answer again."""

        def go_on() -> None:
            devices, self.run["waits_for"] = self.run["waits_for"], []
            self._say("run/resumed", devices=devices, waited_s=1.0)

        self._calls.append(go_on)

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
        elif text in self.refusals:
            rep = make_error(self.refusals[text])
        elif text.startswith("graph("):
            rep = self._set_parameters(text)
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
        if not self.people.terminal.person:
            return make_error(ZError("not-logged-in", "logout: nobody is logged in"))
        self.set_terminal(Caller("", "expert"))
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
            if self.run["state"] in _ENDING:
                break
            self._say("scan/point", id=7, uid=uid, stream="primary", n=n, data=measure_point(n, points))
            yield False
        end = "abort" if self.run["state"] in ("aborting", "halting") else "success"
        self._say("scan/stop", id=7, uid=uid, exit_status=end, reason=self.run["reason"], num_points=n, files=[])
        self._set_run("idle")


def measure_point(n: int, points: int) -> dict[str, float]:
    """A smooth absorption edge: its middle lies at 8.98 keV."""
    energy = 8.88 + 0.25 * n / points
    mu = 0.4 + 1.2 / (1 + math.exp(-(energy - 8.98) / 0.003)) + 0.05 * math.sin(energy * 90)
    return {"M_energy": energy, "M_energy_setpoint": energy, "D_i0": 1e6, "D_i1": 1e6 * math.exp(-mu)}
