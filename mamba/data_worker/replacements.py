"""Groups whose actor died and that get a new one: who is away, since when, and who died too often."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import NamedTuple

from mamba.errors import MambaError, NodeFailed

_STRIKES = 3
"""So often a group may die without a frame becoming safe in between."""


class Failed(NamedTuple):
    """A group that could not be replaced."""

    group: str
    error: MambaError


class Replacements:
    """Replaces groups in threads; everything else belongs to the supervisor's thread.

    Args:
        replace: ends a group's actor, if it still lives, and starts another that resumes.
        lives: whether a group's actor does.
    """

    def __init__(self, replace: Callable[[str], None], lives: Callable[[str], bool]) -> None:
        self._do, self._lives = replace, lives
        self._away: dict[str, float] = {}  # group → since when
        self._arriving: set[str] = set()  # started, and has not told anything yet
        self._strikes: dict[str, tuple[int, int]] = {}  # group → (times it died, frames that were safe then)
        self._results: SimpleQueue[tuple[str, MambaError | None]] = SimpleQueue()

    def __contains__(self, group: object) -> bool:
        return group in self._away

    @property
    def away(self) -> set[str]:
        """Groups that are being replaced."""
        return set(self._away)

    def count_death(self, group: str, safe: int) -> bool:
        """A group died when so many frames were safe; whether it is worth another actor."""
        times, then = self._strikes.get(group, (0, -1))
        times = times + 1 if safe == then else 1
        self._strikes[group] = (times, safe)
        return times <= _STRIKES

    def begin(self, group: str) -> None:
        """Replace it."""
        self._away[group] = time.monotonic()
        threading.Thread(target=self._replace, args=(group,), name=f"replace {group}", daemon=True).start()

    def _replace(self, group: str) -> None:
        error: MambaError | None = None
        try:
            self._do(group)
        except MambaError as problem:
            error = problem
        except Exception as problem:  # noqa: BLE001  # a thread has nobody else to tell
            error = NodeFailed(f"group {group}: cannot be replaced", seen=f"{type(problem).__name__}: {problem}")
        self._results.put((group, error))

    def end(self, group: str) -> float:
        """All its nodes are there again; how many seconds it took."""
        self._arriving.discard(group)
        return time.monotonic() - self._away.pop(group)

    def look(self) -> tuple[list[Failed], list[str]]:
        """Groups that could not be replaced, and those that died again before they could say a word."""
        failed, died = [], []
        while not self._results.empty():
            group, error = self._results.get()
            if group not in self._away:
                continue
            if error is None:
                self._arriving.add(group)
            else:
                del self._away[group]
                failed.append(Failed(group, error))
        for group in [each for each in self._arriving if not self._lives(each)]:
            self._arriving.discard(group)
            del self._away[group]
            died.append(group)
        return failed, died
