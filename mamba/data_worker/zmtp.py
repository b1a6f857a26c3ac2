"""The receiving end of a ZeroMQ connection, whose messages' second part goes straight to where it is wanted.

libzmq hands a message over in memory of its own: a block of frames had to be copied from there into the ring. Here a
DEALER of our own speaks ZMTP 3.0 (https://rfc.zeromq.org/spec/23/, mechanism NULL) over a TCP socket, and receives into
the caller's buffer. The other side is any ROUTER of libzmq. It never blocks after it has connected, and never reads
further than it was asked to, so that its socket can be polled.
"""

from __future__ import annotations

import select
import socket as sockets
import struct
import time
from collections.abc import Callable, Generator, Sequence

from mamba.errors import StreamBroken

_SIGNATURE = b"\xff" + bytes(8) + b"\x7f"
_VERSION = b"\x03\x00"
_MECHANISM = b"NULL".ljust(20, b"\0")
_GREETING = _SIGNATURE + _VERSION + _MECHANISM + bytes(32)
_MORE, _LONG, _COMMAND = 1, 2, 4
_READY = b"\x05READY"
LEAVE_S = 1.0
"""A client that leaves waits so long for its last word to be taken."""
_GULP_BYTES = 2**20
_LARGEST_SMALL_BYTES = 4096
"""Of a command, and of a message's first part."""

Payload = bytes | memoryview
_Parsing = Generator[bytes | bool | None, None, None]


def _pack_frame(data: Payload, flags: int = 0) -> bytes:
    size = len(data)
    return (bytes((flags, size)) if size < 256 else struct.pack(">BQ", flags | _LONG, size)) + data


def _pack_property(name: bytes, value: bytes) -> bytes:
    return bytes((len(name),)) + name + struct.pack(">I", len(value)) + value


def has_ended(socket: sockets.socket) -> bool:
    """The other side is gone, and all that it sent was received."""
    while True:
        try:
            return not socket.recv(1, sockets.MSG_PEEK)
        except BlockingIOError:
            return False
        except ConnectionResetError:
            continue  # told once; what it had sent is still there


def await_readable(socket: sockets.socket, timeout_s: float) -> None:
    """Wait until something comes or the other side is gone."""
    _await_event(socket, select.POLLIN, timeout_s)


def _await_event(socket: sockets.socket, event: int, timeout_s: float) -> None:
    poller = select.poll()  # select() takes no descriptor above 1023
    poller.register(socket, event)
    poller.poll(max(0.0, timeout_s) * 1000)


def await_sent(flush: Callable[[], bool], socket: sockets.socket, patience_s: float) -> None:
    """Wait until nothing waits any more; `flush` sends, and says whether something still does."""
    deadline = time.monotonic() + patience_s
    while flush() and (left := deadline - time.monotonic()) > 0:
        _await_event(socket, select.POLLOUT, left)


