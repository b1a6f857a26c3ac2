"""What one check of the contract found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

_SHOWN = 4


class Result(StrEnum):
    """How a check ended."""

    OK = "ok"
    FAILED = "failed"
    NOT_APPLICABLE = "not applicable"
    NOT_TRIED = "not tried"


@dataclass(frozen=True)
class Finding:
    """One line of the table.

    Attributes:
        check: name of the check.
        result: how it ended.
        seen: what was looked at and seen.
        remedy: what to do when it failed or was not tried.
    """

    check: str
    result: Result
    seen: str
    remedy: str = ""

    def export(self) -> dict[str, Any]:
        """As plain values for JSON."""
        return {**asdict(self), "result": str(self.result)}


def passed(check: str, seen: str) -> Finding:
    """A promise that is kept."""
    return Finding(check, Result.OK, seen)


def failed(check: str, seen: str, remedy: str) -> Finding:
    """A promise that is broken."""
    return Finding(check, Result.FAILED, seen, remedy)


def skipped(check: str, seen: str) -> Finding:
    """A promise that means nothing for this device."""
    return Finding(check, Result.NOT_APPLICABLE, seen)


def not_tried(check: str, seen: str, remedy: str) -> Finding:
    """A promise nobody gave leave to look at."""
    return Finding(check, Result.NOT_TRIED, seen, remedy)


def join_names(names: Sequence[str]) -> str:
    """`a, b, c, d and 3 more`."""
    shown = ", ".join(names[:_SHOWN])
    return f"{shown} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else shown
