"""Is a NeXus file what the NeXus definitions say it should be? Asked of `nexusformat`, which ships them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mamba.errors import DataError


@dataclass(frozen=True)
class Validation:
    """What the definitions complain about, one line per complaint that begins with the place in the file."""

    warnings: tuple[str, ...]
    errors: tuple[str, ...]


def validate_file(path: Path) -> Validation:
    """Check every group of a file against its base class, and every entry against the definition it claims.

    Raises:
        DataError: `nexusformat`, which belongs to the extra `science`, is not installed.
    """
    try:
        from nexusformat.nexus import nxload, validate  # noqa: F401  # validate gives its logger a handler when imported
    except ImportError:
        raise DataError(
            f"{path}: cannot be validated", seen="no nexusformat", remedy="pip install 'mamba-beamline[science]'"
        ) from None
    with _listen() as listener, nxload(str(path), "r") as root:
        root.check()
        for entry in root.NXentry:
            if "definition" in entry:
                entry.validate()
    return Validation(tuple(listener.warnings), tuple(listener.errors))


class _Listener(logging.Handler):
    """Sorts what the validator says: it marks places in the file as critical, complaints by their level."""

    def __init__(self) -> None:
        super().__init__()
        self.warnings: list[str] = []
        self.errors: list[str] = []
        self._place = ""

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage().strip()
        if record.levelno >= logging.CRITICAL:
            self._place = text
        elif record.levelno >= logging.WARNING:
            kept = self.errors if record.levelno >= logging.ERROR else self.warnings
            kept.append(f"{self._place}: {text}")


@contextmanager
def _listen() -> Iterator[_Listener]:
    """Take the validator's words instead of letting it print them."""
    logger, listener = logging.getLogger("NXValidate"), _Listener()
    handlers, logger.handlers = logger.handlers, [listener]
    try:
        yield listener
    finally:
        logger.handlers = handlers
