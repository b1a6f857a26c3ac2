"""The verbs of the session host, each a small handler: keyword arguments are the fields of the request."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from mamba.errors import Cancelled, ConsoleDied, NoRun, ZError
from mamba.session.cell_text import check_text
from mamba.wire.handlers import PENDING, Handlers
from mamba.wire.messages import VERSION, Rep
from mamba.wire.server import Call

if TYPE_CHECKING:
    from mamba.session.host import SessionHost

ANSWER_TIMEOUT_S = 5.0
"""How long the console's control thread may take for pause, resume, stop, abort."""
CALL_TIMEOUT_S = 10.0
"""How long the console may take for a question about a device, unless the request says otherwise."""
_STATE_HISTORY = 200

Seconds = Annotated[float, Field(ge=0, le=1e6)]
Text = Annotated[str, Field(max_length=2000)]


def make_handlers(host: SessionHost) -> Handlers:
    """The registry of everything that can be asked of a session."""
    handlers = Handlers()
    groups = (_CommandVerbs, _RunVerbs, _SessionVerbs, _PersonVerbs, _DeviceVerbs)
    for group in groups:
        for verb, handler in group(host).verbs().items():
            handlers.add(verb, handler)
    return handlers


class _Verbs:
    def __init__(self, host: SessionHost) -> None:
        self.host = host

    def require_console(self) -> None:
        """Refuse what needs IPython when there is none."""
        if self.host.state.prompt == "dead":
            raise self.host.make_died()


class _CommandVerbs(_Verbs):
    def verbs(self) -> dict[str, Callable[..., Any]]:
        return {
            "cmd": self.run,
            "cmd/status": self.status,
            "cmd/cancel": self.cancel,
            "cmd/history": self.history,
        }

    def run(
        self,
        call: Call,
        *,
        cmd: str,
        wait: bool = True,
        deadline_s: Seconds | None = None,
        origin: Text = "client",
        hold: bool = True,
    ) -> Any:
        if call.source == "console" and wait:
            raise ZError("bad-request", "cmd: the console cannot wait for its own prompt; send it with wait=False")
        check_text(cmd)
        self.require_console()
        command = self.host.commands.add(
            cmd,
            origin=origin,
            person=self.host.state.person,
            on_done=call.reply if wait else None,
            deadline_s=deadline_s,
            hold=hold,
        )
        return PENDING if wait else {"id": command.id}

    def status(self, call: Call, *, id: str) -> Any:
        return self.host.commands.find(id)

    def cancel(self, call: Call, *, id: str) -> Any:
        self.host.commands.cancel(id, Cancelled(f"command {id}: withdrawn by a client"))
        return {"id": id}

    def history(self, call: Call, *, limit: Annotated[int, Field(ge=0, le=1000)] = 100) -> Any:
        return self.host.receipts.list_last(limit)


class _RunVerbs(_Verbs):
    def verbs(self) -> dict[str, Callable[..., Any]]:
        return {
            "run/status": self.status,
            "run/pause": self.pause,
            "run/resume": self.resume,
            "run/stop": self.stop,
            "run/abort": self.abort,
            "run/halt": self.halt,
        }

    def status(self, call: Call) -> Any:
        return self.host.state.run

    def pause(self, call: Call, *, defer: bool = False) -> Any:
        return self._ask(call, {"defer": defer})

    def resume(self, call: Call, *, origin: Text = "client") -> Any:
        return self._ask(call, {"origin": origin, "person": self.host.state.person})

    def stop(self, call: Call, *, reason: Text = "") -> Any:
        return self._ask(call, {"reason": reason})

    def abort(self, call: Call, *, reason: Text = "") -> Any:
        return self._ask(call, {"reason": reason}, cancels=True)

    def halt(self, call: Call, *, reason: Text = "") -> Any:
        return self._ask(call, {"reason": reason}, cancels=True)

    def _ask(self, call: Call, fields: dict[str, Any], *, cancels: bool = False) -> Any:
        self.require_console()
        verb, host = call.request.typ, self.host
        if not host.agent.connected:
            raise NoRun(f"{verb}: nothing runs", seen="the console is starting")
        # the cell of an aborted run may be done before the answer is here; what waits must not slip in between
        thaw = host.commands.freeze() if cancels else None

        def on_answer(rep: Rep) -> None:
            if thaw is not None:
                if not rep["err"]:
                    host.commands.cancel_waiting(Cancelled(f"command: withdrawn, since {verb} was asked"))
                thaw()
            call.reply(rep)

        host.agent.ask(verb, fields, timeout_s=ANSWER_TIMEOUT_S, on_answer=on_answer)
        return PENDING


