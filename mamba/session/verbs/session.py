"""What the host says of itself and the session: ping, state, wire/… and session/… verbs."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import Field

from mamba.session.output_notices import decode_last
from mamba.session.terminal import BACKLOG_BYTES
from mamba.session.verbs.base import Verbs
from mamba.wire.handlers import PENDING
from mamba.wire.messages import VERSION
from mamba.wire.server import Call

_STATE_HISTORY = 200


class SessionVerbs(Verbs):
    """The session as a whole."""

    def verbs(self) -> dict[str, Callable[..., Any]]:
        """Handler by verb."""
        return {
            "ping": self.ping,
            "wire/version": self.version,
            "wire/verbs": self.list_verbs,
            "state": self.state,
            "session/interrupt": self.interrupt,
            "session/status": self.status,
            "session/clients": self.clients,
            "session/output": self.output,
            "session/restart": self.restart,
        }

    def ping(self, call: Call) -> Any:
        """The host lives."""
        return "pong"

    def version(self, call: Call) -> Any:
        """Version of the wire."""
        return VERSION

    def list_verbs(self, call: Call) -> Any:
        """Every verb that is served now."""
        return self.host.handlers.verbs

    def state(self, call: Call) -> Any:
        """Everything a late joiner needs."""
        host = self.host
        state, commands = host.state, host.commands
        running = commands.running
        return {
            "prompt": state.prompt,
            "startup_error": state.startup_error,
            "running": None if running is None else running.describe(),
            "waiting": [command.describe() for command in commands.waiting],
            "run": state.run,
            "devices": state.devices,
            "person": host.people.person,
            "logged_in": bool(host.people.terminal.person),
            "login": host.people.is_required,
            "control": host.control.describe(),
            "history": host.receipts.list_last(_STATE_HISTORY),
            "last_run": state.last_run.describe(),
            "seq": host.publisher.seq,
            "time": time.time(),
        }

    def interrupt(self, call: Call) -> Any:
        """Ctrl-C."""
        self.require_console()
        return {"cancelled": self.host.keyboard.interrupt()}

    def status(self, call: Call) -> Any:
        """Processes, sockets and counts."""
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

    def clients(self, call: Call) -> Any:
        """The processes that asked something and still live, the last one first."""
        return self.host.gate.list_clients()

    def output(self, call: Call, *, limit: Annotated[int, Field(ge=0, le=BACKLOG_BYTES)] = BACKLOG_BYTES) -> Any:
        """The last output of the console's terminal, at most `limit` bytes of it, and the notice it ends with."""
        host = self.host
        host.output.flush()
        rows, columns = host.terminal.size
        return {
            "data": decode_last(host.terminal.backlog, limit),
            "seq": host.publisher.seq.get("console/output", 0),
            "rows": rows,
            "columns": columns,
        }

    def restart(self, call: Call) -> Any:
        """End IPython if it lives, and start it anew."""

        def on_started() -> None:
            call.succeed({"pid": os.getpid(), "console_pid": self.host.terminal.pid})

        self.host.restart_console(on_started)
        return PENDING
