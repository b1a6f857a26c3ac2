"""What all groups of verbs share, and the types of their fields."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from mamba.errors import ConsoleDied

if TYPE_CHECKING:
    from mamba.session.host import SessionHost

ANSWER_TIMEOUT_S = 5.0
"""How long the console's control thread may take for pause, resume, stop, abort."""
CALL_TIMEOUT_S = 10.0
"""How long the console may take for a question about a device, unless the request says otherwise."""

Seconds = Annotated[float, Field(ge=0, le=1e6)]
"""A time in s."""
Text = Annotated[str, Field(max_length=2000)]
"""A reason, a path, a name."""


class Verbs(ABC):
    """One group of verbs; their handlers' keyword arguments are the fields of the requests."""

    def __init__(self, host: SessionHost) -> None:
        self.host = host

    @abstractmethod
    def verbs(self) -> dict[str, Callable[..., Any]]:
        """Handler by verb."""

    def require_console(self) -> None:
        """Refuse what needs IPython when there is none.

        Raises:
            ConsoleDied: says what it died of.
        """
        if self.host.state.prompt == "dead":
            raise self.host.make_died()


def make_died_error(reason: str) -> ConsoleDied:
    """The error of everything that waits for a console that is gone."""
    return ConsoleDied(
        "console: IPython has ended",
        seen=reason,
        remedy="request session/restart, or 'mambactl restart'",
    )
