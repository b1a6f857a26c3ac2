"""What carries the messages of a link: a Unix socket on one host (`unix:///path`), ZeroMQ between hosts.

A message has one or two parts; the first is a descriptor of 40 bytes. On one host it is one packet of a
`SOCK_SEQPACKET` socket: it goes from thread to thread, and the other side's death is the end of the file, seen at once
and after everything that was sent. ZeroMQ there wakes two threads more on each way: measured at blocks of 1 MiB, twice
the time and CPU for each. Objects here belong to one thread and never block but where they say so.
"""

from __future__ import annotations

import os
import select
import socket as sockets
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Protocol
from urllib.parse import urlsplit

import zmq
from zmq.utils.monitor import recv_monitor_message

from mamba.data_worker.frame import DESCRIPTOR_BYTES
from mamba.data_worker.zmtp import LEAVE_S, Payload, ZmtpClient, await_sent, has_ended
from mamba.errors import StreamBroken
from mamba.runtime import read_peer_uid

_LINGER_S = 1.0
_KEEP_ALIVE = {zmq.TCP_KEEPALIVE: 1, zmq.TCP_KEEPALIVE_IDLE: 1, zmq.TCP_KEEPALIVE_INTVL: 1, zmq.TCP_KEEPALIVE_CNT: 3}
LARGEST_MESSAGE_BYTES = 512 * 2**20
LARGEST_PACKET_BYTES = 128 * 2**10
UNIX = "unix://"
_LOOPBACK = "127.0.0.1"

Socket = zmq.Socket[bytes]
Pollable = Socket | int
"""What a poller of ZeroMQ takes."""
Posted = Literal["sent", "gone", "stuck"]


def open_socket(context: zmq.Context[Socket], kind: int) -> tuple[Socket, Socket]:
    """A socket, and the one that tells when its connection is lost.

    Without ZeroMQ's heartbeats: libzmq 4.3.5 ends the process of a socket that has them, when the other side dies while
    its messages find no room (libzmq issue 4364).
    """
    socket = context.socket(kind)
    socket.set(zmq.LINGER, round(_LINGER_S * 1000))
    socket.set(zmq.MAXMSGSIZE, LARGEST_MESSAGE_BYTES)
    socket.set(zmq.IPC_FILTER_UID, os.getuid())  # a second wall behind the 0700 folder
    monitor: Any = socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
    return socket, monitor


class Server(Protocol):
    """The side that is bound: several may come, each has an address."""

    endpoint: str
    pollables: list[Pollable]

    def take(self, timeout_s: float) -> Iterator[tuple[Any, list[bytes]]]:
        """(address, parts) of what came; waits at most `timeout_s` for the first."""

    def post(self, address: Any, parts: list[Payload]) -> Posted:
        """Send; "gone": nobody is there any more, "stuck": who is there has not read for long."""

    def notice_loss(self, address: Any) -> bool:
        """Whether who has this address may have left; over TCP, where anybody may have, only `post` tells."""

    def close(self) -> None:
        """Close after what was sent is delivered, or a second; idempotent."""


class Client(Protocol):
    """The side that connects."""

    socket: sockets.socket
    lost: bool
    closed: bool
    rest_bytes: int

    def send(self, parts: list[Payload]) -> None:
        """Send, unless the other side is gone."""

    def take(self) -> bytes | None:
        """First part of the next message, or None; sets `rest_bytes`, the size of the second one."""

    def read_into(self, buffer: memoryview) -> bool:
        """The second part into `buffer`, of `rest_bytes`; False: there is more to come, call it again."""

    def notice_loss(self) -> None:
        """Look whether the other side is gone."""

    def close(self, *, said: bool) -> None:
        """Close; `said`: something was sent that should arrive. Idempotent."""


def serve(endpoint: str) -> Server:
    """Bind."""
    return _UnixServer(endpoint) if endpoint.startswith(UNIX) else _ZmqServer(endpoint)


def connect(endpoint: str, deadline: float) -> Client:
    """Connect until `deadline` (monotonic).

    Raises:
        StreamBroken: nobody is there, or it is no endpoint.
    """
    try:
        if endpoint.startswith(UNIX):
            return _UnixClient(endpoint, deadline)
        return ZmtpClient(*_split(endpoint), deadline)
    except OSError as error:
        raise _nobody_there(endpoint, error) from None


