"""The transcript: everything the console wrote to its terminal, raw; the newest 64 MiB and the five files before."""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path

log = logging.getLogger(__name__)

ROTATE_BYTES = 64 * 2**20
"""A file that is this long becomes `.1`, `.1` becomes `.2` …"""
KEPT = 5
"""Older files that are kept; the oldest is dropped."""


class Transcript:
    """Appends to `file` (mode 0600); what a full disk does not take is lost, and said once.

    Args:
        file: the newest file; the older ones are `file.1` (the newest of them) to `file.5`.
        rotate_bytes: how long a file becomes.
    """

    def __init__(self, file: Path, *, rotate_bytes: int = ROTATE_BYTES) -> None:
        self._file, self._rotate_bytes = file, rotate_bytes
        self._trouble = False
        self._open()

    def _open(self) -> None:
        self._descriptor = os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._size = os.fstat(self._descriptor).st_size

    def write(self, output: bytes) -> None:
        """Append a piece of output."""
        try:
            if self._size >= self._rotate_bytes:
                self._rotate()
            self._size += os.write(self._descriptor, output)
            self._trouble = False
        except OSError as error:  # a full disk must not end the session
            if not self._trouble:
                log.warning("transcript: %s", error.strerror)
            self._trouble = True

    def _rotate(self) -> None:
        oldest = self._name(KEPT)
        if oldest.exists():
            dropped = oldest.replace(oldest.with_suffix(".old"))
            # 64 MiB take the file system 50 ms, and the loop must not wait
            threading.Thread(target=dropped.unlink, kwargs={"missing_ok": True}, name="transcript").start()
        for number in range(KEPT - 1, -1, -1):
            older = self._name(number)
            if older.exists():
                older.replace(self._name(number + 1))
        full = self._descriptor
        self._open()
        os.close(full)

    def _name(self, number: int) -> Path:
        return self._file.with_name(f"{self._file.name}.{number}") if number else self._file

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)
