"""Commands into the prompt, inside its own event loop, as if they had been typed and Enter pressed.

Nothing is typed: a command is handed over only when the prompt is *idle* (it waits for the person, without an open
search, completion menu or half a key sequence). The person's *draft* and cursor are set aside and come back with the
next prompt, before the keys that were typed meanwhile are looked at.
"""

from __future__ import annotations

import ast
import threading
import warnings
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from IPython.terminal.interactiveshell import TerminalInteractiveShell
from prompt_toolkit.application import Application
from prompt_toolkit.document import Document
from prompt_toolkit.key_binding.vi_state import InputMode
from prompt_toolkit.shortcuts import PromptSession

from mamba.console.cells import CellRecorder, Command, make_cancelled
from mamba.errors import TextRefused
from mamba.wire.agent_link import LinkMessage
from mamba.wire.messages import make_error, make_ok


class Injector:
    """Delivers commands to the prompt of one shell, one at a time, in the order they came.

    Args:
        shell: the IPython with the prompt.
        cells: told of each command right before the prompt accepts it.
        report: where messages for the session host go; must not block.
        is_held: whether cells must wait for something else than the prompt (a run that is being ended).
        has_keyboard: whether the running cell waits for the person (`input()`, a debugger).

    Attributes:
        was_idle: whether the prompt has been on the screen yet.
        on_first_idle: called when it is there for the first time.
    """

    def __init__(
        self,
        shell: TerminalInteractiveShell,
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
        self._draft = Document()
        self.was_idle = False
        self.on_first_idle: Callable[[], None] = lambda: None
        self._app.after_render.add_handler(self._after_render)
        cells.after_cell.append(self._keep_draft)

    def close(self) -> None:
        """Deliver no more."""
        self._app.after_render.remove_handler(self._after_render)

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
        """Whether the person searches or chooses from a menu: a delivery would take that away."""
        app, buffer = self._app, self._prompt.default_buffer
        return app.layout.is_searching or app.layout.current_buffer is not buffer or buffer.complete_state is not None

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
        )

    def nudge(self) -> None:
        """Look again whether a waiting command can be delivered. Any thread."""
        loop, context = self._app.loop, self._app.context
        if loop is not None and context is not None:
            # the prompt that just ended closed its loop; the next one looks by itself when it is drawn
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._deliver_next, context=context)

    def _after_render(self, app: Application[str]) -> None:
        if not self.was_idle:
            self.was_idle = True
            self.on_first_idle()
        if (self._waiting or self._cells.is_expecting) and app.loop is not None and not app.is_done:
            app.loop.call_soon(self._deliver_next)

    def _deliver_next(self) -> None:
        if not self.is_at_prompt():
            return
        self._cells.settle_expected()
        while self._waiting:
            if self._is_held() or not self.is_idle():
                self.tell_waiting()
                return
            with self._lock:
                if not self._waiting:
                    return
                command = self._waiting.popleft()
            if self._deliver(command):
                return

    def _deliver(self, command: Command) -> bool:
        """Hand `command` to the prompt, or answer it at once (False): blank, or it would not arrive unchanged."""
        if not command.text.strip():
            self._cells.answer_without_cell(command, make_ok(None))
            return False
        refusal = find_refusal(command.text, self._shell.transform_cell)
        if refusal is not None:
            self._cells.answer_without_cell(command, make_error(refusal))
            return False
        buffer = self._prompt.default_buffer
        self._set_draft_aside(buffer.document)
        self._print_origin(command)
        self._cells.expect(command)
        # What Enter does, without what could hold the text up: validators and the wish for more lines.
        buffer.set_document(Document(command.text), bypass_readonly=True)
        buffer.append_to_history()
        self._app.exit(result=command.text, style="class:accepted")
        return True

    def _set_draft_aside(self, draft: Document) -> None:
        self._draft = draft
        self._restore_draft_next()
        mode = self._app.vi_state.input_mode
        if mode != InputMode.INSERT:
            self._app.pre_run_callables.append(lambda: setattr(self._app.vi_state, "input_mode", mode))

    def _restore_draft_next(self) -> None:
        """Let the next prompt start with the draft and its cursor."""
        if self._draft.text:
            # prompt_toolkit takes a Document for its default; IPython passes on what it is given
            self._shell.rl_next_input = self._draft  # type: ignore[assignment]  # declared by its first value, None

    def _keep_draft(self) -> None:
        """A cell may have put its own text there (%load, %recall); what the person was writing comes first."""
        self._restore_draft_next()
        self._draft = Document()

    def _print_origin(self, command: Command) -> None:
        who = f"{command.origin or 'a client'} ({command.person or 'nobody logged in'})"
        printable = "".join(c if c.isprintable() else "?" for c in who)
        app = self._app
        app.renderer.erase()
        app.output.write_raw(f"\x1b[2m← {printable}\x1b[0m\r\n")
        app.output.flush()
        app.renderer.reset()

    def tell_waiting(self) -> None:
        """Report why the next command waits, when that is not what was reported last. Any thread."""
        waiting = self.waiting
        if not waiting or waiting[0].id is None:
            return
        if self._has_keyboard() if not self.is_at_prompt() else self.is_occupied():
            why = "prompt-occupied"
        elif self.is_at_prompt() and not self._is_held():
            return  # half a key sequence: it is about to be delivered
        else:
            why = "busy"
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