class _SessionVerbs(_Verbs):
    def verbs(self) -> dict[str, Callable[..., Any]]:
        return {
            "ping": self.ping,
            "wire/version": self.version,
            "wire/verbs": self.list_verbs,
            "state": self.state,
            "session/interrupt": self.interrupt,
            "session/status": self.status,
            "session/restart": self.restart,
        }

    def ping(self, call: Call) -> Any:
        return "pong"

    def version(self, call: Call) -> Any:
        return VERSION

    def list_verbs(self, call: Call) -> Any:
        return self.host.handlers.verbs

    def state(self, call: Call) -> Any:
        state, commands = self.host.state, self.host.commands
        running = commands.running
        return {
            "prompt": state.prompt,
            "startup_error": state.startup_error,
            "running": None if running is None else running.describe(),
            "waiting": [command.describe() for command in commands.waiting],
            "run": state.run,
            "devices": state.devices,
            "person": state.person,
            "logged_in": bool(state.logged_in),
            "history": self.host.receipts.list_last(_STATE_HISTORY),
            "last_run": state.last_run.describe(),
            "seq": self.host.publisher.seq,
            "time": time.time(),
        }

    def interrupt(self, call: Call) -> Any:
        self.require_console()
        return {"cancelled": self.host.interrupt()}

    def status(self, call: Call) -> Any:
        host = self.host
        return {
            **host.describe(),
            "prompt": host.state.prompt,
            "joined": host.join_server.count,
            "requests": host.server.count,
            "notices": host.publisher.count,
            "waiting": len(host.commands.waiting),
            "uptime_s": time.monotonic() - host.started,
        }

    def restart(self, call: Call) -> Any:
        def on_started() -> None:
            call.succeed({"pid": os.getpid(), "console_pid": self.host.terminal.pid})

        self.host.restart_console(on_started)
        return PENDING


class _PersonVerbs(_Verbs):
    def verbs(self) -> dict[str, Callable[..., Any]]:
        return {"auth/login": self.login, "auth/logout": self.logout}

    def login(self, call: Call, *, person: Annotated[str, Field(min_length=1, max_length=100)]) -> Any:
        if not person.isprintable() or not person.strip():
            raise ZError("bad-request", "auth/login: field 'person' must be a printable name")
        self.host.set_person(person.strip())
        return {"person": self.host.state.person}

    def logout(self, call: Call) -> Any:
        if not self.host.state.logged_in:
            raise ZError("not-logged-in", "nobody is logged in")
        self.host.set_person("")
        return {"person": self.host.state.person}


class _DeviceVerbs(_Verbs):
    def verbs(self) -> dict[str, Callable[..., Any]]:
        forwarded = ("dev/describe", "dev/read", "dev/limits")
        return {"dev/keys": self.keys, "dev/move": self.move, **dict.fromkeys(forwarded, self.ask)}

    def keys(self, call: Call, *, path: Text = "") -> Any:
        self.require_console()
        return self.host.state.list_devices(path)

    def ask(self, call: Call, *, path: Text, deadline_s: Seconds = CALL_TIMEOUT_S) -> Any:
        self.require_console()
        if not self.host.agent.connected:
            raise ZError("console-starting", f"{call.request.typ}: the console has not started yet")
        fields = {"verb": call.request.typ, "args": {"path": path}}
        self.host.agent.ask("call", fields, timeout_s=deadline_s, on_answer=call.reply)
        return PENDING

    def move(self, call: Call, *, path: Text = "", position: Any = None) -> Any:
        text = f"RE(mv({path or 'M.energy'}, …))"
        raise ZError("use-command", f"dev/move: moving is a command, so that it stands in the console; send {text!r}")


def make_died_error(reason: str) -> ConsoleDied:
    """The error of everything that waits for a console that is gone."""
    return ConsoleDied(
        "console: IPython has ended",
        seen=reason,
        remedy="request session/restart, or 'mambactl down' and 'mambactl up'",
    )
