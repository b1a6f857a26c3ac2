"""Commands into IPython's cells, as if they had been typed at its prompt and Enter pressed.

Nothing is typed. A command that comes between two cells becomes the next cell before a prompt is built at all
(`mamba.console.interval`). While the prompt is on the screen, a command is handed over inside the prompt's own event
loop, and only when it is *idle*: it waits for the person, without an open search, half a key sequence or half a paste.
What the person was writing (`mamba.console.draft`) comes back with the next prompt, before the keys that were typed
meanwhile are looked at.
"""

from __future__ import annotations

import ast
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from prompt_toolkit.application import Application
from prompt_toolkit.shortcuts import PromptSession

from mamba.console.cells import CellRecorder, Command, make_cancelled
from mamba.console.draft import Draft
from mamba.console.interval import Interval, is_pasting
from mamba.console.prompt_line import PromptLine
from mamba.console.shell import BeamlineShell
from mamba.errors import TextRefused
from mamba.wire.agent_link import LinkMessage
from mamba.wire.messages import make_error, make_ok

LINGER_S = 0.01
"""How long the person's prompt is put off after a command's cell, unless a key waits: clients often send the next."""

WINDOWS_TURN_S = 0.002
"""How long an event loop of windows turns at least between two commands, however many wait."""


class Injector:
    """Delivers commands to the prompt of one shell, one at a time, in the order they came.

    Args:
        shell: the IPython with the prompt.
        cells: told of each command right before its cell begins.
        report: where messages for the session host go; must not block.
        is_held: whether cells must wait for something else than the prompt (a run that is being ended).
        has_keyboard: whether the running cell waits for the person (`input()`, a debugger, a pager).

    Attributes:
        was_idle: whether the prompt has been on the screen yet.
        on_first_idle: called when it is there for the first time.
    """

    def __init__(
        self,
        shell: BeamlineShell,
        cells: CellRecorder,
        *,
        report: Callable[[LinkMessage], None],
        is_held: Callable[[], bool],
        has_keyboard: Callable[[], bool],
    ) -> None:
        self._shell, self._cells, self._report, self._is_held = shell, cells, report, is_held
        self._has_keyboard = has_keyboard
        if shell.pt_app is None:
            raise RuntimeError("IPython has no prompt_toolkit prompt")
        self._prompt: PromptSession[str] = shell.pt_app
        self._app: Application[str] = shell.pt_app.app
        self._waiting: deque[Command] = deque()
        self._told: tuple[str, str] | None = None
        self._lock = threading.Lock()
        self._draft = Draft(shell, shell.pt_app)
        self._line = PromptLine(shell, shell.pt_app)
        self._interval = Interval(self._app.input)
        self._lingers = False
        self.was_idle = False
        self.on_first_idle: Callable[[], None] = lambda: None
        self._app.after_render.add_handler(self._after_render)
        cells.after_cell.append(self._draft.put_back)
        shell.before_prompt, shell.after_prompt = self._take_before_prompt, self._leave_prompt

    def close(self) -> None:
        """Deliver no more."""
        self._app.after_render.remove_handler(self._after_render)
        self._shell.before_prompt = lambda: None

    def submit(self, command: Command, *, first: bool = False) -> None:
        """Execute `command` as soon as the prompt is idle; `first` puts it before all that wait. Any thread."""
        with self._lock:
            if first:
                self._waiting.appendleft(command)
            else:
                self._waiting.append(command)
        self.tell_waiting()
        self.nudge()

    def withdraw(self, command_id: str) -> bool:
        """Take a waiting command back and report it as cancelled; False if it does not wait any more."""
        with self._lock:
            command = next((c for c in self._waiting if c.id == command_id), None)
            if command is not None:
                self._waiting.remove(command)
        if command is None:
            return False
        self._report({"typ": "cell/cancelled", "id": command.id, "rep": make_cancelled(command.id)})
        return True

    @property
    def waiting(self) -> list[Command]:
        """The commands that wait, the next one first."""
        with self._lock:
            return list(self._waiting)

    def is_at_prompt(self) -> bool:
        """Whether the prompt is on the screen, whatever the person does there."""
        app = self._app
        return app.is_running and not app.is_done

    def is_idle(self) -> bool:
        """Whether a command could be delivered now without taking anything from the person."""
        return self.is_at_prompt() and not self._is_in_use()

    def is_occupied(self) -> bool:
        """Whether the person searches: a delivery would take that away."""
        app = self._app
        return app.layout.is_searching or app.layout.current_buffer is not self._prompt.default_buffer

    def _is_in_use(self) -> bool:
        app = self._app
        keys = app.key_processor
        return self.is_occupied() or bool(
            keys.key_buffer
            or keys.arg
            or app.quoted_insert
            or app.vi_state.operator_func
            or app.vi_state.waiting_for_digraph
            or app._running_in_terminal  # something is printed above the prompt, which is not drawn
            or is_pasting(app.input)
        )

    def nudge(self) -> None:
        """Look again whether a waiting command can be delivered. Any thread."""
        self._interval.wake_up()
        loop, context = self._app.loop, self._app.context
        if loop is not None and context is not None:
            # the prompt that just ended closed its loop; the next one looks by itself when it is drawn
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._deliver_next, context=context)

    def _take_before_prompt(self) -> str | None:
        """The text of the next cell, when a command is there before the prompt is; None when the person's turn is."""
        self._cells.settle()
        text = self._take_between_cells()
        if text is None:
            self._draft.forget()  # this prompt begins with it; it may be accepted before it is ever drawn
        return text

    def _take_between_cells(self) -> str | None:
        linger_s, self._lingers = (LINGER_S if self._lingers else 0.0), False
        # an event loop of windows turns only while the prompt is on the screen; the first prompt is the person's
        if self._shell.active_eventloop is not None or not self.was_idle:
            return None
        with self._interval.opened():
            command = self._wait_for_next(linger_s)
        if command is None:
            return None
        self._line.show(command)
        return command.text

    def _wait_for_next(self, linger_s: float) -> Command | None:
        deadline = time.monotonic() + linger_s
        while self._interval.wait(lambda: bool(self._waiting) and not self._is_held(), deadline - time.monotonic()):
            command = self._take_next()
            if command is not None:
                return command
        return None

    def _leave_prompt(self) -> None:
        """The prompt has gone; what it ended for is shown in its place."""
        self._app.erase_when_done = False
        command = self._cells.expected
        if command is not None:
            self._cells.expect(command)  # the prompt's own handling of Ctrl-C has ended with it
            self._line.show(command)

    def _after_render(self, app: Application[str]) -> None:
        if app.is_done:
            return
        if not self.was_idle:
            self.was_idle = True
            self.on_first_idle()
        if (self._waiting or self._cells.expected) and app.loop is not None:
            windows_s = 0.0 if self._shell.active_eventloop is None else WINDOWS_TURN_S
            app.loop.call_later(windows_s, self._deliver_next)

    def _deliver_next(self) -> None:
        if not self.is_at_prompt():
            return
        self._cells.settle_expected()
        while self._waiting:
            if self._is_held() or not self.is_idle():
                self.tell_waiting()
                return
            command = self._take_next()
            if command is not None:
                self._draft.set_aside()
                # its line is drawn afterwards; what Enter does could hold the text up: validators, wish for more lines
                self._app.erase_when_done = True
                self._app.exit(result=command.text)
                return

    def _take_next(self) -> Command | None:
        """Accept the next command; None if there is none, or it was answered without a cell."""
        self._cells.interrupts.hold()  # a command that is out of the queue must not be lost
        with self._lock:
            command = self._waiting.popleft() if self._waiting else None
        if command is None or not self._is_cell(command):
            self._cells.interrupts.release()
            return None
        self._cells.expect(command)
        self._lingers = True
        self._prompt.history.append_string(command.text)
        return command

    def _is_cell(self, command: Command) -> bool:
        """Whether `command` becomes a cell as it is; else it is answered: blank, or it would arrive changed."""
        refusal = find_refusal(command.text, self._shell.transform_cell)
        if command.text.strip() and refusal is None:
            return True
        self._cells.answer_without_cell(command, make_error(refusal) if refusal else make_ok(None))
        return False

    def tell_waiting(self) -> None:
        """Report why the next command waits, when that is not what was reported last. Any thread."""
        waiting = self.waiting
        if not waiting or waiting[0].id is None:
            return
        is_running = self._cells.running is not None
        if self._has_keyboard() if is_running else self.is_at_prompt() and self.is_occupied():
            why = "prompt-occupied"
        elif is_running or self._is_held():
            why = "busy"
        else:
            return  # half a key sequence, or between two cells: it is about to be delivered
        if self._told != (waiting[0].id, why):
            self._told = (waiting[0].id, why)
            self._report({"typ": "cell/waiting", "id": waiting[0].id, "why": why})


