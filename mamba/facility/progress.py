"""What the supervisor tells `mambactl up` while it brings things up: one JSON line per step, then the end.

Lines: `{"step": name, "seconds": s, "note": text}`, at the end `{"ready": s}` or
`{"error": [class, what, seen, remedy], "pid": supervisor}`.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any

import mamba.errors
from mamba.errors import FacilityError, MambaError


class Progress:
    """Writes the lines to `descriptor`, a pipe; with None they are printed for people."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor
        self._started_s = time.monotonic()
        self.done = False

    def report_step(self, step: str, *, since_s: float, note: str = "") -> None:
        """A step is done that began at `since_s` (monotonic)."""
        self._write({"step": step, "seconds": round(time.monotonic() - since_s, 2), "note": note})

    def report_ready(self) -> None:
        """Everything is up; the last line."""
        self._write({"ready": round(time.monotonic() - self._started_s, 2)})
        self._close()

    def report_error(self, error: MambaError) -> None:
        """It failed, and what was started has been taken down; the last line."""
        self._write({"error": dump_error(error), "pid": os.getpid()})
        self._close()

    def _write(self, line: dict[str, Any]) -> None:
        if self._descriptor is None:
            print(json.dumps(line), flush=True)  # noqa: T201  # run in the foreground, by hand or by a service manager
            return
        try:
            os.write(self._descriptor, json.dumps(line).encode() + b"\n")
        except BrokenPipeError:
            self._close()  # 'mambactl up' was ended; what it asked for goes on

    def _close(self) -> None:
        self.done = True
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)


def dump_error(error: MambaError) -> list[str]:
    """An error as JSON can carry it."""
    return [type(error).__name__, error.what, error.seen, error.remedy]


def load_error(parts: list[str]) -> MambaError:
    """The error that `dump_error` was given."""
    name, what, seen, remedy = parts
    kind = getattr(mamba.errors, name, FacilityError)
    error: MambaError = kind(what, seen=seen, remedy=remedy)
    return error
