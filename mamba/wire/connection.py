"""The asking end of requests, without any waiting: what the blocking client, the asyncio client and windows stand on.

A *connection* owns one DEALER socket with its monitor. `ask` takes a request and a function for its answer; `process`
does whatever can be done now. Who owns a connection waits for its descriptors, or with `wait`, and calls `process`.

*Unsent*: still ours, because ZeroMQ holds one request at most; given up, it is gone. *Under way*: handed over; given
up, it may have been executed.
"""

from __future__ import annotations

import itertools
import os
import socket
import time
from collections.abc import Callable
from typing import Any

import zmq
from zmq.utils.monitor import parse_monitor_message

from mamba.errors import BadRequest, ConnectionLost, MambaError, NotRunning
from mamba.wire.messages import MAX_FRAME_BYTES, dump_request
from mamba.wire.values import encode

# A host that is stopped or hangs looks connected; its silence at this level is noticed after the second figure.
# Only with a queue without limit: libzmq 4.3.5 aborts when a heartbeat meets a full one and the other side is gone.
_HEARTBEAT_MS, _SILENCE_MS = 5_000, 20_000
_RECONNECT_MS, _RECONNECT_MAX_MS = 100, 1000
_EVENTS = zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED | zmq.EVENT_CONNECT_RETRIED

OnAnswer = Callable[[bytes | MambaError], None]
"""Called once with the frame of the reply, or with the error that stands for it."""
OnDescriptor = Callable[[int], object]
"""Called with a file descriptor; they are edge-triggered, so `process` must follow whenever one is readable."""


def make_frame(typ: str, fields: dict[str, Any], *, token: str = "") -> bytes:
    """The frame of a request; values in their typed form, the token of a login with it.

    Raises:
        BadRequest: longer than a host would read.
    """
    known = {"token": token} if token else {}
    frame = dump_request(typ, {**encode(fields), **known})
    if len(frame) > MAX_FRAME_BYTES:
        raise BadRequest(f"{typ}: too long", seen=f"{len(frame)} bytes", remedy="send large data as files")
    return frame


