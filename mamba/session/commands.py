"""Commands on their way to the prompt: a queue in the host, one of them out at the agent at a time.

*Waiting*: in the queue, or delivered and waiting until the prompt is idle. *Running*: from the moment the prompt
accepted it. *Done*: when IPython reported the cell; also when it was cancelled, refused or lost. A cell that a person
typed at the prompt has no waiting; it gets an id and a receipt like the others (origin "console").
"""

from __future__ import annotations

import itertools
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mamba.errors import Busy, Cancelled, CommandError, ConsoleDied, DeadlinePassed, PromptOccupied, ZError
from mamba.session.loop import Loop, Timer
from mamba.session.receipts import Receipts
from mamba.session.roles import Caller
from mamba.wire.messages import Rep, make_error

log = logging.getLogger(__name__)


@dataclass(eq=False)
class Command:
    """One command; `time` in s since 1970, `began` running in s, monotonic; `pid` of the process that sent it."""

    id: str
    text: str
    origin: str
    caller: Caller
    pid: int | None = None
    on_done: Callable[[Rep], None] | None = None
    hold: bool = True
    state: str = "waiting"
    delivered: bool = False
    why: str = ""
    n: int | None = None
    time: float = field(default_factory=time.time)
    began: float = 0.0
    withdrawn: CommandError | None = None
    deadline: Timer | None = None

    @property
    def person(self) -> str:
        """Whose command it is."""
        return self.caller.person

    def describe(self) -> dict[str, Any]:
        """`id, state, why, n, text, origin, person, since` (also as `time`, as in a receipt)."""
        return {
            "id": self.id,
            "state": self.state,
            "why": self.why,
            "n": self.n,
            "text": self.text,
            "origin": self.origin,
            "person": self.person,
            "since": self.time,
            "time": self.time,
        }


