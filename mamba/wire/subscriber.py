"""Notices in: one SUB socket that filters by the beginning of `typ` and says when notices are missing.

A *gap*: the sequence number of a `typ` did not follow the last one. Whoever sees a gap asks for `state`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import zmq
from zmq.utils.monitor import parse_monitor_message

from mamba.wire.messages import notice_prefix
from mamba.wire.notices import Notice
from mamba.wire.values import decode

HIGH_WATER_MARK = 200_000
"""Notices that wait unread before the newest ones are dropped."""


_TYPED = b'"$type"'


@dataclass(frozen=True)
class Gap:
    """Notices of one `typ` that did not arrive; `missed` is negative when the numbers began anew (a new host)."""

    typ: str
    expected: int
    seen: int

    @property
    def missed(self) -> int:
        """How many."""
        return self.seen - self.expected


class Subscriber:
    """Receives notices of one endpoint; use it from one thread.

    Args:
        endpoint: `RuntimeDirectory.notify`; nobody needs to be there yet.
        prefixes: beginnings of `typ` ("scan/", "cmd/done"); all notices by default.
        on_gap: called before the notice that showed the gap is returned.
        high_water_mark: how many notices may wait unread.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        prefixes: Sequence[str] = ("",),
        on_gap: Callable[[Gap], None] | None = None,
        high_water_mark: int = HIGH_WATER_MARK,
    ) -> None:
        self._on_gap = on_gap
        self._expected: dict[str, int] = {}
        self._last: dict[str, int] = {}
        self._told: set[str] = set()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.SUB)
        self._socket.linger = 0
        self._socket.rcvhwm = high_water_mark
        self._socket.reconnect_ivl_max = 1000
        for prefix in prefixes:
            self._socket.subscribe(notice_prefix(prefix))
        self._monitor = self._socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED)
        self._monitor.linger = 0
        self._is_connected, self._times_connected = False, 0
        self._socket.connect(endpoint)

    @property
    def is_connected(self) -> bool:
        """Whether the publisher is reached now."""
        self._read_monitor()
        return self._is_connected

    @property
    def times_connected(self) -> int:
        """How many times it was reached: what was published in between is lost, and no number may tell."""
        self._read_monitor()
        return self._times_connected

    @property
    def descriptors(self) -> tuple[int, int]:
        """Of notices and of `is_connected`; both edge-triggered."""
        return self.fileno(), int(self._monitor.fileno())

    def register(self, poller: zmq.Poller) -> None:
        """Let a poller wake up when there is something to read."""
        poller.register(self._socket, zmq.POLLIN)
        poller.register(self._monitor, zmq.POLLIN)

    def _read_monitor(self) -> None:
        while int(self._monitor.getsockopt(zmq.EVENTS)) & zmq.POLLIN:
            event = parse_monitor_message(self._monitor.recv_multipart())["event"]
            self._is_connected = event == zmq.EVENT_HANDSHAKE_SUCCEEDED
            self._times_connected += self._is_connected

    def fileno(self) -> int:
        """The descriptor for a QSocketNotifier or selector; it is edge-triggered: drain until `receive` gives None."""
        return int(self._socket.fileno())

    def expect(self, seq: dict[str, int]) -> None:
        """Take the numbers of a `state` answer: what comes next per `typ` is one more.

        Notices that were under way then, and are in the answer already, are dropped.
        """
        self._expected = {typ: number + 1 for typ, number in seq.items()}
        self._told = set(self._expected)

    def receive(self, timeout_s: float = 0.0) -> Notice | None:
        """The next notice with its values decoded, None when none comes in time."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                frame = self._socket.recv(zmq.NOBLOCK)
            except zmq.Again:
                left_s = deadline - time.monotonic()
                if left_s <= 0 or not self._socket.poll(int(left_s * 1000) + 1):
                    return None
                continue
            notice: Notice = json.loads(frame)
            if _TYPED in frame:
                notice = decode(notice)
            if self._is_news(notice):
                return notice

    def wait_for(self, typ: str, *, timeout_s: float, **fields: Any) -> Notice | None:
        """The next notice of this `typ` whose named fields are equal; those before it are dropped."""
        deadline = time.monotonic() + timeout_s
        while (notice := self.receive(max(0.0, deadline - time.monotonic()))) is not None:
            if notice["typ"] == typ and all(notice.get(key) == value for key, value in fields.items()):
                return notice
        return None

    def drain(self, budget_s: float = 0.02) -> Iterator[Notice]:
        """What is there now, for at most `budget_s`; the rest waits for the next call."""
        deadline = time.monotonic() + budget_s
        while (notice := self.receive()) is not None:
            yield notice
            if time.monotonic() > deadline:
                return

    def _is_news(self, notice: Notice) -> bool:
        """Follow the numbers, report a gap; False for what a `state` answer told already."""
        typ, seq = notice["typ"], notice.get("seq")
        if not isinstance(seq, int):
            return True
        expected, last = self._expected.get(typ, seq), self._last.get(typ, 0)
        self._last[typ] = seq
        if typ in self._told and last < seq < expected:
            return False
        self._told.discard(typ)
        self._expected[typ] = seq + 1
        if seq != expected and self._on_gap is not None:
            self._on_gap(Gap(typ, expected, seq))
        return True

    def close(self) -> None:
        """Leave."""
        self._socket.disable_monitor()
        self._monitor.close()
        self._socket.close()
        self._context.term()

    def __enter__(self) -> Subscriber:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
