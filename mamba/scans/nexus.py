"""NeXus master file per run (its writer follows in the next commit)."""

from __future__ import annotations

from pathlib import Path
from typing import Any


class NexusWriter:
    """A consumer of documents that writes one NeXus file per run."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def __call__(self, name: str, doc: dict[str, Any]) -> None:
        """Take one document."""

    def files_of(self, uid: str) -> list[Path]:
        """Files of the run `uid`."""
        return []
