"""cmd, cmd/status, cmd/cancel, cmd/history."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import Field

from mamba.errors import Cancelled, ZError
from mamba.session.cell_text import check_text
from mamba.session.verbs.base import Seconds, Text, Verbs
from mamba.wire.handlers import PENDING
from mamba.wire.server import Call


class CommandVerbs(Verbs):
    """Commands: send, look after, withdraw, list."""

    def verbs(self) -> dict[str, Callable[..., Any]]:
        """Handler by verb."""
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
        """Have `cmd` executed as a cell; answered when it is done, or at once with its id."""
        if call.source == "console" and wait:
            raise ZError("bad-request", "cmd: the console cannot wait for its own prompt; send it with wait=False")
        check_text(cmd)
        self.require_console()
        command = self.host.commands.add(
            cmd,
            origin=origin,
            caller=self.host.gate.find_caller(call),
            pid=call.peer.pid,
            on_done=call.reply if wait else None,
            deadline_s=deadline_s,
            hold=hold,
        )
        call.on_reply = None  # from here on the command's receipt goes into the audit log
        return PENDING if wait else {"id": command.id}

    def status(self, call: Call, *, id: str) -> Any:
        """Where a command is, or its receipt."""
        return self.host.commands.find(id)

    def cancel(self, call: Call, *, id: str) -> Any:
        """Withdraw a command that has not begun; somebody else's only in control."""
        caller = self.host.gate.find_caller(call)
        if self.host.commands.find(id)["person"] != caller.person:
            self.host.control.require(caller, "cmd/cancel")
        self.host.commands.cancel(id, Cancelled(f"command {id}: withdrawn by a client"))
        return {"id": id}

    def history(self, call: Call, *, limit: Annotated[int, Field(ge=0, le=1000)] = 100) -> Any:
        """The last receipts, oldest first."""
        return self.host.receipts.list_last(limit)