def find_refusal(text: str, transform: Callable[[str], str]) -> TextRefused | None:
    """Why `text` cannot become a cell unchanged; None if it can.

    Args:
        text: the command.
        transform: IPython's way from a cell to Python (magics, `!`, `?`, prompts pasted along).
    """
    bad = next((c for c in text if "\ud800" <= c <= "\udfff"), None)
    if bad is not None:
        return TextRefused(
            "command: cannot be shown on a terminal",
            seen=f"a lone surrogate, U+{ord(bad):04X}",
            remedy="send valid Unicode",
        )
    if len(text.splitlines()) == 1:
        return None  # a magic without its % is what a person means by it
    try:
        transformed = transform(text)
    except Exception:  # noqa: BLE001  # what IPython cannot transform it shows as the cell's own error
        return None
    if transformed.rstrip("\n") == text.rstrip("\n"):
        return None
    meant = _parse(text)
    if meant is None or meant == _parse(transformed):
        return None
    return TextRefused(
        "command: IPython would change its meaning",
        seen="valid Python in which IPython sees a magic, a prompt or indentation of its own",
        remedy="write strings with form feeds, prompts or indented lines with escapes (\\x0c, \\n)",
    )


def _parse(text: str) -> Any:
    """The meaning of Python `text` in a comparable form; None if it is no Python."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the cell gives its warnings itself
        try:
            return ast.dump(ast.parse(text))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None