class ZmtpClient:
    """A DEALER over TCP; belongs to one thread.

    Args:
        host, port: where a ROUTER is bound.
        deadline: monotonic, for the connection and both sides' greetings.

    Raises:
        OSError: nobody is there, or nobody greets in time.
        StreamBroken: what is there is not a ZeroMQ socket, or one that wants encryption.

    Attributes:
        lost: the other side is gone, and what it had sent was taken.
        closed: `close` was called.
        rest_bytes: size of the second part of the message that `take` gave; 0: it has none.
    """

    def __init__(self, host: str, port: int, deadline: float) -> None:
        self.lost = self.closed = False
        self.rest_bytes = 0
        self._outgoing, self._wakes_at = bytearray(), 1
        self._room = memoryview(b"")
        self._parser = self._parse()
        self.socket = sockets.create_connection((host, port), max(0.001, deadline - time.monotonic()))
        try:
            self.socket.setsockopt(sockets.IPPROTO_TCP, sockets.TCP_NODELAY, 1)
            self._greet(f"tcp://{host}:{port}", deadline)
        except (OSError, StreamBroken):
            self.socket.close()
            raise
        self.socket.setblocking(False)

    def _greet(self, name: str, deadline: float) -> None:
        properties = _pack_property(b"Socket-Type", b"DEALER") + _pack_property(b"Identity", b"")
        self.socket.sendall(_GREETING + _pack_frame(_READY + properties, _COMMAND))
        theirs = self._await_bytes(len(_GREETING), deadline)
        if theirs[:1] + theirs[9:10] != b"\xff\x7f" or theirs[12:32] != _MECHANISM:
            raise StreamBroken(f"stream {name}: not a ZeroMQ socket without encryption", seen=repr(theirs[:32]))
        flags, size = self._await_bytes(2, deadline)
        answer = self._await_bytes(size, deadline)
        if flags != _COMMAND or not answer.startswith(_READY):
            raise StreamBroken(f"stream {name}: the ZeroMQ socket there refuses", seen=repr(answer[:80]))

    def _await_bytes(self, count: int, deadline: float) -> bytes:
        data = b""
        while len(data) < count:
            self.socket.settimeout(max(0.001, deadline - time.monotonic()))
            fresh = self.socket.recv(count - len(data))
            if not fresh:
                raise ConnectionResetError("closed before it greeted")
            data += fresh
        return data

    def send(self, parts: Sequence[Payload]) -> None:
        """Send a small message, unless the other side is gone."""
        if not self.lost:
            for number, part in enumerate(parts, 1):
                self._outgoing += _pack_frame(part, _MORE if number < len(parts) else 0)
            self._flush()

    def _flush(self) -> bool:
        while self._outgoing:
            try:
                del self._outgoing[: self.socket.send(self._outgoing)]
            except BlockingIOError:
                return True
            except (BrokenPipeError, ConnectionResetError):
                self._outgoing.clear()  # what the other side had sent before it went is still to be taken
        return False

    def take(self) -> bytes | None:
        """First part of the next message, or None; then `read_into` until it says that it has the rest.

        Raises:
            StreamBroken: what came follows no form.
        """
        self._flush()
        head = next(self._parser)
        return head if isinstance(head, bytes) else None

    def read_into(self, buffer: memoryview) -> bool:
        """Go on with the second part of the message, into `buffer` of `rest_bytes`, the same each time; True: done."""
        self._room = buffer
        return next(self._parser) is True

    def _parse(self) -> _Parsing:
        """Yields None when nothing more is there now, the first part of a message, True after its second."""
        try:
            while True:
                flags, size = yield from self._read_header()
                if flags & ~_MORE & ~_COMMAND or size > _LARGEST_SMALL_BYTES:
                    raise self._explain(flags, size)
                head = yield from self._read_bytes(size)
                if flags & _COMMAND:
                    self._obey(head)
                    continue
                self.rest_bytes = 0
                if flags & _MORE:
                    flags, self.rest_bytes = yield from self._read_header()
                    if flags:
                        raise self._explain(flags, self.rest_bytes)
                yield head
                if self.rest_bytes:
                    yield from self._fill(self._room)
                    yield True
        except (EOFError, ConnectionResetError):
            self.lost = True
        while True:
            yield None

    def _explain(self, flags: int, size: int) -> StreamBroken:
        return StreamBroken("frame stream: not a message of ours", seen=f"a ZeroMQ frame {flags:#x} of {size} bytes")

    def _obey(self, command: bytes) -> None:
        """A heartbeat is answered; no other command means anything here."""
        if command.startswith(b"\x04PING"):
            self._outgoing += _pack_frame(b"\x04PONG" + command[7:], _COMMAND)
            self._flush()

    def _read_header(self) -> Generator[None, None, tuple[int, int]]:
        flags, size = yield from self._read_bytes(2)
        if flags & _LONG:
            rest = yield from self._read_bytes(7)
            size = int.from_bytes(bytes((size,)) + rest)
        return flags & ~_LONG, size

    def _read_bytes(self, count: int) -> Generator[None, None, bytes]:
        data = bytearray(count)
        yield from self._fill(memoryview(data))
        return bytes(data)

    def _fill(self, buffer: memoryview) -> Generator[None, None, None]:
        while buffer:
            try:
                size = self.socket.recv_into(buffer)
            except BlockingIOError:
                self._wake_at(min(len(buffer), _GULP_BYTES))
                yield None
                continue
            if not size:
                raise EOFError
            buffer = buffer[size:]
        self._wake_at(1)

    def _wake_at(self, size: int) -> None:
        """A poll of the socket returns with so many bytes: not for every piece of a block."""
        if size != self._wakes_at:
            self.socket.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVLOWAT, size)
            self._wakes_at = size

    def notice_loss(self) -> None:
        """Look whether the other side is gone."""
        self.lost = self.lost or has_ended(self.socket)

    def close(self, *, said: bool) -> None:
        """Close; `said`: something was sent that should arrive. Idempotent."""
        if self.closed:
            return
        self.closed = True
        if said and not self.lost:
            self._say_goodbye()
        self.socket.close()

    def _say_goodbye(self) -> None:
        """Take what still comes until the other side has closed: with something unread the connection is reset."""
        deadline = time.monotonic() + LEAVE_S
        await_sent(self._flush, self.socket, LEAVE_S)
        try:
            self._wake_at(1)
            self.socket.shutdown(sockets.SHUT_WR)
            while (left := deadline - time.monotonic()) > 0:
                await_readable(self.socket, left)
                if not self.socket.recv(_GULP_BYTES):
                    return
        except OSError:
            return  # nothing came in time, or it is gone already
