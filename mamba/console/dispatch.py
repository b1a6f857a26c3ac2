"""The session host's messages, each to the part of the console that serves it; nothing here waits."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mamba.console.cells import Command
from mamba.console.injector import Injector
from mamba.console.run_control import RunControl
from mamba.errors import NoRun
from mamba.wire.agent_link import LinkMessage
from mamba.wire.messages import Rep, make_error, make_ok

if TYPE_CHECKING:
    from mamba.console.session import ConsoleSession


class HostMessages:
    """Takes what the host sends, in the agent's thread.

    Args:
        session: the console.
        injector: delivers its commands.
    """

    def __init__(self, session: ConsoleSession, injector: Injector) -> None:
        self._session, self._injector = session, injector
        self._takers: dict[str, Callable[[LinkMessage], None]] = {
            "cell/deliver": self._deliver,
            "cell/cancel": self._cancel,
            "call": self._call,
            "run/pause": self._act(lambda run, m: run.pause(defer=bool(m.get("defer", False)))),
            "run/stop": self._act(lambda run, m: run.stop(m.get("reason", ""))),
            "run/abort": self._act(lambda run, m: run.abort(m.get("reason", ""))),
            "run/halt": self._act(lambda run, m: run.halt(m.get("reason", ""))),
            "run/resume": self._act_later(self._resume),
            "session/person": self._set_person,
        }

    def take(self, message: LinkMessage) -> None:
        """Serve one message.

        Raises:
            KeyError: a message this console does not know; the agent logs it.
        """
        self._takers[message["typ"]](message)

    def _answer(self, message: LinkMessage, rep: Rep) -> None:
        self._session.report({"typ": "answer", "id": message["id"], "rep": rep})

    def _deliver(self, message: LinkMessage) -> None:
        self._injector.submit(Command(message["id"], message["text"], **_read_who(message)))

    def _cancel(self, message: LinkMessage) -> None:
        # one that does not wait any more is running or done, and reports itself
        self._injector.withdraw(message["id"])

    def _call(self, message: LinkMessage) -> None:
        self._session.services.serve(message["verb"], message.get("args") or {}, lambda rep: self._answer(message, rep))

    def _set_person(self, message: LinkMessage) -> None:
        self._session.logged_in, self._session.proposal = message["person"], message.get("proposal", "")
        self._session.role = str(message.get("role", "expert"))

    def _act(self, act: Callable[[RunControl, LinkMessage], None]) -> Callable[[LinkMessage], None]:
        def act_and_answer(message: LinkMessage) -> None:
            run = self._run_of(message)
            act(run, message)
            self._answer(message, make_ok({"state": run.state}))

        return self._act_later(act_and_answer)

    def _act_later(self, act: Callable[[LinkMessage], None]) -> Callable[[LinkMessage], None]:
        """Act in a thread of its own: a pause that is still settling must not hold up the halt that follows it."""

        def act_or_answer(message: LinkMessage) -> None:
            try:
                act(message)
            except Exception as error:  # noqa: BLE001  # whatever the engine or a device raises is the answer
                self._answer(message, make_error(error))

        def start(message: LinkMessage) -> None:
            threading.Thread(target=act_or_answer, args=(message,), name=f"mamba-{message['typ']}", daemon=True).start()

        return start

    def _run_of(self, message: LinkMessage) -> RunControl:
        if self._session.run is None:
            raise NoRun(
                f"{message['typ']}: there is no run engine",
                seen="server_start was not called with one",
                remedy="mend the start-up script and run it: %run -i SCRIPT",
            )
        return self._session.run

    def _resume(self, message: LinkMessage) -> None:
        """A paused run goes on where it was resumed: in a cell that everybody sees."""
        run = self._run_of(message)
        run.check_resumable()
        text = f"{self._find_name(run.engine)}.resume()"
        command = Command(
            None,
            text,
            **_read_who(message),
            on_start=lambda: self._answer(message, make_ok({"state": run.state})),
        )
        self._injector.submit(command, first=True)

    def _find_name(self, engine: Any) -> str:
        shell = self._session.shell
        names = shell.user_ns if shell is not None else {}
        return next((name for name, value in names.items() if value is engine and not name.startswith("_")), "RE")


def _read_who(message: LinkMessage) -> dict[str, Any]:
    who = {key: str(message.get(key, "")) for key in ("origin", "person", "proposal")}
    return {**who, "role": str(message.get("role", "expert"))}
