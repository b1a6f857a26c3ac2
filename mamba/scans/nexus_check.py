"""Is a NeXus file what the NeXus definitions say it should be? Asked of `nexusformat`, which ships them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mamba.errors import DataError


@dataclass(frozen=True)
class Validation:
    """What the definitions complain about."""

    warnings: int
    errors: int


def validate_file(path: Path) -> Validation:
    """Check every group of a file against its base class and every entry against the definition it claims.

    Raises:
        DataError: `nexusformat`, which belongs to the extra `science`, is not installed.
    """
    try:
        from nexusformat.nexus import nxload
    except ImportError:
        raise DataError(
            f"{path}: cannot be validated", seen="no nexusformat", remedy="pip install 'mamba-beamline[science]'"
        ) from None
    warnings = errors = 0
    with nxload(str(path), "r") as root:
        for check in (root.check, *(entry.validate for entry in root.NXentry if "definition" in entry)):
            more_warnings, more_errors = check()
            warnings, errors = warnings + int(more_warnings), errors + int(more_errors)
    return Validation(warnings, errors)
