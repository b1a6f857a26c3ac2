"""One connection for blocks, with credits: what streams and edges are made of.

`LinkSender` binds a ROUTER and serves one receiver, `LinkReceiver` connects a DEALER. The words of the conversation
are in `mamba.data_worker.frame`. Each object belongs to one thread. ZeroMQ's own heartbeats run in its I/O thread, so
a peer that is stopped or whose host is gone is noticed within `_HEARTBEAT_TIMEOUT_MS`, one that is killed at once.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import zmq
from zmq.utils.monitor import recv_monitor_message

from mamba.data_worker.frame import Block, BlockType, DataFormat, End
from mamba.errors import StreamBroken

_HEARTBEAT_MS = 500
_HEARTBEAT_TIMEOUT_MS = 2000
_LINGER_MS = 1000
_LEAVE_MS = 300
RESUME_WITHIN_S = 15.0
"""How long a sender keeps what a killed receiver had not released; a dead actor is replaced within three seconds."""
_NEVER_MS = 2**31 - 1
_REFUSED = zmq.EVENT_CLOSED | zmq.EVENT_CONNECT_RETRIED
_EVENTS = zmq.EVENT_DISCONNECTED | zmq.EVENT_HANDSHAKE_SUCCEEDED | _REFUSED
LARGEST_MESSAGE_BYTES = 512 * 2**20

Socket = zmq.Socket[bytes]
Payload = bytes | memoryview
GetBuffer = Callable[[Block], memoryview]


def open_socket(context: zmq.Context[Socket], kind: int) -> tuple[Socket, Socket]:
    """A socket with heartbeats, and the one that tells when its connection is lost."""
    socket = context.socket(kind)
    socket.set(zmq.LINGER, _LINGER_MS)
    socket.set(zmq.HEARTBEAT_IVL, _HEARTBEAT_MS)
    socket.set(zmq.HEARTBEAT_TIMEOUT, _HEARTBEAT_TIMEOUT_MS)
    socket.set(zmq.MAXMSGSIZE, LARGEST_MESSAGE_BYTES)
    socket.set(zmq.IPC_FILTER_UID, os.getuid())  # a second wall behind the 0700 folder
    monitor: Any = socket.get_monitor_socket(_EVENTS)
    return socket, monitor


class LinkSender:
    """The sending end of a link.

    Args:
        endpoint: `ipc://…`, or `tcp://127.0.0.1:*` for a free port.
        form: what it carries; its token is what the receiver must show.
        resends: what a receiver had not released when it was killed goes to its successor; without, it is given up.

    Attributes:
        broken: the receiver left, or was lost and nobody came in its place.
    """

    def __init__(self, endpoint: str, form: DataFormat, *, resends: bool = True) -> None:
        self.format, self.broken = form, False
        self._context: zmq.Context[Socket] = zmq.Context(1)
        self.socket, self.monitor = open_socket(self._context, zmq.ROUTER)
        self.socket.set(zmq.ROUTER_MANDATORY, 1)
        self.socket.bind(endpoint)
        self.endpoint: str = self.socket.get_string(zmq.LAST_ENDPOINT)
        self._resends = resends
        self._peer: bytes | None = None
        self._suspect = False
        self._lost_at: float | None = None
        self._end: End | None = None
        self._kept: dict[int, tuple[Block, Payload | None]] = {}  # in the order of sending

    @property
    def connected(self) -> bool:
        """A receiver is there now."""
        return self._peer is not None and not self.broken

    @property
    def expects(self) -> bool:
        """A receiver is there, or was killed and its successor may still come."""
        return not self.broken and (self._peer is not None or self._lost_at is not None)

    @property
    def under_way(self) -> int:
        """Blocks that were sent and not released."""
        return len(self._kept)

    def collect(self, timeout_s: float) -> list[Block]:
        """Wait at most `timeout_s` for news; returns the blocks that were released, or given up with their receiver."""
        released: list[Block] = []
        if self.socket.poll(round(timeout_s * 1000)):
            while self.socket.poll(0):
                self._take(self.socket.recv_multipart(), released)
        self._look_for_loss()
        if self._lost_at is not None:
            self.broken |= time.monotonic() - self._lost_at > RESUME_WITHIN_S
        if self._peer is None and (self.broken or not self._resends):
            released += self.take_back()
        return released

    def _take(self, parts: list[bytes], released: list[Block]) -> None:
        peer, *rest = parts
        try:
            block = Block.unpack(rest[0])
        except (StreamBroken, IndexError):
            return  # a stranger on a TCP port; the receiver itself never sends anything else
        if block.type is BlockType.HELLO:
            if rest[1:] == [self.format.token.encode()] and not self._is_there():
                self._welcome(peer, block)
        elif peer == self._peer:
            self._suspect = False
            if block.type is BlockType.RELEASE and block.block in self._kept:
                released.append(self._kept.pop(block.block)[0])
            elif block.type is BlockType.LEAVE:
                self._peer, self.broken = None, True

    def _welcome(self, peer: bytes, hello: Block) -> None:
        self._peer, self._lost_at, self._suspect = peer, None, False
        self._post([hello.pack(), self.format.dump().encode()])
        for block, payload in self._kept.values():
            self._post([block.pack()] if payload is None else [block.pack(), payload])
        if self._end is not None:
            self._post([self._end.pack()])

    def _is_there(self) -> bool:
        if self._peer is not None:
            self._post([Block(0, 0, 0, 0, type=BlockType.PING).pack()])
        return self._peer is not None

    def _look_for_loss(self) -> None:
        while self.monitor.poll(0):
            self._suspect |= recv_monitor_message(self.monitor)["event"] == zmq.EVENT_DISCONNECTED
        if self._suspect:
            # It may have been a stranger who left: only the receiver's own address tells.
            self._is_there()

    def send(self, block: Block, payload: Payload | None = None) -> None:
        """Send a block; the data behind `payload` must stay as it is until the block is released."""
        self._kept[block.block] = (block, payload)
        self._post([block.pack()] if payload is None else [block.pack(), payload])

    def send_end(self, end: End) -> None:
        """Say that the arm is over; a receiver that comes only now is told when it does."""
        self._end = end
        self._post([end.pack()])

    def take_back(self) -> list[Block]:
        """Give up what the receiver has not released; returns it."""
        blocks = [block for block, _ in self._kept.values()]
        self._kept.clear()
        return blocks

    def _post(self, parts: list[Payload]) -> None:
        if self._peer is None or self.broken:
            return
        try:
            self.socket.send_multipart([self._peer, *parts], flags=zmq.NOBLOCK, copy=False)
        except zmq.ZMQError as error:
            if error.errno not in (zmq.EHOSTUNREACH, zmq.EAGAIN):
                raise
            # EAGAIN: credits keep the queue far below its high-water mark, so its reader is stuck
            self.broken |= error.errno == zmq.EAGAIN
            self._peer, self._lost_at, self._suspect = None, time.monotonic(), False

    def close(self) -> None:
        """Close; what was sent is still delivered if the receiver reads on. Does nothing the second time."""
        if not self.socket.closed:
            self.socket.disable_monitor()
            self.monitor.close(0)
            self.socket.close()
            self._context.term()


class LinkReceiver:
    """The receiving end of a link; made when the connection stands.

    Args:
        endpoint: where the sender is bound.
        token: what it wants to be shown.
        form: what it must carry; None: wait until the sender, which answers in its own time, has told.
        timeout_s: for the connection, and for that answer.

    Raises:
        StreamBroken: no connection or no answer in time.
    """

    def __init__(self, endpoint: str, *, token: str, form: DataFormat | None = None, timeout_s: float = 5.0) -> None:
        self.endpoint, self.ended, self._lost, self._joined = endpoint, False, False, False
        self._context: zmq.Context[Socket] = zmq.Context(1)
        self.socket, self.monitor = open_socket(self._context, zmq.DEALER)
        # A sender that comes back is another arm. Not -1: ZeroMQ would then throw away what was received but not read.
        self.socket.set(zmq.RECONNECT_IVL, _NEVER_MS)
        deadline = time.monotonic() + timeout_s
        try:
            self.socket.connect(endpoint)
            self._await_connection(deadline)
            self.socket.send_multipart([Block(0, 0, 0, 0, type=BlockType.HELLO).pack(), token.encode()])
            self.format = form or self._await_format(deadline)
            self._joined = True  # not before: who got no answer in time comes again, and must not say that it leaves
        except zmq.ZMQError as error:
            self.close()
            raise StreamBroken(f"stream {endpoint}: not an endpoint", seen=str(error)) from None
        except StreamBroken:
            self.close()
            raise

    def _await_connection(self, deadline: float) -> None:
        while self.monitor.poll(max(0, round((deadline - time.monotonic()) * 1000))):
            event = recv_monitor_message(self.monitor)["event"]
            if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                return
            if event & _REFUSED:
                break
        raise StreamBroken(
            f"stream {self.endpoint}: nobody there",
            remedy="arm the detector again, and give its present DataEndpoint and DataFormat",
        )

    def _await_format(self, deadline: float) -> DataFormat:
        while self.socket.poll(max(0, round((deadline - time.monotonic()) * 1000))):
            parts = self.socket.recv_multipart()
            if Block.unpack(parts[0]).type is BlockType.HELLO and len(parts) == 2:
                return DataFormat.load(parts[1])
        raise StreamBroken(
            f"stream {self.endpoint}: no answer",
            remedy="a stream serves one receiver, which must show the token of this arm's format",
        )

    def receive(self, timeout_s: float, get_buffer: GetBuffer | None = None) -> Block | End | None:
        """Wait at most `timeout_s` for the next block or the end; None when nothing came.

        A second message part is received into what `get_buffer(block)` gives.

        Raises:
            StreamBroken: the sender is gone and everything it sent was taken.
        """
        if not self.socket.poll(0):
            self._wait(timeout_s)
            if not self.socket.poll(0):
                if self._lost and not self.ended:
                    raise StreamBroken(
                        f"stream {self.endpoint}: its sender is gone before the end of the arm",
                        remedy="look at the detector's server and its log; what was written is safe",
                    )
                return None
        block = Block.unpack(self.socket.recv())
        if block.type is BlockType.HELLO:
            self._confirm(self.socket.recv())
        elif self.socket.get(zmq.RCVMORE):
            self._fill(block, get_buffer)
        if block.type is BlockType.END:
            self.ended = True
            return End(block.arm, block.first)
        return block if block.type in (BlockType.FRAMES, BlockType.POINTS) else None

    def _wait(self, timeout_s: float) -> None:
        poller = zmq.Poller()
        poller.register(self.socket, zmq.POLLIN)
        if not self._lost:
            poller.register(self.monitor, zmq.POLLIN)
        poller.poll(round(timeout_s * 1000))
        self.notice_loss()

    @property
    def lost(self) -> bool:
        """The connection is gone, as far as was noticed."""
        return self._lost

    def notice_loss(self) -> None:
        """Look whether the connection was lost; costs next to nothing."""
        while not self._lost and self.monitor.poll(0):
            self._lost = recv_monitor_message(self.monitor)["event"] == zmq.EVENT_DISCONNECTED

    def _confirm(self, text: bytes) -> None:
        told = DataFormat.load(text)
        if told != self.format:
            raise StreamBroken(
                f"stream {self.endpoint}: carries something else than announced",
                seen=f"{told.shape} {told.dtype} over {told.transport}",
                remedy="arm the detector again",
            )

    def _fill(self, block: Block, get_buffer: GetBuffer | None) -> None:
        buffer = get_buffer(block) if get_buffer else memoryview(b"")
        size = self.socket.recv_into(buffer) if len(buffer) else len(self.socket.recv())
        if size != len(buffer) or self.socket.get(zmq.RCVMORE):
            raise StreamBroken(
                f"stream {self.endpoint}: block {block.block} does not follow the format",
                seen=f"{size} bytes for {block.count} frames of {self.format.frame_bytes} bytes",
            )

    def release(self, block: Block) -> None:
        """Give the block's slot back to the sender."""
        if not self._lost:
            self.socket.send(replace(block, type=BlockType.RELEASE).pack(), flags=zmq.NOBLOCK)

    def close(self) -> None:
        """Leave for good; does nothing the second time. Who goes without a word was killed, also after the end."""
        if not self.socket.closed:
            self.notice_loss()
            leaving = self._joined and not self._lost
            if leaving:
                self.socket.send(Block(0, 0, 0, 0, type=BlockType.LEAVE).pack(), flags=zmq.NOBLOCK)
            self.socket.disable_monitor()
            self.monitor.close(0)
            self.socket.close(_LEAVE_MS if leaving else 0)
            self._context.term()
