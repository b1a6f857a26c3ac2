"""Errors that Mamba raises on purpose are shown as their message; what it says is all a person needs to go on.

The traceback is kept for who wants it: `%tb` shows it.
"""

from __future__ import annotations

import sys
from types import TracebackType

from IPython.core.interactiveshell import InteractiveShell

from mamba.errors import MambaError

_RED, _PLAIN = "\x1b[31m", "\x1b[0m"


def show_short_errors(shell: InteractiveShell) -> None:
    """From now on a cell that ends with a MambaError prints at most its five lines."""
    shell.set_custom_exc((MambaError,), _show)  # type: ignore[no-untyped-call]  # IPython


def _show(
    shell: InteractiveShell,
    kind: type[BaseException],
    error: BaseException,
    trace: TracebackType | None,
    tb_offset: int | None = None,
) -> None:
    sys.last_type, sys.last_value, sys.last_traceback = kind, error, trace  # where %tb and %debug look
    print(f"{_RED}{kind.__name__}{_PLAIN}: {error}\n(%tb shows where it was raised)")  # noqa: T201  # the console speaks
