"""The console's keyboard: whoever types, Ctrl-C withdraws what waits, and where people log in not everybody may."""

from __future__ import annotations

from collections.abc import Callable

from mamba.errors import Cancelled
from mamba.session.commands import CommandQueue
from mamba.session.people import People
from mamba.session.roles import Caller
from mamba.session.terminal import CTRL_C, Terminal


class Keyboard:
    """Takes keys to the terminal.

    Args:
        terminal: gets the keys.
        commands: those that wait are withdrawn at Ctrl-C.
        people: whether they have to log in, and who types.
        set_terminal: called with who types from now on, when that is somebody else.
    """

    def __init__(
        self, terminal: Terminal, commands: CommandQueue, people: People, set_terminal: Callable[[Caller], None]
    ) -> None:
        self._terminal, self._commands, self._people, self._set_terminal = terminal, commands, people, set_terminal

    def interrupt(self) -> int:
        """Ctrl-C: withdraw what waits, interrupt what runs; returns how many were withdrawn."""
        count = self._withdraw("since the session was interrupted")
        self._terminal.interrupt()
        return count

    def type_joined(self, keys: bytes, token: str) -> None:
        """Type for who joined, and may; where people log in, what is typed is theirs from now on."""
        # who only interrupts does not take the prompt over
        if self._people.is_required and keys != CTRL_C and self._people.identify(token) != self._people.terminal:
            self._set_terminal(self._people.identify(token))
        self._type(keys)

    def type_raw(self, keys: bytes) -> str:
        """Type what came by the `keys` socket, which knows no tokens; "" or why not."""
        if self._people.is_required:
            return "not typed: people log in here; send commands with 'cmd', or join with 'mambactl console --login'"
        return "" if self._type(keys) else "not typed: the console has ended, or does not read its keys"

    def _type(self, keys: bytes) -> bool:
        if CTRL_C in keys:
            self._withdraw("since Ctrl-C was pressed in the console")
        return self._terminal.write(keys)

    def _withdraw(self, why: str) -> int:
        return self._commands.cancel_waiting(Cancelled(f"command: withdrawn, {why}"))
