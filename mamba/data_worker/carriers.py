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
import struct
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Protocol

import zmq
from zmq.utils.monitor import recv_monitor_message

from mamba.data_worker.frame import DESCRIPTOR_BYTES
from mamba.errors import StreamBroken

_HEARTBEAT_MS = 500
_HEARTBEAT_TIMEOUT_MS = 2000
_LINGER_S = 1.0
_LEAVE_S = 0.3
_NEVER_MS = 2**31 - 1
_REFUSED = zmq.EVENT_CLOSED | zmq.EVENT_CONNECT_RETRIED
_EVENTS = zmq.EVENT_DISCONNECTED | zmq.EVENT_HANDSHAKE_SUCCEEDED | _REFUSED
LARGEST_MESSAGE_BYTES = 512 * 2**20
LARGEST_PACKET_BYTES = 128 * 2**10
UNIX = "unix://"

Socket = zmq.Socket[bytes]
Payload = bytes | memoryview
Pollable = Socket | int
"""What a poller of ZeroMQ takes."""
Posted = Literal["sent", "gone", "stuck"]


def open_socket(context: zmq.Context[Socket], kind: int) -> tuple[Socket, Socket]:
    """A socket with heartbeats, and the one that tells when its connection is lost."""
    socket = context.socket(kind)
    socket.set(zmq.LINGER, round(_LINGER_S * 1000))
    socket.set(zmq.HEARTBEAT_IVL, _HEARTBEAT_MS)
    socket.set(zmq.HEARTBEAT_TIMEOUT, _HEARTBEAT_TIMEOUT_MS)
    socket.set(zmq.MAXMSGSIZE, LARGEST_MESSAGE_BYTES)
    socket.set(zmq.IPC_FILTER_UID, os.getuid())  # a second wall behind the 0700 folder
    monitor: Any = socket.get_monitor_socket(_EVENTS)
    return socket, monitor


class Server(Protocol):
    """The side that is bound: several may come, each has an address."""

    endpoint: str
    pollables: list[Pollable]

    def take(self, timeout_s: float) -> Iterator[tuple[Any, list[bytes]]]:
        """(address, parts) of what came; waits at most `timeout_s` for the first."""

    def post(self, address: Any, parts: list[Payload]) -> Posted:
        """Send; "gone": nobody is there any more, "stuck": who is there has not read for long."""

    def notice_loss(self) -> bool:
        """Whether somebody left since this was asked last; who, only `post` tells."""

    def close(self) -> None:
        """Close after what was sent is delivered, or a second; idempotent."""