def _split(endpoint: str) -> tuple[str, int]:
    try:
        address = urlsplit(endpoint)
        host, port = address.hostname, address.port
    except ValueError:
        host = port = None
    if not endpoint.startswith("tcp://") or not host or not port:
        raise StreamBroken(f"stream {endpoint}: not an endpoint", remedy=f"{UNIX}/path or tcp://host:port")
    return host, port


def _nobody_there(endpoint: str, error: OSError) -> StreamBroken:
    return StreamBroken(
        f"stream {endpoint}: nobody there",
        seen=error.strerror or str(error),
        remedy="arm the detector again, and give its present DataEndpoint and DataFormat",
    )


class _Packets:
    """One connected Unix socket; what it does not take at once waits."""

    def __init__(self, socket: sockets.socket) -> None:
        self.socket, self.ended, self._gone = socket, False, False
        socket.setblocking(False)
        self._waiting: deque[list[Payload]] = deque()

    def send(self, parts: list[Payload]) -> bool:
        """False: the other side is gone."""
        if self._waiting or not self._send_now(parts):
            self._waiting.append(parts)
        return not self._gone

    def flush(self) -> bool:
        """Send what waits; whether something still does."""
        while self._waiting and self._send_now(self._waiting[0]):
            self._waiting.popleft()
        return bool(self._waiting)

    def _send_now(self, parts: list[Payload]) -> bool:
        """False: it has to wait; to whom is gone nothing has to be sent."""
        try:
            self.socket.sendmsg(parts)
        except BlockingIOError:
            return False
        except (BrokenPipeError, ConnectionResetError):
            self._gone = True
        return True

    def receive(self, buffer: bytearray) -> int:
        """The next packet into `buffer`: its size; 0: there is none now. Sets `ended` when none will come any more."""
        while not self.ended:
            try:
                size = self.socket.recv_into(buffer)
            except BlockingIOError:
                return 0
            except ConnectionResetError:
                continue  # it left without reading all; what it had sent is still there
            self.ended = not size
            return size
        return 0

    def close(self, patience_s: float) -> None:
        """Close after what waits is sent."""
        await_sent(self.flush, self.socket, patience_s)
        self.socket.close()


class _UnixServer:
    def __init__(self, endpoint: str) -> None:
        self.endpoint, self._path = endpoint, Path(endpoint.removeprefix(UNIX))
        self._path.unlink(missing_ok=True)  # of a process that was killed: each endpoint has one owner
        self._listener = sockets.socket(sockets.AF_UNIX, sockets.SOCK_SEQPACKET | sockets.SOCK_NONBLOCK)
        self._listener.bind(str(self._path))
        self._listener.listen()
        self._epoll = select.epoll()
        self._epoll.register(self._listener, select.EPOLLIN)
        self._there: dict[int, _Packets] = {}
        self._buffer = bytearray(LARGEST_PACKET_BYTES)
        self.pollables: list[Pollable] = [self._epoll.fileno()]

    def take(self, timeout_s: float) -> Iterator[tuple[Any, list[bytes]]]:
        for packets in self._there.values():
            packets.flush()  # one that is gone is found below
        ready = self._epoll.poll(timeout_s)
        while ready:
            fresh = [number for number, _ in ready if number == self._listener.fileno() and self._accept()]
            for packets in [self._there[number] for number, _ in ready if number in self._there]:
                yield from self._read(packets)
            ready = self._epoll.poll(0) if fresh else []  # who has just come in has mostly said something already

    def _read(self, packets: _Packets) -> Iterator[tuple[Any, list[bytes]]]:
        while size := packets.receive(self._buffer):
            head = bytes(self._buffer[:DESCRIPTOR_BYTES])
            rest = [bytes(self._buffer[DESCRIPTOR_BYTES:size])] if size > DESCRIPTOR_BYTES else []
            yield packets, [head, *rest]
        if packets.ended:
            self._drop(packets)

    def _accept(self) -> bool:
        try:
            socket, _ = self._listener.accept()
        except BlockingIOError:
            return False  # it did not wait
        if read_peer_uid(socket) != os.getuid():  # a second wall behind the 0700 folder
            socket.close()
        else:
            self._there[socket.fileno()] = _Packets(socket)
            self._epoll.register(socket, select.EPOLLIN)
        return True

    def _drop(self, packets: _Packets) -> None:
        packets.ended = True
        number = packets.socket.fileno()
        del self._there[number]
        self._epoll.unregister(number)
        packets.socket.close()

    def post(self, address: Any, parts: list[Payload]) -> Posted:
        return "sent" if not address.ended and address.send(parts) else "gone"

    def notice_loss(self, address: Any) -> bool:
        return address is not None and address.ended

    def close(self) -> None:
        if self._epoll.closed:
            return
        for packets in self._there.values():
            packets.close(_LINGER_S)
        self._there = {}
        self._epoll.close()
        self._listener.close()
        self._path.unlink(missing_ok=True)


