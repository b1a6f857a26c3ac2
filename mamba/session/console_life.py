"""The life of the console's process: started, ended within its grace, and what it died of."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Mapping, Sequence

from mamba.session.loop import Loop, Timer
from mamba.session.terminal import Terminal

log = logging.getLogger(__name__)

GRACE_S = 5.0
"""How long IPython may take to abort its run and end, before it is killed, unless the host is told otherwise."""


class ConsoleLife:
    """One IPython after the other in one terminal.

    Args:
        loop: for the grace.
        terminal: where it runs.
        command: starts it.
        env: its environment.
        grace_s: how long it may take to end.

    Attributes:
        died_of: how the last one ended; "" while one lives.
        left_on_purpose: whether it said goodbye.
    """

    def __init__(
        self, loop: Loop, terminal: Terminal, *, command: Sequence[str], env: Mapping[str, str], grace_s: float
    ) -> None:
        self._loop, self._terminal, self._grace_s = loop, terminal, grace_s
        self._command, self._env = command, env
        self._kill_timer: Timer | None = None
        self._after: Callable[[], None] | None = None
        self.died_of = ""
        self.left_on_purpose = False

    @property
    def is_ending(self) -> bool:
        """Whether it was told to end and has not, or what follows its end has not been done."""
        return self._after is not None

    def start(self) -> None:
        """Start it; one at a time."""
        self.died_of, self.left_on_purpose = "", False
        self._terminal.start(self._command, self._env)

    def end(self, after: Callable[[], None]) -> bool:
        """Ask it to end, and kill it after its grace; False when none lives, and `go_on` is to be called."""
        self._after = after
        if self._terminal.pid is None:
            return False
        if self._kill_timer is None:
            self._terminal.send_signal(signal.SIGTERM)
            self._kill_timer = self._loop.call_later(self._grace_s, self._kill)
        return True

    def _kill(self) -> None:
        log.warning("console: has not ended within %g s, killed", self._grace_s)
        self._terminal.kill()

    def note_exit(self, status: int) -> None:
        """It is gone, with this exit status (negative: the signal)."""
        if self._kill_timer is not None:
            self._kill_timer.cancel()
            self._kill_timer = None
        how = f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
        if self.is_ending:
            self.died_of = f"ended by its host ({how})"
        else:
            self.died_of = f"left on purpose ({how})" if self.left_on_purpose else how
        expected = self.is_ending or self.left_on_purpose
        log.log(logging.INFO if expected else logging.ERROR, "console: %s", self.died_of)

    def go_on(self) -> None:
        """Do what was to follow its end."""
        after, self._after = self._after, None
        if after is not None:
            after()
