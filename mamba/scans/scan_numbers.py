"""Numbers of scans, counted on across sessions, so that no two runs of a beamline ever share a file name."""

from __future__ import annotations

import fcntl
import os
import re
from pathlib import Path
from typing import IO, Any

from mamba.errors import DataError

_COUNTER = ".scan_id"
_NUMBERED = re.compile(r"^(\d+)_")


class ScanNumbers:
    """Gives each run the next number; usable as `RunEngine(scan_id_source=…)`.

    The last number stands in `<directory>/.scan_id`. Files in the directory count as well, so that a lost counter
    never leads back to a number that has data. An flock makes it safe for several consoles.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def __call__(self, metadata: dict[str, Any]) -> int:
        """Take the next number; `metadata` (the run's) is not looked at.

        Raises:
            DataError: the folder cannot be written; no run begins and nothing moves.
        """
        with self._open_counter() as counter:
            fcntl.flock(counter, fcntl.LOCK_EX)
            written = counter.read().strip()
            last = int(written) if written.isdigit() else 0
            number = max([last, *self._used()]) + 1
            counter.seek(0)
            counter.truncate()
            counter.write(f"{number}\n")
            counter.flush()
            os.fsync(counter.fileno())
        return number

    def _open_counter(self) -> IO[str]:
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.directory / _COUNTER, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise DataError(
                f"data folder {self.directory}: cannot be written, so no run can begin",
                seen=error.strerror or str(error),
                remedy="give it back its rights or its disk, or bring the beamline up with another data.directory",
            ) from None
        return os.fdopen(descriptor, "r+")

    def _used(self) -> list[int]:
        return [int(found[1]) for name in os.listdir(self.directory) if (found := _NUMBERED.match(name))]
