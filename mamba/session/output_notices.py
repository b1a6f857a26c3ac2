"""The terminal's output as notices: what windows show of the console, without ever slowing it.

Pieces are gathered and sent by a timer, at most 20 notices a second, so that a command's reply never waits for them.
*Dropped*: bytes of output that no notice carried, since more came than a notice holds; the oldest go.
"""

from __future__ import annotations

import codecs
import time
from collections.abc import Callable
from typing import Any

from mamba.session.loop import Loop, Timer

INTERVAL_S = 0.05
"""Between two notices."""
FIRST_S = 0.005
"""From the first output after a silence to its notice."""
MAX_BYTES = 16 * 1024
"""Output in one notice."""


class OutputNotices:
    """Publishes `console/output` notices: `data` (text with its escape sequences) and `dropped` (bytes before it).

    Args:
        loop: for the timer.
        publish: gets type and fields of a notice.
    """

    def __init__(self, loop: Loop, publish: Callable[[str, dict[str, Any]], object]) -> None:
        self._loop, self._publish = loop, publish
        self._pending = bytearray()
        self._dropped = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._timer: Timer | None = None
        self._sent_s = 0.0

    def take(self, output: bytes) -> None:
        """Keep a piece of output for the next notice."""
        self._pending += output
        surplus = len(self._pending) - MAX_BYTES
        if surplus > 0:
            del self._pending[:surplus]
            self._dropped += surplus
        if self._timer is None:
            left_s = self._sent_s + INTERVAL_S - time.monotonic()
            self._timer = self._loop.call_later(max(FIRST_S, left_s), self._send)

    def flush(self) -> None:
        """Publish now what waits: who asks for the last output is to know which notices are in it."""
        if self._timer is not None:
            self._timer.cancel()
            self._send()

    def _send(self) -> None:
        self._timer, self._sent_s = None, time.monotonic()
        if self._dropped:
            self._decoder.reset()  # the rest of a character whose beginning is gone
            cut = _count_continuation(self._pending)
            del self._pending[:cut]
            self._dropped += cut
        text = self._decoder.decode(self._pending)
        if text or self._dropped:
            self._publish("console/output", {"data": text, "dropped": self._dropped})
        self._pending.clear()
        self._dropped = 0


def decode_last(output: bytes, limit: int) -> str:
    """The last `limit` bytes of output as text, from the beginning of a character."""
    last = output[max(0, len(output) - limit) :]
    return last[_count_continuation(last) :].decode("utf-8", "replace")


def _count_continuation(data: bytes | bytearray) -> int:
    """How many bytes at the beginning go on with a character that began before (0 to 3)."""
    return next((index for index, byte in enumerate(data[:3]) if byte & 0xC0 != 0x80), len(data[:3]))
