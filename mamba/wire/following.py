"""What a session does, as it happens and without holes: notices, and `state` whenever they alone do not suffice.

No waiting in here; the faces are `Follower` and `AsyncFollower` (`mamba.wire.follower`) and the windows' backend. The
state is asked for when the session was reached, after a gap, and when the host or its console began anew.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import zmq

from mamba.errors import ConnectionLost, MambaError, WireError
from mamba.wire.connection import Connection, OnDescriptor, make_frame
from mamba.wire.messages import Reply, load_reply
from mamba.wire.notices import Notice
from mamba.wire.subscriber import HIGH_WATER_MARK, Gap, Subscriber


@dataclass(frozen=True)
class State:
    """The answer to `state`: everything that later notices build on; it replaces what was known."""

    content: dict[str, Any]


@dataclass(frozen=True)
class Reached:
    """The session host answers from now on; a `State` follows."""


@dataclass(frozen=True)
class Lost:
    """The session host is gone; it is looked for until it comes back."""


@dataclass(frozen=True)
class Refused:
    """`state` was answered with an error: without login, perhaps; it is asked again after the next loss or gap."""

    reply: Reply


Item = Notice | Gap | State | Reached | Lost | Refused
"""What a follower is told, in the order in which it came."""


class Following:
    """Reads notices and state of one session; use it from one thread.

    `token` (of a login) goes with each `state` request; `connection` may be used for other requests.

    Args:
        rpc: `RuntimeDirectory.rpc`.
        notify: `RuntimeDirectory.notify`; nobody needs to be there yet.
        take: called with each item, from `process` only.
        prefixes: beginnings of the `typ` of the notices that are wanted; all by default.
        high_water_mark: how many notices may wait unread.
        on_open: called with each descriptor to watch.
        on_close: called with it before it goes.
    """

    def __init__(
        self,
        rpc: str,
        notify: str,
        take: Callable[[Item], None],
        *,
        prefixes: Sequence[str] = ("",),
        high_water_mark: int = HIGH_WATER_MARK,
        on_open: OnDescriptor | None = None,
        on_close: OnDescriptor | None = None,
    ) -> None:
        self.token = ""
        self._take, self._on_close = take, on_close
        self._closed = self._asked = False
        self._reached = (0, 0)
        wanted = prefixes if "" in prefixes else (*prefixes, "session/started")
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._notices = Subscriber(notify, prefixes=wanted, on_gap=self._take_gap, high_water_mark=high_water_mark)
        if on_open is not None:
            for descriptor in self._notices.descriptors:
                on_open(descriptor)
        self.connection = Connection(
            self._context, rpc, stays=True, on_change=self._change, on_open=on_open, on_close=on_close
        )

    def load_state(self) -> None:
        """Ask for the state; a `State` follows, one for all who ask meanwhile."""
        if self._asked:
            return
        self._asked = True
        try:
            self.connection.ask(make_frame("state", {}, token=self.token), self._take_state)
        except ConnectionLost:
            self._asked = False  # it is asked for as soon as the host is there

    def process(self, *, budget_s: float = 0.02) -> bool:
        """Take what is there, for about `budget_s`; True when there is more. `take` may close this."""
        deadline = time.monotonic() + budget_s
        more = self.connection.process(budget_s=budget_s)
        self._ask_when_reached()
        while not self._closed and (notice := self._notices.receive()) is not None:
            self._take_notice(notice)
            if time.monotonic() > deadline:
                return not self._closed
        return more and not self._closed

    def register(self, poller: zmq.Poller) -> None:
        """Let a poller wake up when there is something to process."""
        self.connection.register(poller)
        self._notices.register(poller)

    def close(self) -> None:
        """Leave; no item comes after this."""
        if self._closed:
            return
        self._closed = True
        self.connection.close()
        if self._on_close is not None:
            for descriptor in self._notices.descriptors:
                self._on_close(descriptor)
        self._notices.close()
        self._context.term()

    def _ask_when_reached(self) -> None:
        # subscribed first, then asked: what happens after the answer was given comes as a notice
        if self._closed or not (self.connection.is_connected and self._notices.is_connected):
            return
        reached = (self.connection.times_connected, self._notices.times_connected)
        if reached != self._reached:
            self._reached = reached
            self.load_state()

    def _take_notice(self, notice: Notice) -> None:
        if self._closed:  # by who was told of the gap before it
            return
        self._take(notice)
        if not self._closed and notice["typ"] == "session/started":
            self.load_state()

    def _take_gap(self, gap: Gap) -> None:
        self._take(gap)
        if not self._closed:
            self.load_state()

    def _change(self, connected: bool) -> None:  # noqa: FBT001  # the form of `on_change`
        if not self._closed:
            self._take(Reached() if connected else Lost())

    def _take_state(self, answer: bytes | MambaError) -> None:
        self._asked = False
        if self._closed or isinstance(answer, MambaError):
            return
        try:
            reply = load_reply(answer)
        except WireError as error:
            reply = Reply(error.code, desc=str(error))
        if not reply.ok:
            self._take(Refused(reply))
            return
        self._notices.expect(reply.value.get("seq") or {})
        self._take(State(reply.value))
