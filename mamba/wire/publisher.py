"""Notices out: one PUB socket, one sequence number per `typ`, so that a subscriber sees what it missed."""

from __future__ import annotations

import time
from typing import Any

import zmq

from mamba.wire.messages import dump_json
from mamba.wire.private import bind_privately

HIGH_WATER_MARK = 50_000
"""Notices kept for one slow subscriber; beyond it they are dropped for that one, and their numbers show it."""


class Publisher:
    """The only sender on a notice endpoint; not thread-safe, as no ZeroMQ socket is."""

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], endpoint: str, *, high_water_mark: int = HIGH_WATER_MARK
    ) -> None:
        self.seq: dict[str, int] = {}
        self._socket = context.socket(zmq.PUB)
        self._socket.sndhwm = high_water_mark
        self._socket.linger = 200
        bind_privately(self._socket, endpoint)

    @property
    def count(self) -> int:
        """How many notices were published."""
        return sum(self.seq.values())

    def publish(self, typ: str, fields: dict[str, Any]) -> bytes:
        """Push one notice, whose fields are ready, and return it; `time` is added (s since 1970) unless it is there."""
        notice: dict[str, Any] = {"typ": typ}
        notice.update(fields)
        notice.setdefault("time", time.time())
        notice["typ"] = typ
        notice.pop("seq", None)
        return self.pass_on(typ, dump_json(notice))

    def pass_on(self, typ: str, line: bytes) -> bytes:
        """Push a notice that is bytes already, `typ` first and not empty, and return it with its number."""
        seq = self.seq.get(typ, 0) + 1
        frame = b'%b, "seq": %d}' % (line[:-1], seq)
        self.seq[typ] = seq
        # PUB never blocks: a subscriber at its mark loses this notice and sees the gap
        self._socket.send(frame)
        return frame

    def skip(self, typ: str, count: int) -> None:
        """Let the next number of `typ` show that `count` notices were lost before they came here."""
        self.seq[typ] = self.seq.get(typ, 0) + count

    def close(self) -> None:
        """Stop publishing; what is queued leaves within the linger time (0.2 s)."""
        self._socket.close()
