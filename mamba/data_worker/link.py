"""One connection for blocks, with credits: what streams and edges are made of.

`LinkSender` is bound and serves one receiver, `LinkReceiver` connects. The words of the conversation are in
`mamba.data_worker.frame`, what carries them in `mamba.data_worker.carriers`. Each object belongs to one thread. A peer
that is killed is noticed at once, a host that is gone within four seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from mamba.data_worker.carriers import Pollable, connect, serve
from mamba.data_worker.frame import DESCRIPTOR_BYTES, Block, BlockType, DataFormat, End
from mamba.data_worker.pace import Pace
from mamba.data_worker.zmtp import Payload, await_readable
from mamba.errors import StreamBroken

RESUME_WITHIN_S = 15.0
"""How long a sender keeps what a killed receiver had not released; a dead actor is replaced within three seconds."""

_DATA = (BlockType.FRAMES, BlockType.POINTS)
_LARGEST_FORMAT_BYTES = 64 * 2**10
_COLLECT_EVERY_S = 0.0005

GetBuffer = Callable[[Block], memoryview]


class LinkSender:
    """The sending end of a link.

    Args:
        endpoint: `unix:///…`, or `tcp://127.0.0.1:*` for a free port.
        form: what it carries; its token is what the receiver must show.
        resends: what a receiver had not released when it was killed goes to its successor; without, it is given up.

    Attributes:
        broken: the receiver left, or was lost and nobody came in its place.
    """

    def __init__(self, endpoint: str, form: DataFormat, *, resends: bool = True) -> None:
        self.format, self.broken = form, False
        self._server = serve(endpoint)
        self.endpoint = self._server.endpoint
        self._resends = resends
        self._peer: Any = None  # its address
        self._lost: Any = None  # that of one that is gone; its last words may still come
        self._suspect = False
        self._lost_at: float | None = None
        self._end: End | None = None
        self._collected, self._sent = 0.0, False  # when it was; whether something was sent since it was asked to
        self._kept: dict[int, tuple[Block, Payload | None]] = {}  # in the order of sending

    @property
    def pollables(self) -> list[Pollable]:
        """For a poller."""
        return self._server.pollables

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
        """Wait at most `timeout_s` for news; returns the blocks that were released, or given up with their receiver.

        Who sends one block after another, and does not wait, looks now and then only.
        """
        now, sent, self._sent = time.monotonic(), self._sent, False
        if sent and not timeout_s and now - self._collected < _COLLECT_EVERY_S:
            return []
        self._collected = now
        released: list[Block] = []
        for peer, parts in self._server.take(timeout_s):
            self._take(peer, parts, released)
        self._look_for_loss()
        if self._lost_at is not None:
            self.broken |= now - self._lost_at > RESUME_WITHIN_S
        if self._peer is None and (self.broken or not self._resends):
            released += self.take_back()
        return released

    def _take(self, peer: Any, parts: list[bytes], released: list[Block]) -> None:
        try:
            block = Block.unpack(parts[0])
            if block.type is BlockType.HELLO:
                if parts[1:] == [self.format.token.encode()] and not self._is_there():
                    self._welcome(peer, block)
            elif peer == (self._lost if self._peer is None else self._peer):
                self._suspect = False
                if block.type is BlockType.RELEASE:
                    released += self._find_released([block, *_unpack_all(b"".join(parts[1:]))])
                elif block.type is BlockType.LEAVE:
                    self._peer, self.broken = None, True
        except (StreamBroken, IndexError):
            return  # a stranger on a TCP port; the receiver itself never sends anything else

    def _find_released(self, told: list[Block]) -> list[Block]:
        return [self._kept.pop(block.block)[0] for block in told if block.block in self._kept]

    def _welcome(self, peer: Any, hello: Block) -> None:
        self._peer, self._lost, self._lost_at, self._suspect = peer, None, None, False
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
        self._suspect |= self._server.notice_loss(self._peer)
        if self._suspect:
            self._is_there()

    def send(self, block: Block, payload: Payload | None = None) -> None:
        """Send a block; the data behind `payload` must stay as it is until the block is released."""
        self._kept[block.block], self._sent = (block, payload), True
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
        posted = self._server.post(self._peer, parts)
        if posted != "sent":
            self.broken |= posted == "stuck"
            self._lost, self._peer, self._lost_at, self._suspect = self._peer, None, time.monotonic(), False

    def close(self) -> None:
        """Close; what was sent is still delivered if the receiver reads on. Does nothing the second time."""
        self._server.close()


def _unpack_all(data: bytes) -> list[Block]:
    return [Block.unpack(data[at : at + DESCRIPTOR_BYTES]) for at in range(0, len(data), DESCRIPTOR_BYTES)]


class LinkReceiver:
    """The receiving end of a link; made when the connection stands.

    Args:
        endpoint: where the sender is bound.
        token: what it wants to be shown.
        form: what it must carry; None: wait until the sender, which answers in its own time, has told.
        timeout_s: for the connection, and for that answer.

    Raises:
        StreamBroken: no connection or no answer in time.

    Attributes:
        pace: how to wait, for who calls `receive` without time.
    """

    def __init__(self, endpoint: str, *, token: str, form: DataFormat | None = None, timeout_s: float = 5.0) -> None:
        self.endpoint, self.ended, self._joined = endpoint, False, False
        self._partial: Block | None = None
        self._room = memoryview(b"")
        deadline = time.monotonic() + timeout_s
        self._client = connect(endpoint, deadline)
        self._client.send([Block(0, 0, 0, 0, type=BlockType.HELLO).pack(), token.encode()])
        try:
            self.format = form or self._await_format(deadline)
            self.pace = Pace(self.format.slots)
            self._joined = True  # not before: who got no answer in time comes again, and must not say that it leaves
        except StreamBroken:
            self.close()
            raise

    @property
    def pollables(self) -> list[Pollable]:
        """For a poller."""
        return [self._client.socket.fileno()]

    def _await_format(self, deadline: float) -> DataFormat:
        while (left := deadline - time.monotonic()) > 0 and not self._client.lost:
            block = self._take(None)
            if block is None:
                await_readable(self._client.socket, left)
            elif block.type is BlockType.HELLO:
                return DataFormat.load(bytes(self._room))
        raise StreamBroken(
            f"stream {self.endpoint}: no answer",
            remedy="a stream serves one receiver, which must show the token of this arm's format",
        )

    def receive(self, timeout_s: float, get_buffer: GetBuffer | None = None) -> Block | End | None:
        """Wait at most `timeout_s` for the next block or the end; None when nothing came, or not all of it.

        A second message part is received into what `get_buffer(block)` gives, which must stay until all of it is here:
        that may take several calls.

        Raises:
            StreamBroken: the sender is gone and everything it sent was taken.
        """
        block, deadline = self._take(get_buffer), time.monotonic() + timeout_s
        while block is None and (left := deadline - time.monotonic()) > 0 and not self._client.lost:
            if not self.pace.rest():
                await_readable(self._client.socket, left)
            block = self._take(get_buffer)
        if block is None:
            if self._client.lost and not self.ended:
                raise StreamBroken(
                    f"stream {self.endpoint}: its sender is gone before the end of the arm",
                    remedy="look at the detector's server and its log; what was written is safe",
                )
            return None
        if block.type is BlockType.HELLO:
            self._confirm(bytes(self._room))
        if block.type is BlockType.END:
            self.ended = True
            return End(block.arm, block.first)
        if block.type not in _DATA:
            return None
        self.pace.note()
        return block

    def _take(self, get_buffer: GetBuffer | None) -> Block | None:
        """The next message when all of it is here; its second part is in `_room`."""
        if self._partial is None:
            head = self._client.take()
            if head is None:
                return None
            self._partial = Block.unpack(head)
            self._room = self._find_room(self._partial, get_buffer)
        if self._client.rest_bytes and not self._client.read_into(self._room):
            return None
        block, self._partial = self._partial, None
        return block

    def _find_room(self, block: Block, get_buffer: GetBuffer | None) -> memoryview:
        size = self._client.rest_bytes
        if block.type not in _DATA:
            if size > _LARGEST_FORMAT_BYTES:
                raise StreamBroken(f"stream {self.endpoint}: not a data format", seen=f"{size} bytes")
            return memoryview(bytearray(size))
        room = get_buffer(block) if get_buffer else memoryview(b"")
        if size != len(room):
            raise StreamBroken(
                f"stream {self.endpoint}: block {block.block} does not follow the format",
                seen=f"{size} bytes for {block.count} frames of {self.format.frame_bytes} bytes",
            )
        return room

    @property
    def lost(self) -> bool:
        """The connection is gone, as far as was noticed."""
        return self._client.lost

    def notice_loss(self) -> None:
        """Look whether the connection was lost; costs next to nothing."""
        self._client.notice_loss()

    def _confirm(self, text: bytes) -> None:
        told = DataFormat.load(text)
        if told != self.format:
            raise StreamBroken(
                f"stream {self.endpoint}: carries something else than announced",
                seen=f"{told.shape} {told.dtype} over {told.transport}",
                remedy="arm the detector again",
            )

    def release(self, *blocks: Block) -> None:
        """Give the blocks' slots back to the sender."""
        if blocks:
            first, *others = [block.pack(BlockType.RELEASE) for block in blocks]
            self._client.send([first, b"".join(others)] if others else [first])

    def close(self) -> None:
        """Leave for good; does nothing the second time. Who goes without a word was killed, also after the end."""
        if not self._client.closed:
            self._client.notice_loss()
            leaves = self._joined and not self._client.lost
            if leaves:
                self._client.send([Block(0, 0, 0, 0, type=BlockType.LEAVE).pack()])
            self._client.close(said=leaves)