class Connection:
    """Requests to one endpoint; use it from one thread.

    Args:
        context: makes the sockets.
        endpoint: `RuntimeDirectory.rpc`.
        stays: connect at once and again after each loss, and refuse requests in between; else connect with the
            next request, and with a new socket after each loss.
        on_change: called when the host is reached or lost.
        on_open: called with each descriptor to watch.
        on_close: called with it before it goes.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        endpoint: str,
        *,
        stays: bool = False,
        on_change: Callable[[bool], None] | None = None,
        on_open: OnDescriptor | None = None,
        on_close: OnDescriptor | None = None,
    ) -> None:
        self.endpoint, self.is_connected, self.times_connected = endpoint, False, 0
        self._context, self._stays = context, stays
        self._on_change, self._on_open, self._on_close = on_change, on_open, on_close
        self._numbers = itertools.count(1)
        self._pending: dict[bytes, OnAnswer] = {}
        self._unsent: dict[bytes, bytes] = {}
        self._abandoned: set[bytes] = set()
        self._sockets: tuple[zmq.Socket[bytes], zmq.Socket[bytes]] | None = None
        if stays:
            self._open()

    def ask(self, frame: bytes, on_answer: OnAnswer) -> bytes:
        """Send a request as soon as it can go; returns its number. `process` must follow.

        Raises:
            NotRunning: nobody listens there.
            ConnectionLost: `stays`, and the host is not reached now.
        """
        if not self._stays:
            self._read_monitor()
            if self._sockets is None:
                check_listening(self.endpoint)
                self._open()
        elif self._sockets is None or not (self.is_connected or self._events() & zmq.POLLOUT):
            raise make_unreached(self.endpoint)
        number = str(next(self._numbers)).encode()
        self._pending[number], self._unsent[number] = on_answer, frame
        self._send_unsent()
        return number

    def give_up(self, number: bytes) -> None:
        """Nobody waits for this answer any more; without effect when it was answered."""
        if self._pending.pop(number, None) is None:
            return
        if self._unsent.pop(number, None) is None:
            self._abandoned.add(number)
        if self._abandoned and not self._pending and not self._stays:
            self._close_sockets()  # with it goes what ZeroMQ did not send yet

    def process(self, *, budget_s: float = float("inf")) -> bool:
        """Send, receive, notice a loss; for at most `budget_s`, True when there is more."""
        deadline = time.monotonic() + budget_s
        while self._receive_one():
            if time.monotonic() > deadline:
                return True
        self._send_unsent()
        self._read_monitor()
        # looking takes the signal off the descriptor: what is seen now must be done without another one
        return bool(self._events() & (zmq.POLLIN | (zmq.POLLOUT if self._unsent else 0)))

    def wait(self, timeout_s: float | None = None) -> None:
        """Until something can be done; `process` must follow."""
        poller = zmq.Poller()
        self.register(poller)
        poller.poll(None if timeout_s is None else max(0, int(timeout_s * 1000) + 1))

    def register(self, poller: zmq.Poller) -> None:
        """Let a poller wake up when something can be done."""
        if self._sockets is not None:
            poller.register(self._sockets[0], zmq.POLLIN | (zmq.POLLOUT if self._unsent else 0))
            poller.register(self._sockets[1], zmq.POLLIN)

    def close(self) -> None:
        """Leave; who still waits gets `ConnectionLost`."""
        self._stays = False
        self._lose(ConnectionLost(f"{self.endpoint}: this client was closed", remedy="make a new one"))

    # inside

    def _open(self) -> None:
        sock = self._context.socket(zmq.DEALER)
        sock.linger = 0
        sock.sndhwm, sock.rcvhwm = 1, 0
        # Nothing waits in there for a host that comes later. libzmq 4.3.5 then ends its pipe with the connection, and
        # drops a reply that was not read by then: a host that ends gives its clients a moment first.
        sock.immediate = True
        sock.reconnect_ivl, sock.reconnect_ivl_max = _RECONNECT_MS, _RECONNECT_MAX_MS
        sock.heartbeat_ivl, sock.heartbeat_timeout = _HEARTBEAT_MS, _SILENCE_MS
        monitor = sock.get_monitor_socket(_EVENTS)
        monitor.linger = 0
        self._sockets = (sock, monitor)
        if self._on_open is not None:
            for each in self._sockets:
                self._on_open(int(each.fileno()))
        sock.connect(self.endpoint)

    def _close_sockets(self) -> None:
        if self._sockets is None:
            return
        (sock, monitor), self._sockets, self.is_connected = self._sockets, None, False
        self._abandoned.clear()
        if self._on_close is not None:
            for each in (sock, monitor):
                self._on_close(int(each.fileno()))
        sock.disable_monitor()
        monitor.close()
        sock.close()

    def _events(self) -> int:
        return 0 if self._sockets is None else int(self._sockets[0].getsockopt(zmq.EVENTS))

    def _send_unsent(self) -> None:
        while self._unsent and self._sockets is not None and self._events() & zmq.POLLOUT:
            number, frame = next(iter(self._unsent.items()))
            self._sockets[0].send_multipart([number, b"", frame], zmq.NOBLOCK)
            del self._unsent[number]

    def _receive_one(self) -> bool:
        if self._sockets is None or not self._events() & zmq.POLLIN:
            return False
        frames = self._sockets[0].recv_multipart(zmq.NOBLOCK)
        self._abandoned.discard(frames[0])
        on_answer = self._pending.pop(frames[0], None)
        if on_answer is not None:
            on_answer(frames[-1])
        return True

    def _read_monitor(self) -> None:
        while self._sockets is not None and int(self._sockets[1].getsockopt(zmq.EVENTS)) & zmq.POLLIN:
            event = parse_monitor_message(self._sockets[1].recv_multipart())["event"]
            if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self.times_connected += 1
                self._set_connected(connected=True)
            elif event == zmq.EVENT_DISCONNECTED:
                while self._receive_one():  # what was answered before the end is an answer
                    pass
                self._lose(make_lost(self.endpoint))
            elif not self._stays:
                self._check_still_there()

    def _check_still_there(self) -> None:
        """ZeroMQ could not connect: a host with many clients at once is busy, one that is gone is not."""
        try:
            check_listening(self.endpoint)
        except NotRunning as error:
            self._lose(error)

    def _set_connected(self, *, connected: bool) -> None:
        if connected != self.is_connected:
            self.is_connected = connected
            if self._on_change is not None:
                self._on_change(connected)

    def _lose(self, error: MambaError) -> None:
        pending, self._pending = self._pending, {}
        self._unsent.clear()
        if not self._stays:
            self._close_sockets()
        self._set_connected(connected=False)
        for on_answer in pending.values():
            on_answer(error)


def check_listening(endpoint: str) -> None:
    """Find out at once whether somebody listens on a Unix socket; endpoints of other kinds are not looked at.

    Raises:
        NotRunning: nobody does.
    """
    path = endpoint.removeprefix("ipc://")
    if path == endpoint:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except BlockingIOError:
            return  # busy, but there
        except OSError as error:
            raise NotRunning(
                f"{os.path.dirname(path)}: no session runs here",
                seen=f"{os.path.basename(path)}: {error.strerror or error}",
                remedy="start it with 'mambactl up', or name another folder with MAMBA_RUNTIME_DIR",
            ) from None


def make_lost(endpoint: str) -> ConnectionLost:
    """The error of a request whose host ended before it answered."""
    return ConnectionLost(
        f"{endpoint}: the session host ended before it answered",
        remedy="the command may have run: see the transcript; start again with 'mambactl up'",
    )


def make_unreached(endpoint: str) -> ConnectionLost:
    """The error of a request that was not sent, since the host is not there."""
    return ConnectionLost(
        "session host: no connection",
        seen=endpoint,
        remedy="start it with 'mambactl up'; the connection comes back by itself",
    )