class CommandQueue:
    """The queue, the command that is out, and the cell that runs.

    Args:
        loop: for deadlines.
        receipts: gets one receipt per command.
        deliver: hands a message to the agent.
        publish: publishes a notice.
        typist: who types at the prompt now; a cell is theirs from the moment it begins.
    """

    def __init__(
        self,
        loop: Loop,
        receipts: Receipts,
        *,
        deliver: Callable[[dict[str, Any]], None],
        publish: Callable[[str, dict[str, Any]], None],
        typist: Callable[[], Caller],
    ) -> None:
        self._typist = typist
        self._loop, self._receipts = loop, receipts
        self._deliver, self._publish = deliver, publish
        self._waiting: deque[Command] = deque()
        self._out: Command | None = None
        self._own: Command | None = None
        self._ready = False
        self._frozen = 0
        self._numbers = itertools.count(1)
        self._prefix = time.strftime("%y%m%d%H%M%S")

    @property
    def running(self) -> Command | None:
        """The command or the person's cell that runs now: who is busy, with what, since when."""
        if self._out is not None and self._out.state == "running":
            return self._out
        return self._own

    @property
    def waiting(self) -> list[Command]:
        """Commands that have not begun, first to last."""
        delivered = [self._out] if self._out is not None and self._out.state == "waiting" else []
        return [*delivered, *self._waiting]

    def add(
        self,
        text: str,
        *,
        origin: str,
        caller: Caller,
        pid: int | None,
        on_done: Callable[[Rep], None] | None,
        deadline_s: float | None,
        hold: bool,
    ) -> Command:
        """Queue a command whose text was checked; `on_done` gets its reply.

        Args:
            text: the cell.
            origin: who sent it.
            caller: whose command it is.
            pid: the process that sent it.
            on_done: called once.
            deadline_s: drop it if it has not begun by then.
            hold: wait for its turn; else it is refused while anything else runs or waits, and `PromptOccupied` is the
                reply when the prompt is occupied.

        Raises:
            Busy: `hold` is false and something runs or waits; says what, by whom and since when.
        """
        if not hold:
            self._require_free()
        command = Command(self._make_id(), text, origin, caller, pid, on_done, hold)
        if deadline_s is not None:
            error = DeadlinePassed("command: had not begun at its deadline", remedy="nothing was executed; send again")
            command.deadline = self._loop.call_later(deadline_s, lambda: self.withdraw(command, error))
        self._waiting.append(command)
        self._deliver_next()
        if not command.delivered:
            self._note_waiting(command, "starting" if not self._ready else "queued")
        return command

    def _require_free(self) -> None:
        before = self.running or next(iter(self.waiting), None)
        if before is None and self._ready:
            return
        if before is None:
            raise Busy("command: the console is starting", remedy="send it with hold=true, and it waits")
        text = before.text.splitlines()[0][:60] if before.text else ""
        since = time.strftime("%H:%M:%S", time.localtime(before.time))
        raise Busy(
            "command: the console is busy",
            seen=f"{text!r} of {before.person} ({before.origin}), {before.state} since {since}",
            remedy="send it with hold=true, and it waits for its turn",
        )

    def _make_id(self) -> str:
        return f"{self._prefix}-{next(self._numbers)}"

    def find(self, command_id: str) -> dict[str, Any]:
        """Where a command is: its description, or its receipt with the state "done".

        Raises:
            ZError: `unknown-command`.
        """
        for command in filter(None, (self._out, self._own, *self._waiting)):
            if command.id == command_id:
                return command.describe()
        receipt = self._receipts.find(command_id)
        if receipt is None:
            raise ZError("unknown-command", f"{command_id[:100]}: no such command among those remembered")
        return {**receipt, "state": "done"}

    def cancel(self, command_id: str, error: CommandError) -> None:
        """Withdraw a command that has not begun.

        Raises:
            ZError: `unknown-command`, or `too-late` when it runs or is done.
        """
        for command in self.waiting:
            if command.id == command_id:
                self.withdraw(command, error)
                return
        state = self.find(command_id)["state"]
        remedy = "; interrupt it with session/interrupt, or its run with run/abort" if state == "running" else ""
        raise ZError("too-late", f"command {command_id}: is {state} already{remedy}")

    def cancel_waiting(self, error: CommandError) -> int:
        """Withdraw everything that has not begun; returns how many."""
        commands = self.waiting
        for command in commands:
            self.withdraw(command, error)
        return len(commands)

    def withdraw(self, command: Command, error: CommandError) -> None:
        """Take a command back; one that is delivered is done when the agent confirms, or runs if that is too late."""
        if command in self._waiting:
            self._waiting.remove(command)
            self._finish(command, make_error(error))
        elif command is self._out and command.state == "waiting" and command.withdrawn is None:
            command.withdrawn = error
            self._deliver({"typ": "cell/cancel", "id": command.id})

    def freeze(self) -> Callable[[], None]:
        """Deliver nothing until the returned function is called: an abort is under way."""
        self._frozen += 1

        def thaw() -> None:
            self._frozen -= 1
            self._deliver_next()

        return thaw

    def begin(self) -> None:
        """The console takes commands from now on."""
        self._ready = True
        self._deliver_next()

    def _deliver_next(self) -> None:
        if self._out is not None or not self._waiting or not self._ready or self._frozen:
            return
        command = self._out = self._waiting.popleft()
        command.delivered = True
        message = {key: getattr(command, key) for key in ("id", "text", "origin", "person")}
        self._deliver(
            {"typ": "cell/deliver", **message, "proposal": command.caller.proposal, "role": command.caller.role}
        )

    def _note_waiting(self, command: Command, why: str) -> None:
        if command.why != why:
            command.why = why
            ahead = self.running or self._out
            busy = None if ahead is None or ahead is command else ahead.describe()
            self._publish("cmd/waiting", {"id": command.id, "why": why, "running": busy})

    def take(self, message: dict[str, Any]) -> None:
        """Take a `cell/…` message of the agent."""
        kind, command_id = message["typ"], message.get("id")
        if kind in ("cell/running", "cell/done") and command_id is None:
            self._take_own(kind, message)
            return
        command = self._out
        if command is None or command.id != command_id:
            log.warning("%s for %r, which is not out", kind, command_id)
            return
        if kind == "cell/waiting":
            self._take_waiting(command, str(message.get("why", "busy")))
        elif kind == "cell/running":
            self._run(command, message)
        elif kind == "cell/done":
            self._done(command, message)
        elif kind == "cell/cancelled":
            error = command.withdrawn
            self._finish(command, make_error(error) if error else _read_rep(message))

    def _take_waiting(self, command: Command, why: str) -> None:
        self._note_waiting(command, why)
        if why == "prompt-occupied" and not command.hold:
            self.withdraw(
                command,
                PromptOccupied(
                    "command: the prompt is occupied by a debugger, an input() or a search",
                    remedy="leave it in the console, then send again",
                ),
            )

    def _take_own(self, kind: str, message: dict[str, Any]) -> None:
        if kind == "cell/running" or self._own is None:
            # by what the keyboard knows: the console hears of a new person a moment after their first keys
            text, origin = str(message.get("text", "")), str(message.get("origin") or "console")
            self._own = Command(self._make_id(), text, origin, self._typist())
        if kind == "cell/running":
            self._run(self._own, message)
        else:
            self._done(self._own, message)

    def _run(self, command: Command, message: dict[str, Any]) -> None:
        if command.deadline is not None:
            command.deadline.cancel()
        command.state, command.why, command.n = "running", "", message.get("n")
        command.time, command.began = message.get("time") or time.time(), time.monotonic()
        fields = {key: getattr(command, key) for key in ("id", "n", "text", "origin", "person", "time")}
        self._publish("cmd/running", fields)

    def _done(self, command: Command, message: dict[str, Any]) -> None:
        command.n = message.get("n", command.n)
        self._finish(
            command,
            _read_rep(message),
            duration_s=float(message.get("duration_s") or 0.0),
            files=list(message.get("files") or []),
        )

    def _finish(self, command: Command, rep: Rep, *, duration_s: float = 0.0, files: list[Any] | None = None) -> None:
        if command.deadline is not None:
            command.deadline.cancel()
        command.state = "done"
        if command is self._out:
            self._out = None
        elif command is self._own:
            self._own = None
        receipt = {key: getattr(command, key) for key in ("id", "n", "text", "origin", "person", "time")}
        receipt.update(role=command.caller.role, pid=command.pid, duration_s=duration_s, files=files or [], rep=rep)
        self._publish("cmd/done", self._receipts.add(receipt))
        if command.on_done is not None:
            command.on_done(rep)
        self._deliver_next()

    def end(self, error: ConsoleDied | Cancelled) -> None:
        """The console is gone, or going: everything that waits or runs is answered with `error`."""
        self._ready = False
        for command in filter(None, (self._own, self._out, *self._waiting)):
            if command in self._waiting:
                self._waiting.remove(command)
            duration_s = time.monotonic() - command.began if command.state == "running" else 0.0
            self._finish(command, make_error(error), duration_s=duration_s)


def _read_rep(message: dict[str, Any]) -> Rep:
    """The reply inside a message; a message without one still ends the command, with an error."""
    rep = message.get("rep")
    if isinstance(rep, dict) and "err" in rep:
        return rep
    return make_error(CommandError("command: the console reported its end without a result"))
