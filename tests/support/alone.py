"""Tests that measure time have the machine for themselves where several pytest processes share it.

Two locks: every test holds the second one, together with others or, marked `alone`, by itself. Who wants it passes
through the first, so that a test that waits for the others to end is not overtaken by the next of theirs for ever.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def hold_machine(folder: Path, *, alone: bool) -> Iterator[None]:
    """Run together with other tests, or `alone`; `folder` is shared by the processes of one run."""
    with (folder / "turn").open("w") as turn, (folder / "machine").open("w") as machine:
        fcntl.flock(turn, fcntl.LOCK_EX)
        fcntl.flock(machine, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(turn, fcntl.LOCK_UN)
        yield