class Client(Protocol):
    """The side that connects."""

    pollables: list[Pollable]
    lost: bool
    closed: bool

    def send(self, parts: list[Payload]) -> None:
        """Send, unless the other side is gone."""

    def take(self) -> bytes | None:
        """First part of the next message, or None."""

    def wait(self, timeout_s: float) -> None:
        """Wait for a message or the other side's end."""

    def read(self) -> bytes | None:
        """The second part of the message; None: it has none."""

    def read_into(self, buffer: memoryview) -> int:
        """The second part, into `buffer`; returns its size, 0 when it has none."""

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
        StreamBroken: nobody is there.
    """
    return _UnixClient(endpoint, deadline) if endpoint.startswith(UNIX) else _ZmqClient(endpoint, deadline)


def _nobody_there(endpoint: str) -> StreamBroken:
    return StreamBroken(
        f"stream {endpoint}: nobody there",
        remedy="arm the detector again, and give its present DataEndpoint and DataFormat",
    )


class _Packets:
    """One connected Unix socket; what it does not take at once waits."""

    def __init__(self, socket: sockets.socket) -> None:
        self.socket, self.ended = socket, False
        socket.setblocking(False)
        self._waiting: deque[list[Payload]] = deque()

    def send(self, parts: list[Payload]) -> bool:
        """False: the other side is gone."""
        self._waiting.append(parts)
        return self.flush()

    def flush(self) -> bool:
        """Send what waits."""
        while self._waiting:
            try:
                self.socket.sendmsg(self._waiting[0])
            except BlockingIOError:
                return True
            except (BrokenPipeError, ConnectionResetError):
                self._waiting.clear()
                return False
            self._waiting.popleft()
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
        deadline = time.monotonic() + patience_s
        while self.flush() and self._waiting and (left := deadline - time.monotonic()) > 0:
            select.select([], [self.socket], [], left)
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
        self._left = False
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
        _, user, _ = struct.unpack("3i", socket.getsockopt(sockets.SOL_SOCKET, sockets.SO_PEERCRED, 12))
        if user != os.getuid():  # a second wall behind the 0700 folder
            socket.close()
        else:
            self._there[socket.fileno()] = _Packets(socket)
            self._epoll.register(socket, select.EPOLLIN)
        return True

    def _drop(self, packets: _Packets) -> None:
        self._left = packets.ended = True
        number = packets.socket.fileno()
        del self._there[number]
        self._epoll.unregister(number)
        packets.socket.close()

    def post(self, address: Any, parts: list[Payload]) -> Posted:
        return "sent" if not address.ended and address.send(parts) else "gone"

    def notice_loss(self) -> bool:
        left, self._left = self._left, False
        return left

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
        socket = sockets.socket(sockets.AF_UNIX, sockets.SOCK_SEQPACKET)
        socket.settimeout(max(0.001, deadline - time.monotonic()))
        try:
            socket.connect(endpoint.removeprefix(UNIX))
        except OSError:
            socket.close()
            raise _nobody_there(endpoint) from None
        self._packets = _Packets(socket)
        self._buffer, self._rest = bytearray(LARGEST_PACKET_BYTES), memoryview(b"")
        self.pollables: list[Pollable] = [socket.fileno()]

    def send(self, parts: list[Payload]) -> None:
        if not self.lost:
            self._packets.send(parts)  # what the other side had sent before it went is still to be taken

    def take(self) -> bytes | None:
        self._packets.flush()
        size = self._packets.receive(self._buffer)
        self.lost |= self._packets.ended
        self._rest = memoryview(self._buffer)[DESCRIPTOR_BYTES:size]
        return bytes(self._buffer[:DESCRIPTOR_BYTES]) if size else None

    def wait(self, timeout_s: float) -> None:
        if not self.lost:
            select.select([self._packets.socket], [], [], timeout_s)

    def read(self) -> bytes | None:
        return bytes(self._rest) or None

    def read_into(self, buffer: memoryview) -> int:
        if self._rest and len(self._rest) == len(buffer):
            buffer[:] = self._rest
        return len(self._rest)

    def notice_loss(self) -> None:
        while not (self.lost or self.closed):
            try:
                self.lost = not self._packets.socket.recv(1, sockets.MSG_PEEK)
            except BlockingIOError:
                return
            except ConnectionResetError:
                continue
            return

    def close(self, *, said: bool) -> None:
        if not self.closed:
            self._packets.close(_LEAVE_S if said else 0.0)
            self.closed = True


class _ZmqServer:
    def __init__(self, endpoint: str) -> None:
        self._context: zmq.Context[Socket] = zmq.Context(1)
        self._socket, self._monitor = open_socket(self._context, zmq.ROUTER)
        self._socket.set(zmq.ROUTER_MANDATORY, 1)
        self._socket.bind(endpoint)
        self.endpoint: str = self._socket.get_string(zmq.LAST_ENDPOINT)
        self.pollables: list[Pollable] = [self._socket, self._monitor]

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

    def notice_loss(self) -> bool:
        left = False
        while self._monitor.poll(0):
            left |= recv_monitor_message(self._monitor)["event"] == zmq.EVENT_DISCONNECTED
        return left

    def close(self) -> None:
        if not self._socket.closed:
            self._socket.disable_monitor()
            self._monitor.close(0)
            self._socket.close()
            self._context.term()


class _ZmqClient:
    def __init__(self, endpoint: str, deadline: float) -> None:
        self.lost = self.closed = False
        self._context: zmq.Context[Socket] = zmq.Context(1)
        self._socket, self._monitor = open_socket(self._context, zmq.DEALER)
        # A sender that comes back is another arm. Not -1: ZeroMQ would then throw away what was received but not read.
        self._socket.set(zmq.RECONNECT_IVL, _NEVER_MS)
        self.pollables: list[Pollable] = [self._socket, self._monitor]
        try:
            self._socket.connect(endpoint)
            self._await_connection(endpoint, deadline)
        except zmq.ZMQError as error:
            self.close(said=False)
            raise StreamBroken(f"stream {endpoint}: not an endpoint", seen=str(error)) from None
        except StreamBroken:
            self.close(said=False)
            raise

    def _await_connection(self, endpoint: str, deadline: float) -> None:
        while self._monitor.poll(max(0, round((deadline - time.monotonic()) * 1000))):
            event = recv_monitor_message(self._monitor)["event"]
            if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                return
            if event & _REFUSED:
                break
        raise _nobody_there(endpoint)

    def send(self, parts: list[Payload]) -> None:
        if not self.lost:
            self._socket.send_multipart(parts, flags=zmq.NOBLOCK)

    def take(self) -> bytes | None:
        return self._socket.recv() if self._socket.poll(0) else None

    def wait(self, timeout_s: float) -> None:
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        if not self.lost:
            poller.register(self._monitor, zmq.POLLIN)
        poller.poll(round(timeout_s * 1000))
        self.notice_loss()

    def read(self) -> bytes | None:
        return self._socket.recv() if self._socket.get(zmq.RCVMORE) else None

    def read_into(self, buffer: memoryview) -> int:
        if not self._socket.get(zmq.RCVMORE):
            return 0
        size = self._socket.recv_into(buffer) if len(buffer) else len(self._socket.recv())
        while self._socket.get(zmq.RCVMORE):
            size += len(self._socket.recv())
        return size

    def notice_loss(self) -> None:
        while not (self.lost or self.closed) and self._monitor.poll(0):
            self.lost = recv_monitor_message(self._monitor)["event"] == zmq.EVENT_DISCONNECTED

    def close(self, *, said: bool) -> None:
        if not self.closed:
            self._socket.disable_monitor()
            self._monitor.close(0)
            self._socket.close(round(_LEAVE_S * 1000) if said else 0)
            self._context.term()
            self.closed = True
