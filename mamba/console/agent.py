"""The agent: a thread inside IPython with its own socket to the session host.

Whatever the console does, the agent answers: it never waits for a cell. Everything goes out in the order it came. When
the host cannot take notices as fast as they come, those that only show progress are dropped, counted and reported; the
scan is not slowed, and its start and end are never dropped.
"""

from __future__ import annotations

import itertools
import logging
import os
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

import zmq
from zmq.utils.monitor import parse_monitor_message

from mamba.errors import ConnectionLost, ReplyTimeout
from mamba.wire.agent_link import LinkMessage, dump, dump_notice, join_notices, load
from mamba.wire.messages import Rep
from mamba.wire.notices import Notice

log = logging.getLogger(__name__)

MAX_WAITING = 20_000
"""Frames and notices that may wait for the host before progress is dropped; about a second of a very fast scan."""
PROGRESS = ("scan/point", "mdw/progress")
"""Notices that may be dropped: a later one, or `state`, says more."""
_NOTICES_A_MESSAGE = 200
_MESSAGES_A_TURN = 10
TICK_S = 0.1
"""How often `on_tick` looks for changes nobody reports (a debugger that took the prompt)."""


class Agent:
    """The console's end of the link.

    Args:
        endpoint: where the session host listens (`RuntimeDirectory.agent`).
        handle: called in the agent's thread with each message of the host; must not block.
        greet: the messages that introduce this console: sent first, and again after every reconnect.
        on_tick: called in the agent's thread ten times a second.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        handle: Callable[[LinkMessage], None],
        greet: Callable[[], list[LinkMessage]],
        on_tick: Callable[[], None] = lambda: None,
    ) -> None:
        self._endpoint, self._handle, self._greet, self._on_tick = endpoint, handle, greet, on_tick
        self._outbox: deque[list[bytes] | Notice] = deque()
        self._dropped: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._requests: dict[str, _Pending] = {}
        self._numbers = itertools.count(1)
        self._connected = threading.Event()
        self._ending = self._ended = False
        self._thread = threading.Thread(target=self._run, name="mamba-agent", daemon=True)

    def start(self) -> None:
        """Connect, now or as soon as the host is there."""
        self._thread.start()

    def wait_connected(self, timeout_s: float) -> bool:
        """Wait for the link to stand; False if it does not in time."""
        return self._connected.wait(timeout_s)

    def close(self, timeout_s: float = 1.0) -> None:
        """Say bye, send what waits, and end the thread."""
        if not self._thread.is_alive():
            return
        self.send({"typ": "bye"})
        self._ending = True
        self._wake_up()
        self._thread.join(timeout_s)

    def send(self, message: LinkMessage) -> None:
        """Send one message; its values are read now, in the caller's thread. Never blocks."""
        self._post([dump(message)])

    def relay(self, notice: Notice) -> None:
        """Send one notice, which nobody changes any more. Takes microseconds, whatever the host does."""
        if notice["typ"] in PROGRESS and len(self._outbox) >= MAX_WAITING:
            with self._lock:
                self._dropped[notice["typ"]] += 1
            return
        self._post(notice)

    def _post(self, item: list[bytes] | Notice) -> None:
        with self._lock:
            self._outbox.append(item)
            is_first = len(self._outbox) == 1
        if is_first:
            self._wake_up()

    def request(self, verb: str, args: dict[str, Any], *, timeout_s: float = 5.0) -> Rep:
        """Ask the host; returns its reply, an error reply included.

        Raises:
            ConnectionLost: there is no host.
            ReplyTimeout: it does not answer in time.
        """
        if not self._connected.is_set():
            raise ConnectionLost(f"{verb}: the session host is not there", remedy="try 'mambactl status' in a shell")
        number = str(next(self._numbers))
        pending = self._requests[number] = _Pending()
        try:
            self.send({"typ": "request", "id": number, "verb": verb, "args": args})
            if not pending.answered.wait(timeout_s):
                raise ReplyTimeout(f"{verb}: no reply of the session host", seen=f"nothing within {timeout_s:g} s")
        finally:
            del self._requests[number]
        return pending.rep

    def _wake_up(self) -> None:
        with self._lock:
            if not self._ended:
                os.eventfd_write(self._wake, 1)

    def _run(self) -> None:
        context = zmq.Context()
        socket: zmq.Socket[bytes] = context.socket(zmq.DEALER)
        # frames wait here and not in a socket that may never connect again
        socket.setsockopt(zmq.IMMEDIATE, 1)
        socket.setsockopt(zmq.LINGER, 500)
        socket.setsockopt(zmq.RECONNECT_IVL, 50)
        socket.setsockopt(zmq.RECONNECT_IVL_MAX, 500)
        monitor = socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED)
        socket.connect(self._endpoint)
        try:
            self._serve(socket, monitor)
        finally:
            self._connected.clear()
            socket.disable_monitor()
            monitor.close(0)
            socket.close()
            context.term()
            with self._lock:
                self._ended = True
                os.close(self._wake)

    def _serve(self, socket: zmq.Socket[bytes], monitor: zmq.Socket[bytes]) -> None:
        poller = zmq.Poller()
        for source in (monitor, self._wake):
            poller.register(source, zmq.POLLIN)
        next_tick = time.monotonic()
        while not (self._ending and not (self._connected.is_set() and self._outbox)):
            is_sending = self._connected.is_set() and self._outbox
            poller.register(socket, zmq.POLLIN | zmq.POLLOUT if is_sending else zmq.POLLIN)
            ready = dict(poller.poll(max(0, round((next_tick - time.monotonic()) * 1e3))))
            if self._wake in ready:
                os.eventfd_read(self._wake)
            if monitor in ready:
                self._follow_connection(socket, monitor)
            if ready.get(socket, 0) & zmq.POLLIN:
                self._receive(socket)
            if time.monotonic() >= next_tick:
                self._guarded(self._on_tick)
                next_tick = time.monotonic() + TICK_S
            if self._connected.is_set():
                self._flush(socket)

    def _follow_connection(self, socket: zmq.Socket[bytes], monitor: zmq.Socket[bytes]) -> None:
        while monitor.poll(0):
            event = parse_monitor_message(monitor.recv_multipart())["event"]
            if event == zmq.EVENT_DISCONNECTED:
                self._connected.clear()
                log.warning("the session host is gone; waiting for it to come back")
                continue
            greeting: list[list[bytes] | Notice] = [[dump(message)] for message in self._greet()]
            with self._lock:
                self._outbox.extendleft(reversed(greeting))
            self._connected.set()

    def _receive(self, socket: zmq.Socket[bytes]) -> None:
        while True:
            try:
                frame = socket.recv(zmq.NOBLOCK)
            except zmq.Again:
                return
            self._guarded(lambda frame=frame: self._take(load(frame)))  # type: ignore[misc]  # bound in the loop

    def _take(self, message: LinkMessage) -> None:
        if message["typ"] == "reply":
            pending = self._requests.get(message["id"])
            if pending is not None:
                pending.rep = message["rep"]
                pending.answered.set()
            return
        self._handle(message)

    def _guarded(self, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception:  # the link must outlive any one message
            log.exception("agent: a message could not be served")

    def _flush(self, socket: zmq.Socket[bytes]) -> None:
        """Send what waits, up to a bound: what the host says meanwhile must be heard."""
        for _ in range(_MESSAGES_A_TURN):
            frames = self._next_frames()
            if not frames:
                return
            try:
                socket.send_multipart(frames, zmq.NOBLOCK)
            except zmq.Again:
                with self._lock:
                    self._outbox.appendleft(frames)
                return

    def _next_frames(self) -> list[bytes]:
        """The next message, or as many notices as there are until the next one; empty if nothing waits."""
        lines: list[bytes] = []
        while len(lines) < _NOTICES_A_MESSAGE and (item := self._next_item(notices_only=bool(lines))) is not None:
            if isinstance(item, list):
                return item
            try:
                lines.append(dump_notice(item))
            except Exception:  # a value that somebody changes while it is read; the notices after it still go out
                log.exception("agent: a notice could not be sent")
        return join_notices(lines) if lines else []

    def _next_item(self, *, notices_only: bool) -> list[bytes] | Notice | None:
        with self._lock:
            dropped, self._dropped = self._dropped, Counter()
            if dropped:
                lost = {"typ": "session/notices-dropped", "count": dropped.total(), "lost": dict(dropped)}
                self._outbox.append({**lost, "time": time.time()})
            if not self._outbox or (notices_only and isinstance(self._outbox[0], list)):
                item = None
            else:
                item = self._outbox.popleft()
        if dropped:
            log.warning("agent: %d notices dropped, the host is slower than the console", dropped.total())
        return item


class _Pending:
    """A request that waits for its reply."""

    def __init__(self) -> None:
        self.answered = threading.Event()
        self.rep: Rep = {}
