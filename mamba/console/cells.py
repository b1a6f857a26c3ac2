"""Cells and what became of them: who asked for the cell, its number, result or error, duration and files.

*Command*: a text that waits for the prompt, with the id of the request it answers. *Expected*: the command the prompt
has just accepted; the next cell is its cell. A cell that nobody expected was typed by the person at the terminal.
"""

from __future__ import annotations

import ast
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from bluesky.utils import RunEngineInterrupted
from IPython.core.interactiveshell import ExecutionInfo, ExecutionResult, InteractiveShell

from mamba.console.interrupts import InterruptHold
from mamba.devices import set_current_role
from mamba.errors import Cancelled, RunError, RunPaused
from mamba.wire import notices
from mamba.wire.agent_link import LinkMessage
from mamba.wire.messages import Rep, make_error, make_ok

TYPED_HERE = "console"
"""Origin of a cell that was typed at the terminal."""
RECEIPTS_KEPT = 200
"""Receipts that `U.history()` can show."""


@dataclass(frozen=True)
class Command:
    """A text to be executed as a cell; `id` is None where no request waits for the cell itself."""

    id: str | None
    text: str
    origin: str = ""
    person: str = ""
    proposal: str = ""
    role: str = "expert"
    on_start: Callable[[], None] | None = None


@dataclass
class _Running:
    command: Command
    n: int
    time: float
    started: float
    files: list[str] = field(default_factory=list)

    def describe(self) -> LinkMessage:
        command = self.command
        return {
            "id": command.id,
            "n": self.n,
            "text": command.text,
            "origin": command.origin,
            "person": command.person,
            "time": self.time,
        }


class CellRecorder:
    """Watches the cells of one shell and reports `cell/running` and `cell/done`.

    Args:
        shell: the IPython whose cells are watched.
        report: where messages for the session host go; must not block.
        person: who types at the prompt, for which proposal, in which role.

    Attributes:
        engine: the run engine of the session, None before there is one.
        interrupts: keeps Ctrl-C back between the prompt and the code of a cell.
        receipts: the last cells as they were reported by `cell/done`, oldest first.
        before_command: called when a cell begins that was not typed, in the main thread.
        after_cell: called when a cell was reported, in the main thread.
    """

    def __init__(
        self,
        shell: InteractiveShell,
        *,
        report: Callable[[LinkMessage], None],
        person: Callable[[], tuple[str, str, str]],
    ) -> None:
        self._shell, self._report, self._person = shell, report, person
        self._expected: Command | None = None
        self._running: _Running | None = None
        self._depth = 0
        self._marked_proposal = ""
        self._lock = threading.Lock()
        self.interrupts = InterruptHold()
        self.engine: Any = None
        self.receipts: deque[LinkMessage] = deque(maxlen=RECEIPTS_KEPT)
        self.before_command: list[Callable[[], None]] = []
        self.after_cell: list[Callable[[], None]] = []
        shell.events.register("pre_run_cell", self._begin)
        shell.events.register("post_run_cell", self._end)
        shell.ast_transformers.append(self)  # type: ignore[arg-type]  # whatever has a `visit`
        self._detach = notices.attach(self._collect_files)

    def close(self) -> None:
        """Watch no longer."""
        self._detach()
        self._shell.ast_transformers.remove(self)  # type: ignore[arg-type]  # as above
        for event, hook in (("pre_run_cell", self._begin), ("post_run_cell", self._end)):
            with suppress(ValueError):  # IPython ends its events before us when the console ends
                self._shell.events.unregister(event, hook)

    @property
    def running(self) -> LinkMessage | None:
        """What runs now, as `cell/running` reported it; None while no cell runs."""
        running = self._running
        return running.describe() if running else None

    def expect(self, command: Command) -> None:
        """The prompt accepts `command`: the next cell is its cell, and Ctrl-C is meant for it."""
        self._expected = command
        self.interrupts.hold()

    @property
    def expected(self) -> Command | None:
        """The accepted command that has not become a cell yet."""
        return self._expected

    def settle(self) -> None:
        """The next prompt begins: answer a command whose cell never began, and a cell whose end IPython never told.

        Ctrl-C came in between: after the prompt had accepted it, or after the code had ended.
        """
        if self._running is not None:
            self._depth = 1
            self._end(None)
        self.settle_expected()

    def settle_expected(self) -> None:
        """The prompt is there; answer a command whose cell never began."""
        command, self._expected = self._expected, None
        if command is not None:
            self.interrupts.release()
            self.answer_without_cell(command, _INTERRUPTED)

    def answer_without_cell(self, command: Command, rep: Rep) -> None:
        """Report `command` as done though nothing was executed."""
        receipt = _Running(command, self._shell.execution_count, time.time(), time.monotonic())
        self._finish(receipt, rep)

    def _begin(self, info: ExecutionInfo) -> None:
        self.interrupts.hold()  # IPython would swallow one here
        self._depth += 1
        if self._depth > 1:
            return  # a cell that runs cells (%run -i, get_ipython().run_cell) is one cell
        command, self._expected = self._expected, None
        if command is None or command.text != info.raw_cell:
            command = Command(None, str(info.raw_cell), TYPED_HERE, *self._person())
        # IPython has counted already
        n = self._shell.execution_count - (1 if info.store_history else 0)
        self._running = _Running(command, n, time.time(), time.monotonic())
        set_current_role(command.role)
        self._mark_runs(command)
        if command.origin != TYPED_HERE:
            for call in self.before_command:
                call()
        self._report({"typ": "cell/running", **self._running.describe()})
        if command.on_start is not None:
            command.on_start()

    def visit(self, code: ast.AST) -> ast.AST:
        """The code of a cell begins (IPython takes us for one who changes it): Ctrl-C ends it from now on."""
        if self.interrupts.release():
            raise KeyboardInterrupt
        return code

    def _mark_runs(self, command: Command) -> None:
        if self.engine is None:
            return
        md = self.engine.md
        md["mamba"] = {
            "command": command.text,
            "command_id": command.id,
            "origin": command.origin,
            "person": command.person,
        }
        md["person"] = command.person
        if command.proposal:
            md["proposal"] = command.proposal
        elif self._marked_proposal and md.get("proposal") == self._marked_proposal:
            del md["proposal"]  # the login's, not one that the start-up script or the person put there
        self._marked_proposal = command.proposal

    def _end(self, result: ExecutionResult | None) -> None:
        with self.interrupts.held():  # the cell is over: there is nothing left to interrupt
            self._end_cell(result)

    def _end_cell(self, result: ExecutionResult | None) -> None:
        if self._depth == 0:
            return  # blank: IPython reports the end of a cell that never began
        self._depth -= 1
        if self._depth or self._running is None:
            return
        running, self._running = self._running, None
        self._finish(running, make_rep(result, self.engine))
        self._forget_outputs(running.n)
        for call in self.after_cell:
            call()

    def _forget_outputs(self, n: int) -> None:
        """IPython keeps each cell as `_i<n>` and what it showed; a session of weeks needs them no longer than `Out`.

        `In` and the history keep them all.
        """
        history, old = self._shell.history_manager, n - self._shell.cache_size
        if history is not None and old > 0:
            history.outputs.pop(old, None)
            self._shell.user_ns.pop(f"_i{old}", None)

    def _finish(self, cell: _Running, rep: Rep) -> None:
        with self._lock:
            files = list(cell.files)
        receipt = {
            **cell.describe(),
            "time": time.time(),
            "duration_s": time.monotonic() - cell.started,
            "files": files,
            "rep": rep,
        }
        self.receipts.append(receipt)
        self._report({"typ": "cell/done", **receipt})

    def _collect_files(self, notice: notices.Notice) -> None:
        running = self._running
        if running is not None and notice["typ"] == "scan/stop":
            with self._lock:
                running.files += [str(path) for path in notice.get("files", ()) if str(path) not in running.files]


