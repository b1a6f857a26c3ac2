"""dev/…, graph/…, and the verbs that the console serves itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import Field

from mamba.errors import ZError
from mamba.session.verbs.base import CALL_TIMEOUT_S, Seconds, Text, Verbs
from mamba.wire.handlers import PENDING
from mamba.wire.server import Call

Rate = Annotated[float, Field(ge=0, le=1e9)]
"""Frames/s."""


class ForwardedVerbs(Verbs):
    """What the console answers."""

    def verbs(self) -> dict[str, Callable[..., Any]]:
        """None of its own."""
        return {}

    def forward(self, call: Call, *, deadline_s: Seconds = CALL_TIMEOUT_S, **fields: Any) -> Any:
        """Let the console answer; it checks the fields of the verbs it added itself."""
        self.require_console()
        if not self.host.agent.connected:
            raise ZError("console-starting", f"{call.request.typ}: the console has not started yet")
        message = {"verb": call.request.typ, "args": fields}
        self.host.agent.ask("call", message, timeout_s=deadline_s, on_answer=call.reply)
        return PENDING


class DeviceVerbs(ForwardedVerbs):
    """Devices: listed by the host, read by the console."""

    def verbs(self) -> dict[str, Callable[..., Any]]:
        """Handler by verb."""
        by_role = dict.fromkeys(("dev/describe", "dev/limits"), self.ask_by_role)
        return {"dev/keys": self.keys, "dev/move": self.move, "dev/read": self.ask, **by_role}

    def keys(self, call: Call, *, path: Text = "") -> Any:
        """Expressions of the devices below `path`."""
        self.require_console()
        return self.host.state.list_devices(path)

    def ask(self, call: Call, *, path: Text, deadline_s: Seconds = CALL_TIMEOUT_S) -> Any:
        """What only the console can answer about a device."""
        return self.forward(call, deadline_s=deadline_s, path=path)

    def ask_by_role(self, call: Call, *, path: Text, deadline_s: Seconds = CALL_TIMEOUT_S) -> Any:
        """The same, where the answer depends on who asks: soft limits are those of a role."""
        role = self.host.gate.find_caller(call).role
        return self.forward(call, deadline_s=deadline_s, path=path, role=role)

    def move(self, call: Call, *, path: Text = "", position: Any = None) -> Any:
        """Refused: moving is a command."""
        text = f"RE(mv({path or 'M.energy'}, …))"
        raise ZError("use-command", f"dev/move: moving is a command, so that it stands in the console; send {text!r}")


class GraphVerbs(ForwardedVerbs):
    """Graphs of the data worker: all of them are looked at only, and answered by the console."""

    def verbs(self) -> dict[str, Callable[..., Any]]:
        """Handler by verb."""
        return {
            "graph/list": self.ask,
            "graph/kinds": self.kinds,
            "graph/status": self.ask_about,
            "graph/describe": self.ask_about,
            "graph/validate": self.validate,
            "graph/preview": self.preview,
        }

    def ask(self, call: Call, *, deadline_s: Seconds = CALL_TIMEOUT_S) -> Any:
        """About all of them."""
        return self.forward(call, deadline_s=deadline_s)

    def kinds(self, call: Call, *, kind: Text = "", deadline_s: Seconds = CALL_TIMEOUT_S) -> Any:
        """The kinds of nodes: all of them, or one."""
        return self.forward(call, deadline_s=deadline_s, kind=kind)

    def ask_about(self, call: Call, *, path: Text = "", deadline_s: Seconds = CALL_TIMEOUT_S) -> Any:
        """About the graph of one detector."""
        return self.forward(call, deadline_s=deadline_s, path=path)

    def validate(
        self,
        call: Call,
        *,
        graph: str | dict[str, Any],
        path: Text = "",
        rate: Rate = 100.0,
        deadline_s: Seconds = CALL_TIMEOUT_S,
    ) -> Any:
        """What is wrong with a graph, and what would run along its edges."""
        return self.forward(call, deadline_s=deadline_s, graph=graph, path=path, rate=rate)

    def preview(self, call: Call, *, node: Text = "", path: Text = "", deadline_s: Seconds = CALL_TIMEOUT_S) -> Any:
        """The newest picture of a graph."""
        return self.forward(call, deadline_s=deadline_s, node=node, path=path)