class _UnixClient:
    def __init__(self, endpoint: str, deadline: float) -> None:
        self.lost = self.closed = False
        self.rest_bytes = 0
        self.socket = sockets.socket(sockets.AF_UNIX, sockets.SOCK_SEQPACKET)
        self.socket.settimeout(max(0.001, deadline - time.monotonic()))
        try:
            self.socket.connect(endpoint.removeprefix(UNIX))
        except OSError:
            self.socket.close()
            raise
        self._packets = _Packets(self.socket)
        self._buffer = bytearray(LARGEST_PACKET_BYTES)

    def send(self, parts: list[Payload]) -> None:
        if not self.lost:
            self._packets.send(parts)  # what the other side had sent before it went is still to be taken

    def take(self) -> bytes | None:
        self._packets.flush()
        size = self._packets.receive(self._buffer)
        self.lost |= self._packets.ended
        self.rest_bytes = max(0, size - DESCRIPTOR_BYTES)
        return bytes(self._buffer[:DESCRIPTOR_BYTES]) if size else None

    def read_into(self, buffer: memoryview) -> bool:
        buffer[:] = memoryview(self._buffer)[DESCRIPTOR_BYTES : DESCRIPTOR_BYTES + self.rest_bytes]
        return True

    def notice_loss(self) -> None:
        self.lost = self.lost or has_ended(self.socket)

    def close(self, *, said: bool) -> None:
        if not self.closed:
            self._packets.close(LEAVE_S if said else 0.0)
            self.closed = True


class _ZmqServer:
    def __init__(self, endpoint: str) -> None:
        self._context: zmq.Context[Socket] = zmq.Context(1)
        self._socket, self._monitor = open_socket(self._context, zmq.ROUTER)
        self._socket.set(zmq.ROUTER_MANDATORY, 1)
        for option, value in _KEEP_ALIVE.items():
            self._socket.set(option, value)
        self._bind(endpoint)
        self.endpoint: str = self._socket.get_string(zmq.LAST_ENDPOINT)
        self.pollables: list[Pollable] = [self._socket, self._monitor]

    def _bind(self, endpoint: str) -> None:
        """On loopback without the pacing that a host may have for the internet (BBR): it takes a fifth of the CPU."""
        host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
        if host != _LOOPBACK:
            self._socket.bind(endpoint)
            return
        listener = sockets.create_server((host, 0 if port == "*" else int(port)))
        listener.setsockopt(sockets.IPPROTO_TCP, sockets.TCP_CONGESTION, b"reno")  # the one that everybody may choose
        listener.setblocking(False)
        self._socket.set(zmq.USE_FD, listener.fileno())
        self._socket.bind(f"tcp://{host}:{listener.getsockname()[1]}")
        listener.detach()  # it is the socket's now

    def take(self, timeout_s: float) -> Iterator[tuple[Any, list[bytes]]]:
        if self._socket.poll(round(timeout_s * 1000)):
            while self._socket.poll(0):
                address, *parts = self._socket.recv_multipart()
                yield address, parts

    def post(self, address: Any, parts: list[Payload]) -> Posted:
        try:
            self._socket.send_multipart([address, *parts], flags=zmq.NOBLOCK, copy=False)
        except zmq.ZMQError as error:
            if error.errno not in (zmq.EHOSTUNREACH, zmq.EAGAIN):
                raise
            # credits keep the queue far below its high-water mark
            return "stuck" if error.errno == zmq.EAGAIN else "gone"
        return "sent"

    def notice_loss(self, address: Any) -> bool:
        left = False
        while self._monitor.poll(0):
            recv_monitor_message(self._monitor)
            left = True
        return left

    def close(self) -> None:
        if not self._socket.closed:
            self._socket.disable_monitor()
            self._monitor.close(0)
            self._socket.close()
            self._context.term()
