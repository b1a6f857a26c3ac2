"""What the person was doing at the prompt when a command came: set aside, and put back at the next prompt.

*Draft*: the text that was being written, its cursor, the completion menu that was open with the entry chosen in it, and
vi's mode.
"""

from __future__ import annotations

from collections.abc import Callable

from IPython.terminal.interactiveshell import TerminalInteractiveShell
from prompt_toolkit.application import Application
from prompt_toolkit.buffer import CompletionState
from prompt_toolkit.document import Document
from prompt_toolkit.key_binding.vi_state import InputMode
from prompt_toolkit.shortcuts import PromptSession


class Draft:
    """The draft of one shell.

    Args:
        shell: the IPython whose next prompt gets it back.
        prompt: its prompt.
    """

    def __init__(self, shell: TerminalInteractiveShell, prompt: PromptSession[str]) -> None:
        self._shell, self._prompt = shell, prompt
        self._app: Application[str] = prompt.app
        self._kept = Document()

    def set_aside(self) -> None:
        """Keep what is on the prompt, which is about to end."""
        buffer, vi_state = self._prompt.default_buffer, self._app.vi_state
        self._kept = buffer.document
        self.put_back()
        mode = vi_state.input_mode
        if mode != InputMode.INSERT:
            self._app.pre_run_callables.append(lambda: setattr(vi_state, "input_mode", mode))
        if buffer.complete_state is not None:
            self._app.pre_run_callables.append(self._make_menu(buffer.complete_state))

    def _make_menu(self, menu: CompletionState) -> Callable[[], None]:
        def open_again() -> None:
            self._prompt.default_buffer.complete_state = CompletionState(
                menu.original_document, menu.completions, menu.complete_index
            )

        return open_again

    def put_back(self) -> None:
        """Let the next prompt begin with the draft, whatever a cell wanted there (%load, %recall)."""
        if self._kept.text:
            # prompt_toolkit takes a Document for its default; IPython passes on what it is given
            self._shell.rl_next_input = self._kept  # type: ignore[assignment]  # declared by its first value, None

    def forget(self) -> None:
        """The prompt has it again."""
        self._kept = Document()
