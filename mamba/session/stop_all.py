"""Everything that moves is stopped: what Tango reaches by the standby, the rest by the console, both at once."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from mamba.session.making_safe import DEADLINE_S, Result, describe_rest
from mamba.wire.server import Call

if TYPE_CHECKING:
    from mamba.session.host import SessionHost

log = logging.getLogger(__name__)
_SILENT = "the console, which alone reaches it, did not answer"


class StopAll:
    """One order to stop everything; answers `call` with `stopped` (names) and `failed` (why, by name)."""

    def __init__(self, host: SessionHost, call: Call, why: str) -> None:
        self._host, self._call, self._why = host, call, why
        self._result: Result = {"stopped": [], "failed": {}}
        self._waits = 1

    def begin(self) -> None:
        """Order it."""
        host = self._host
        beyond = host.making_safe.beyond
        if beyond and host.agent.connected and host.state.prompt != "dead":
            self._waits += 1
            message = {"verb": "dev/stop_beyond", "args": {}}
            host.agent.ask("call", message, timeout_s=DEADLINE_S, on_answer=lambda rep: self._take_console(beyond, rep))
        else:
            self._result["failed"].update(dict.fromkeys(beyond, _SILENT))
        host.making_safe.stop_all(self._take)

    def _take_console(self, beyond: list[str], rep: dict[str, Any]) -> None:
        if rep["err"]:
            self._take({"stopped": [], "failed": dict.fromkeys(beyond, f"{_SILENT}: {rep['desc']}")})
        else:
            self._take(rep["ret"])

    def _take(self, result: Result) -> None:
        self._result["stopped"] += result["stopped"]
        self._result["failed"] |= result["failed"]
        self._waits -= 1
        if self._waits:
            return
        self._result["stopped"].sort()
        text = describe_rest({"closed": [], "aborted": [], **self._result})
        log.log(logging.WARNING if self._result["failed"] else logging.INFO, "%s: %s", self._why, text)
        self._host.tell_stopped(f"{self._why}: {text}", {"reason": self._why, **self._result})
        self._call.succeed(self._result)
