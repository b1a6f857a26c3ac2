"""Errors that Mamba raises on purpose are shown as their message; what it says is all a person needs to go on.

A run that was paused or ended from outside is shown likewise: where bluesky waited for it explains nothing.
The traceback is kept for who wants it: `%tb` shows it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any

from bluesky.utils import RunEngineInterrupted
from IPython.core.interactiveshell import InteractiveShell

from mamba.errors import MambaError

_RED, _PLAIN = "\x1b[31m", "\x1b[0m"


def show_short_errors(shell: InteractiveShell) -> None:
    """From now on a cell that ends with a MambaError prints at most its five lines."""
    shell.set_custom_exc((MambaError,), _show)  # type: ignore[no-untyped-call]  # IPython


def show_short_interruptions(shell: InteractiveShell, explain: Callable[[], MambaError]) -> None:
    """Also a cell that ends since its run was paused or ended: as the error that `explain` makes of it."""

    def show(
        shell: InteractiveShell, kind: type[BaseException], error: BaseException, *where: Any, **offset: Any
    ) -> None:
        if isinstance(error, MambaError):
            _show(shell, kind, error, *where, **offset)
            return
        explained = explain()
        _remember(kind, error, where[0])
        print(f"{_RED}{type(explained).__name__}{_PLAIN}: {explained}")  # noqa: T201  # the console speaks

    shell.set_custom_exc((MambaError, RunEngineInterrupted), show)  # type: ignore[no-untyped-call]  # IPython


def _show(
    shell: InteractiveShell,
    kind: type[BaseException],
    error: BaseException,
    trace: TracebackType | None,
    tb_offset: int | None = None,
) -> None:
    _remember(kind, error, trace)
    print(f"{_RED}{kind.__name__}{_PLAIN}: {error}\n(%tb shows where it was raised)")  # noqa: T201  # the console speaks


def _remember(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    sys.last_type, sys.last_value, sys.last_traceback = kind, error, trace  # where %tb and %debug look