def make_rep(result: ExecutionResult | None, engine: Any) -> Rep:
    """The reply to the command whose cell ended with `result`."""
    if result is None:
        return _INTERRUPTED
    error = result.error_before_exec or result.error_in_exec
    if error is None:
        return make_ok(result.result)
    if isinstance(error, KeyboardInterrupt):
        return _INTERRUPTED
    if isinstance(error, RunEngineInterrupted) and engine is not None:
        return make_error(explain_interruption(engine))
    if isinstance(error, SyntaxError):
        return {"err": "exc", "desc": _describe_syntax_error(error)}
    return make_error(error)


_INTERRUPTED: Rep = {"err": "interrupted", "desc": "the cell was interrupted by Ctrl-C"}


def explain_interruption(engine: Any) -> RunPaused | RunError:
    """What bluesky's RunEngineInterrupted means now: the run is paused, or somebody ended it."""
    reason = str(getattr(engine, "_reason", "") or "")
    # before open_run the engine's metadata hold the number of the run before
    run = f"run {engine.md.get('scan_id', '')}".rstrip() if getattr(engine, "_run_start_uids", ()) else "plan"
    if engine.state == "paused":
        return RunPaused(f"{run}: paused", seen=reason, remedy="resume, stop or abort it: RE.resume(), RE.abort('why')")
    return RunError(f"{run}: ended before it was through", seen=f"{reason or 'no reason given'}")


def _describe_syntax_error(error: SyntaxError) -> str:
    line = f" (line {error.lineno})" if error.lineno else ""
    return f"{type(error).__name__}: {error.msg}{line}"


def make_cancelled(command_id: str | None) -> Rep:
    """The reply to a command that was withdrawn while it waited."""
    return make_error(Cancelled(f"command {command_id}: withdrawn before it began", remedy="send it again if needed"))
