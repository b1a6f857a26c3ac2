"""One cost of bluesky that a step scan cannot afford, and its removal.

What: `bluesky.utils.Plan.__init__` formats the whole call stack, as text, for every plan stub, only to be able to say
where a plan was made that nobody iterated. Why it matters: ten or more stubs run per point, and formatting 30 frames
costs more than the point itself; without it a step scan takes 0.4 to 0.6 of its time.

What stands here instead keeps the warning ("was never iterated, did you mean to use `yield from`?") and its place, but
notes the caller's file and line (one frame) and formats them only if the warning is due.

Seen with bluesky 1.15.1. `tests/scans/test_upstream_costs.py` fails when upstream changes shape, which is the moment
to look whether this file can go.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from bluesky import utils

_PLAIN_INIT = utils.Plan.__init__


def _init_without_stack(self: Any, function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
    self._iter = function(*args, **kwargs)
    # 0 is this function, 1 bluesky's decorator, 2 whoever called the plan
    caller = sys._getframe(2)
    self._stack = _Origin(function.__name__, caller.f_code.co_filename, caller.f_lineno)


class _Origin:
    """Where a plan was made; iterates as the lines of text that `Plan.__del__` joins."""

    __slots__ = ("file", "line", "name")

    def __init__(self, name: str, file: str, line: int) -> None:
        self.name, self.file, self.line = name, file, line

    def __iter__(self) -> Any:
        yield f'  File "{self.file}", line {self.line}\n'
        yield f"RuntimeWarning: plan `{self.name}` was never iterated, did you mean to use `yield from`?"


def remove_plan_stack_cost() -> None:
    """Stop bluesky from formatting a stack for every plan stub; doing it twice changes nothing."""
    utils.Plan.__init__ = _init_without_stack


def restore_plan_stack_cost() -> None:
    """Put upstream's own constructor back."""
    utils.Plan.__init__ = _PLAIN_INIT
