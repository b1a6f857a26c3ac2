"""run/status, what is asked of a run while its cell runs (pause, resume, stop, abort, halt), and run/stop_all."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from mamba.errors import Cancelled, NoRun
from mamba.session.stop_all import StopAll
from mamba.session.verbs.base import ANSWER_TIMEOUT_S, Text, Verbs
from mamba.wire.handlers import PENDING
from mamba.wire.server import Call

log = logging.getLogger(__name__)


class RunVerbs(Verbs):
    """The run: how it is, and holding or ending it."""

    def verbs(self) -> dict[str, Callable[..., Any]]:
        """Handler by verb."""
        return {
            "run/status": self.status,
            "run/pause": self.pause,
            "run/resume": self.resume,
            "run/stop": self.stop,
            "run/abort": self.abort,
            "run/halt": self.halt,
            "run/stop_all": self.stop_all,
        }

    def status(self, call: Call) -> Any:
        """What the run does."""
        return self.host.state.run

    def pause(self, call: Call, *, defer: bool = False) -> Any:
        """Pause now, or at the next checkpoint."""
        return self._ask(call, {"defer": defer})

    def resume(self, call: Call, *, origin: Text = "client") -> Any:
        """Go on, in a visible cell."""
        caller = self.host.gate.find_caller(call)
        who = {"person": caller.person, "proposal": caller.proposal, "role": caller.role}
        return self._ask(call, {"origin": origin, **who})

    def stop(self, call: Call, *, reason: Text = "") -> Any:
        """End the run after its clean-up, as a success."""
        return self._ask(call, {"reason": reason})

    def abort(self, call: Call, *, reason: Text = "") -> Any:
        """End the run after its clean-up, as aborted; what waits is withdrawn."""
        return self._ask(call, {"reason": reason}, cancels=True)

    def halt(self, call: Call, *, reason: Text = "") -> Any:
        """End the run without its clean-up; what waits is withdrawn."""
        return self._ask(call, {"reason": reason}, cancels=True)

    def stop_all(self, call: Call, *, reason: Text = "") -> Any:
        """Stop all that moves, whatever the console does; abort its run, interrupt its cell, withdraw what waits.

        The motors are stopped by a process of its own, at the same time.
        """
        host = self.host
        person = host.gate.find_caller(call).person
        why = "everything was stopped" + (f" by {person}" if person else "") + (f": {reason}" if reason else "")
        host.commands.cancel_waiting(Cancelled(f"command: withdrawn, since {why}"))
        if call.source != "console":  # a person at the prompt asks in a cell, which must not end itself
            self._end_what_runs(why)
        StopAll(host, call, why).begin()
        return PENDING

    def _end_what_runs(self, why: str) -> None:
        host = self.host
        if host.state.prompt in ("idle", "dead") or not host.agent.connected:
            return

        def on_answer(rep: dict[str, Any]) -> None:
            if rep["err"] == "no-run" and host.state.prompt == "running":
                host.keyboard.interrupt()
            elif rep["err"] not in ("", "no-run"):
                log.warning("run/stop_all: the run was not aborted: %s", rep["desc"])

        host.agent.ask("run/abort", {"reason": why}, timeout_s=ANSWER_TIMEOUT_S, on_answer=on_answer)

    def _ask(self, call: Call, fields: dict[str, Any], *, cancels: bool = False) -> Any:
        self.require_console()
        verb, host = call.request.typ, self.host
        if not host.agent.connected:
            raise NoRun(f"{verb}: nothing runs", seen="the console is starting")
        # the cell of an aborted run may be done before the answer is here; what waits must not slip in between
        thaw = host.commands.freeze() if cancels else None

        def on_answer(rep: dict[str, Any]) -> None:
            if thaw is not None:
                if not rep["err"]:
                    host.commands.cancel_waiting(Cancelled(f"command: withdrawn, since {verb} was asked"))
                thaw()
            call.reply(rep)

        host.agent.ask(verb, fields, timeout_s=ANSWER_TIMEOUT_S, on_answer=on_answer)
        return PENDING
