"""The asking side of requests: blocking, for programs, tests and threads of windows.

Each thread that uses a `Client` gets a socket of its own, so that one may abort a run while another waits for its
command. A request that was given up (time-out, lost connection) is never delivered later.
"""

from __future__ import annotations

import itertools
import os
import socket
import threading
import time
from types import TracebackType
from typing import Any

import zmq
from zmq.utils.monitor import parse_monitor_message

from mamba.errors import BadRequest, ConnectionLost, MambaError, NotRunning
from mamba.wire.messages import MAX_FRAME_BYTES, Reply, dump_request, load_reply, make_timeout
from mamba.wire.values import encode

DEFAULT_TIMEOUT_S = 10.0
"""How long a request that is no command waits for its reply."""

# A host that is stopped or hangs looks connected; its silence at this level is noticed after the second figure.
_HEARTBEAT_MS, _SILENCE_MS = 5_000, 20_000


class Client:
    """Asks the session host behind `endpoint` (`RuntimeDirectory.rpc`)."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._own = threading.local()
        self._links: list[_Link] = []
        self._closed = False

    def request(self, typ: str, *, timeout_s: float | None = DEFAULT_TIMEOUT_S, **fields: Any) -> Any:
        """Ask and return the value of the reply; `timeout_s=None` waits as long as the host lives.

        Raises:
            ZError: the host answered with an error; has its code and description.
            NotRunning: nobody listens there.
            ReplyTimeout: no reply in time.
            ConnectionLost: the host ended before it answered.
        """
        return self._exchange(typ, fields, timeout_s).unwrap()

    def ask(self, typ: str, *, timeout_s: float | None = DEFAULT_TIMEOUT_S, **fields: Any) -> Reply:
        """Ask and return the reply, whatever it is; what `request` would raise is a reply with that code here."""
        try:
            return self._exchange(typ, fields, timeout_s)
        except MambaError as error:
            return Reply(error.code, desc=str(error))

    def command(
        self,
        text: str,
        *,
        origin: str = "client",
        wait: bool = True,
        timeout_s: float | None = None,
        deadline_s: float | None = None,
    ) -> Any:
        """Have `text` executed in the console; return its result, or `{"id": …}` at once without `wait`.

        Args:
            text: one cell.
            origin: who asks, as the console shows it ("scan builder").
            wait: for the end of the cell.
            timeout_s: how long to wait for the reply; None: as long as the host lives.
            deadline_s: the command is dropped if it has not begun by then.

        Raises:
            ZError: what the cell raised (code "exc"), or why it did not run.
        """
        more = {} if deadline_s is None else {"deadline_s": deadline_s}
        return self.request("cmd", timeout_s=timeout_s, cmd=text, origin=origin, wait=wait, **more)

    def _exchange(self, typ: str, fields: dict[str, Any], timeout_s: float | None) -> Reply:
        frame = dump_request(typ, encode(fields))
        if len(frame) > MAX_FRAME_BYTES:
            raise BadRequest(f"{typ}: too long", seen=f"{len(frame)} bytes", remedy="send large data as files")
        return load_reply(self._link().exchange(typ, frame, timeout_s))

    def _link(self) -> _Link:
        if self._closed:
            raise ConnectionLost(f"{self.endpoint}: this client was closed", remedy="make a new one")
        link: _Link | None = getattr(self._own, "link", None)
        if link is None:
            link = self._own.link = _Link(self._context, self.endpoint)
            self._links.append(link)
        return link

    def close(self) -> None:
        """Leave; not while another thread waits."""
        self._closed = True
        for link in self._links:
            link.drop()
        self._context.term()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Link:
    """One DEALER socket with its monitor; made anew after every request that was given up."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], endpoint: str) -> None:
        self._context = context
        self._endpoint = endpoint
        self._numbers = itertools.count(1)
        self._socket: zmq.Socket[bytes] | None = None
        self._monitor: zmq.Socket[bytes] | None = None

    def exchange(self, typ: str, frame: bytes, timeout_s: float | None) -> bytes:
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        if self._socket is not None and self._was_lost():
            self.drop()
        if self._socket is None:
            self._connect()
        number = str(next(self._numbers)).encode()
        try:
            reply = self._wait(frame, number, deadline)
        except BaseException:
            self.drop()  # with it goes what was not sent yet: a command given up must not run later
            raise
        if reply is None:
            self.drop()
            raise make_timeout(typ, timeout_s or 0.0)
        return reply

    def _connect(self) -> None:
        if self._endpoint.startswith("ipc://"):
            check_listening(self._endpoint.removeprefix("ipc://"))
        sock = self._context.socket(zmq.DEALER)
        sock.linger = 0
        sock.sndhwm = sock.rcvhwm = 0
        sock.heartbeat_ivl, sock.heartbeat_timeout = _HEARTBEAT_MS, _SILENCE_MS
        monitor = sock.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        monitor.linger = 0
        sock.connect(self._endpoint)
        self._socket, self._monitor = sock, monitor

    def _was_lost(self) -> bool:
        assert self._monitor is not None
        lost = False
        while self._monitor.poll(0):
            parse_monitor_message(self._monitor.recv_multipart())
            lost = True
        return lost

    def _wait(self, frame: bytes, number: bytes, deadline: float | None) -> bytes | None:
        assert self._socket is not None
        assert self._monitor is not None
        self._socket.send_multipart([number, b"", frame])
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        poller.register(self._monitor, zmq.POLLIN)
        while True:
            left_ms = None if deadline is None else max(0, int((deadline - time.monotonic()) * 1000) + 1)
            ready = dict(poller.poll(left_ms))
            while self._socket.poll(0):
                frames = self._socket.recv_multipart()
                if frames[0] == number:
                    return frames[-1]
            if self._monitor in ready and self._was_lost():
                raise ConnectionLost(
                    f"{self._endpoint}: the session host ended before it answered",
                    remedy="the command may have run: see the transcript; start again with 'mambactl up'",
                )
            if deadline is not None and time.monotonic() >= deadline:
                return None

    def drop(self) -> None:
        """Close the socket and whatever it holds."""
        if self._socket is not None:
            self._socket.disable_monitor()
            assert self._monitor is not None
            self._monitor.close()
            self._socket.close()
            self._socket = self._monitor = None


def check_listening(path: str) -> None:
    """Find out at once whether somebody listens on a Unix socket.

    Raises:
        NotRunning: nobody does.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(path)
        except (TimeoutError, BlockingIOError):
            return  # busy, but there
        except OSError as error:
            raise NotRunning(
                f"{os.path.dirname(path)}: no session runs here",
                seen=f"{os.path.basename(path)}: {error.strerror or error}",
                remedy="start it with 'mambactl up', or name another folder with MAMBA_RUNTIME_DIR",
            ) from None
