"""Groups whose actor died and that get a new one: who is away, since when, and who died too often."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import NamedTuple

from mamba.errors import MambaError, NodeFailed

_READY_WITHIN_S = 20.0
"""A node looks for its neighbours for 15 s, and they wait for it as long."""
_STRIKES = 3
"""So often a group may die without a frame becoming safe in between."""


class Failed(NamedTuple):
    """A group that could not be replaced."""

    group: str
    error: MambaError


class Arrived(NamedTuple):
    """A group whose new actor has taken over, and after how many seconds."""

    group: str
    seconds: float


class Replacements:
    """Replaces groups in threads; everything else belongs to the supervisor's thread.

    A group is away until its thread is through and all its nodes have told that they are ready, whichever comes first:
    one thread for a group at a time, and an actor that dies in between is noticed when its thread is through.

    Args:
        replace: ends a group's actor, if it still lives, and starts another that resumes.
        lives: whether a group's actor does.
    """

    def __init__(self, replace: Callable[[str], None], lives: Callable[[str], bool]) -> None:
        self._do, self._lives = replace, lives
        self._away: dict[str, float] = {}  # group → since when
        self._arriving: dict[str, float] = {}  # its thread is through, since when
        self._ready: set[str] = set()  # its nodes are
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

    def note_ready(self, group: str) -> None:
        """All its nodes are there again."""
        self._ready.add(group)

    def look(self) -> tuple[list[Failed], list[str], list[Arrived]]:
        """Groups that could not be replaced, those that died again before they could begin, those that took over."""
        failed = []
        while not self._results.empty():
            group, error = self._results.get()
            if error is None:
                self._arriving[group] = time.monotonic()
            else:
                self._end(group)
                failed.append(Failed(group, error))
        arrived = [Arrived(group, self._end(group)) for group in self._arriving.keys() & self._ready]
        died = [group for group in self._arriving if not self._lives(group)]
        for group in died:
            self._end(group)
        late = time.monotonic() - _READY_WITHIN_S
        for group in [each for each, since in self._arriving.items() if since < late]:
            self._end(group)
            failed.append(Failed(group, _make_late_error(group)))
        return failed, died, arrived

    def _end(self, group: str) -> float:
        self._arriving.pop(group, None)
        self._ready.discard(group)
        return time.monotonic() - self._away.pop(group)


def _make_late_error(group: str) -> NodeFailed:
    return NodeFailed(
        f"group {group}: its actor died, and the new one does not come",
        seen=f"it lives, and its nodes have said nothing for {_READY_WITHIN_S:g} s",
        remedy="look at the console's log, and whether the arm's folder is still there; acquire again",
    )
