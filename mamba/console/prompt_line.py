"""The line of a cell that a command became, as the prompt leaves it, and behind it who asked for it.

`In [12]: 1 + 1   ← scan window (operator)`: the origin is on the screen and in the transcript, never in the text.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from IPython.terminal.interactiveshell import TerminalInteractiveShell
from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import PygmentsTokens, StyleAndTextTuples, to_formatted_text
from prompt_toolkit.formatted_text.utils import fragment_list_width
from prompt_toolkit.layout.screen import Char
from prompt_toolkit.renderer import print_formatted_text
from prompt_toolkit.shortcuts import PromptSession

from mamba.console.cells import Command
from mamba.console.remembered_style import RememberedStyle

_SHOWN = {ord(char): shown for char, shown in Char.display_mappings.items()}
_MOST_COLOURED = 20_000
"""Characters; a longer text is shown at once, without colours."""


class PromptLine:
    """Shows the lines of one shell."""

    def __init__(self, shell: TerminalInteractiveShell, prompt: PromptSession[str]) -> None:
        self._shell, self._prompt = shell, prompt
        self._style = RememberedStyle(prompt.app.renderer.style)

    def show(self, command: Command) -> None:
        """Print `In [n]: text   ← origin (person)` for a command whose cell is about to begin."""
        app = self._prompt.app
        fragments = _make_fragments(self._shell, self._prompt, command)
        sys.stdout.flush()
        print_formatted_text(app.output, fragments, self._style.renew(), color_depth=app.color_depth)


def _make_fragments(
    shell: TerminalInteractiveShell, session: PromptSession[str], command: Command
) -> StyleAndTextTuples:
    tokens = shell.prompts.in_prompt_tokens()  # type: ignore[no-untyped-call]  # IPython
    prompt = to_formatted_text(PygmentsTokens(tokens))
    document = Document(command.text)
    colour = _make_colouring(session, document)
    width = fragment_list_width(prompt)
    origin: StyleAndTextTuples = [("dim", f"← {describe_origin(command)}")]
    if width + len(document.lines[0]) > 2 * session.app.output.get_size().columns:
        fragments = [*origin, ("", "\n"), *prompt, *colour(0)]  # nobody would look for it behind so long a line
    else:
        fragments = [*prompt, *colour(0), ("", "   "), *origin]
    for number in range(1, document.line_count):
        fragments += [("", "\n"), *_continue(session, width, number), *colour(number)]
    return [*fragments, ("", "\n")]


def describe_origin(command: Command) -> str:
    """`scan window (operator)`, in characters that a terminal can show."""
    who = f"{command.origin or 'a client'} ({command.person or 'nobody logged in'})"
    return "".join(c if c.isprintable() else "?" for c in who)


def _make_colouring(session: PromptSession[str], document: Document) -> Callable[[int], StyleAndTextTuples]:
    """What gives the fragments of a line, control characters in the prompt's spelling."""
    if session.lexer is None or len(document.text) > _MOST_COLOURED:
        return lambda number: [("", document.lines[number].translate(_SHOWN))]
    line = session.lexer.lex_document(document)
    return lambda number: [(style, text.translate(_SHOWN)) for style, text, *_ in line(number)]


def _continue(session: PromptSession[str], width: int, number: int) -> StyleAndTextTuples:
    make = session.prompt_continuation
    return to_formatted_text(make(width, number, 0) if callable(make) else make)
