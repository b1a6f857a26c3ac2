"""The interval between two cells, before a prompt is built for the person: a command that is there is taken at once.

Building and ending a prompt takes several times as long as a short cell. The person comes first all the same: as soon
as a key waits in the terminal the prompt gets its turn. Meanwhile the terminal is as the prompt would have it, so that
no key is echoed, edited or acted upon before the prompt sees it.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prompt_toolkit.input import Input
from prompt_toolkit.input.typeahead import get_typeahead, store_typeahead


class Interval:
    """Waits for a command or a key, whichever is first.

    Args:
        keyboard: where the prompt reads its keys.
    """

    def __init__(self, keyboard: Input) -> None:
        self._keyboard = keyboard
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poll = select.poll()
        self._poll.register(keyboard.fileno(), select.POLLIN)
        self._poll.register(self._wake, select.POLLIN)
        self.is_open = False

    def wake_up(self) -> None:
        """Look again whether a command is there. Any thread."""
        if self.is_open:
            os.eventfd_write(self._wake, 1)

    @contextmanager
    def opened(self) -> Iterator[None]:
        """The terminal as a prompt has it."""
        with self._keyboard.raw_mode():
            self.is_open = True
            try:
                yield
            finally:
                self.is_open = False

    def wait(self, is_there: Callable[[], bool], timeout_s: float) -> bool:
        """Whether `is_there` came true in time, and before any key of the person."""
        if self._has_early_keys():
            return False
        deadline = time.monotonic() + timeout_s
        left_s = 0.0
        while True:
            ready = {descriptor for descriptor, _ in self._poll.poll(left_s * 1000)}
            if ready - {self._wake}:
                return False
            if ready:
                os.eventfd_read(self._wake)
            if is_there():
                return True
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return False

    def _has_early_keys(self) -> bool:
        """Whether keys that the last prompt read, but did not act upon, wait for the next one."""
        keys = get_typeahead(self._keyboard)
        store_typeahead(self._keyboard, keys)
        return bool(keys) or is_pasting(self._keyboard)


def is_pasting(keyboard: Input) -> bool:
    """Whether the beginning of a paste was read and its end was not."""
    parser = getattr(keyboard, "vt100_parser", None)
    return bool(getattr(parser, "_in_bracketed_paste", False))
