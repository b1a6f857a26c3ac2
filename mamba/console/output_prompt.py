"""The `Out[n]:` before a result, drawn with a style that is put together once.

IPython 9.18 hands its style to prompt_toolkit for each `Out[n]:`, which merges it with its own two and parses all their
rules again: 2 ms of the 8 that a short cell takes from request to reply, and the reply waits for it.
"""

from __future__ import annotations

import sys

from IPython.terminal.prompts import RichPromptDisplayHook
from prompt_toolkit.formatted_text import PygmentsTokens, to_formatted_text
from prompt_toolkit.renderer import print_formatted_text
from prompt_toolkit.styles import default_pygments_style, default_ui_style, merge_styles

from mamba.console.remembered_style import RememberedStyle


class QuickDisplayHook(RichPromptDisplayHook):
    """IPython's display hook of a terminal, quicker at its prompt."""

    _remembered: RememberedStyle | None = None

    def write_output_prompt(self) -> None:
        """Write `Out[n]: ` in the colours of the session."""
        assert self.shell is not None
        session = self.shell.pt_app
        if session is None or not self.do_full_cache:
            super().write_output_prompt()  # type: ignore[no-untyped-call]  # IPython
            return
        sys.stdout.write(self.shell.separate_out)
        sys.stdout.flush()
        tokens = self.shell.prompts.out_prompt_tokens()
        # a result of several lines begins on a line of its own
        self.prompt_end_newline = not tokens or tokens[-1][1].endswith("\n")
        app = session.app
        fragments = to_formatted_text(PygmentsTokens(tokens))
        if self._remembered is None:
            merged = merge_styles([default_ui_style(), default_pygments_style(), app.style])
            self._remembered = RememberedStyle(merged)
        print_formatted_text(app.output, fragments, self._remembered.renew(), color_depth=app.color_depth)
        app.output.flush()
