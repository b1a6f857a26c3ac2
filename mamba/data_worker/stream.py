"""Frames from a detector's server to the source of a graph: `FrameSender` there, `FrameReceiver` here.

Transport `ring`: the server renders into shared memory and only descriptors travel, over a Unix socket. Transport
`zmq`: the pixels travel in the message, over TCP on loopback, into a ring of the receiver. In both, a block can only be
reserved when the receiver gave one back (back-pressure): a camera that holds waits, a camera that drops counts.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mamba.data_worker.carriers import UNIX
from mamba.data_worker.frame import Block, DataFormat, End, Transport
from mamba.data_worker.link import LinkReceiver, LinkSender
from mamba.data_worker.ring import LARGEST_SLOT_BYTES, Ring
from mamba.errors import DataError, StreamBroken
from mamba.orphans import sweep_rings

Frames = NDArray[Any]
"""Frames of one block, shape (count, height, width)."""

_LONGEST_POLL_S = 0.25


class FrameSender:
    """The detector's side of one arm; belongs to one thread.

    Args:
        transport: "ring" for a receiver on this host, "zmq" for one over TCP (bound to loopback).
        shape: (height, width) of a frame in pixels.
        dtype: NumPy name of the pixel type.
        arm: number of this arm.
        directory: where the Unix socket lives (0700); without it a temporary folder.
        block_bytes: largest size of a block; at least one frame is in each.
        slots: how many blocks may be under way.

    Raises:
        DataError: no shared memory left.

    Attributes:
        endpoint: for the receiver; a camera shows it as `DataEndpoint`.
        format: JSON for the receiver; a camera shows it as `DataFormat`.
    """

    def __init__(
        self,
        *,
        transport: Transport,
        shape: tuple[int, int],
        dtype: str,
        arm: int,
        directory: Path | None = None,
        block_bytes: int = LARGEST_SLOT_BYTES,
        slots: int = 8,
    ) -> None:
        frame_bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
        block_frames = max(1, block_bytes // frame_bytes)
        self.arm = arm
        # For zmq the slots are the messages' memory: the same pages until the receiver has the block.
        self._ring = Ring.create(slots=slots, slot_bytes=block_frames * frame_bytes)
        self._data_format = DataFormat(
            shape=shape,
            dtype=np.dtype(dtype).name,
            transport=transport,
            block_frames=block_frames,
            slots=slots,
            ring=self._ring.name if transport == "ring" else "",
            token=secrets.token_hex(16),
        )
        self._views = self._data_format.view_slots(self._ring)
        self._own_folder = None
        address = "tcp://127.0.0.1:*"
        if transport == "ring":
            if directory is None:
                directory = self._own_folder = Path(tempfile.mkdtemp(prefix="mamba-"))
            self._socket_file = directory / f"s{os.getpid()}-{secrets.token_hex(3)}"
            address = f"{UNIX}{self._socket_file}"
        self._link = LinkSender(address, self._data_format)
        self.endpoint = self._link.endpoint
        self.format = self._data_format.dump()
        self._free = list(range(slots))
        self._reserved: int | None = None
        self._block = 0

    @property
    def block_frames(self) -> int:
        """Most frames in a block."""
        return self._data_format.block_frames

    @property
    def connected(self) -> bool:
        """A receiver has come and is still there."""
        return self._link.connected

    @property
    def expects(self) -> bool:
        """A receiver is there, or was killed and its successor may still come for what it had not released."""
        return self._link.expects

    @property
    def broken(self) -> bool:
        """A receiver was there and is gone: nothing sent from now on arrives."""
        return self._link.broken

    def reserve(self, timeout_s: float) -> Frames | None:
        """The next block to fill in place, shape (block_frames, height, width).

        None when the receiver gave no slot back within `timeout_s`, has not come yet, or is gone (see `broken`).
        Reserving again without `commit` gives the same block.
        """
        deadline = time.monotonic() + timeout_s
        self._collect(0.0)
        while self._reserved is None and not (self._link.connected and self._free):
            left = deadline - time.monotonic()
            if left <= 0 or self._link.broken:
                return None
            self._collect(min(left, _LONGEST_POLL_S))
        if self._link.broken:
            return None
        if self._reserved is None:
            self._reserved = self._free.pop(0)
        return self._views[self._reserved]

    def _collect(self, timeout_s: float) -> None:
        self._free.extend(block.slot for block in self._link.collect(timeout_s))

    def commit(self, first: int, count: int) -> None:
        """Send the reserved block: frames `first` to `first + count - 1` are in it, from its beginning.

        Raises:
            StreamBroken: nothing was reserved, or `count` does not fit the block.
        """
        if self._reserved is None or not 0 < count <= self.block_frames:
            raise StreamBroken(
                f"stream of arm {self.arm}: cannot commit {count} frames",
                seen=f"a block of {self.block_frames}" if self._reserved is not None else "no reserved block",
                remedy="reserve a block and fill it first",
            )
        slot, self._reserved = self._reserved, None
        block = Block(self.arm, self._block, first, count, slot, time=time.time())
        self._block += 1
        inside = self._data_format.transport == "zmq"
        self._link.send(block, self._ring.slot(slot)[: count * self._data_format.frame_bytes] if inside else None)

    def end(self, produced: int) -> None:
        """Say that the arm is over: frame numbers 0 to `produced - 1` existed, whether sent or not."""
        self._link.send_end(End(self.arm, produced))

    def close(self) -> None:
        """Free socket and memory; a receiver that has the end already keeps its mapped pages. Idempotent."""
        self._link.close()
        self._views = []
        self._ring.close()
        if self._data_format.transport == "ring":
            self._socket_file.unlink(missing_ok=True)
        if self._own_folder is not None:
            shutil.rmtree(self._own_folder, ignore_errors=True)


class FrameReceiver:
    """The source's side of one arm; belongs to one thread.

    Args:
        endpoint: the sender's.
        data_format: the sender's `format`.
        timeout_s: for the connection; that the sender answers is not waited for.

    Raises:
        StreamBroken: nobody is there, or the ring cannot be attached.

    Attributes:
        ring: where the blocks lie: the detector's ring, or for `zmq` one that belongs to this receiver.
        format: the stream's format; its `ring` is the name of `ring`.
    """

    def __init__(self, endpoint: str, data_format: str, *, timeout_s: float = 5.0) -> None:
        wanted = DataFormat.load(data_format)
        self._begin(LinkReceiver(endpoint, token=wanted.token, form=wanted, timeout_s=timeout_s))

    @classmethod
    def connect(cls, endpoint: str, *, token: str, timeout_s: float = 5.0) -> FrameReceiver:
        """Connect to a sender that tells its format itself.

        Raises:
            StreamBroken: see the class.
        """
        receiver = cls.__new__(cls)
        receiver._begin(LinkReceiver(endpoint, token=token, timeout_s=timeout_s))
        return receiver

    def _begin(self, link: LinkReceiver) -> None:
        self._link, form = link, link.format
        self._own = form.transport == "zmq"
        try:
            if self._own:
                self.ring = Ring.create(slots=form.slots, slot_bytes=form.slot_bytes)
            else:
                self.ring = Ring.attach(form.ring, slots=form.slots, slot_bytes=form.slot_bytes)
        except DataError:
            link.close()
            raise
        self.format = replace(form, transport="ring", ring=self.ring.name)
        self._views = self.format.view_slots(self.ring)

    @property
    def link(self) -> LinkReceiver:
        """The connection, for a poller."""
        return self._link

    def receive(self, timeout_s: float) -> Block | End | None:
        """Wait at most `timeout_s` for the next block or the end; None when nothing came.

        Raises:
            StreamBroken: the sender is gone before the end, or sends what does not follow the format.
        """
        block = self._link.receive(timeout_s, self._buffer if self._own else None)
        if isinstance(block, Block) and not (
            0 < block.count <= self.format.block_frames and block.slot < self.format.slots
        ):
            raise StreamBroken(
                f"stream {self._link.endpoint}: block {block.block} does not follow the format",
                seen=f"{block.count} frames in slot {block.slot}",
            )
        return block

    def _buffer(self, block: Block) -> memoryview:
        # Both sides have as many slots, and one is refilled only after its release: the same number is free here.
        size = min(block.count * self.format.frame_bytes, self.ring.slot_bytes)
        return self.ring.slot(block.slot)[:size]

    def frames(self, block: Block) -> Frames:
        """The block's frames in the ring, shape (count, height, width); valid until `release`."""
        return self._views[block.slot][: block.count]

    def release(self, *blocks: Block) -> None:
        """Give the blocks' slots back to the detector."""
        self._link.release(*blocks)

    def __iter__(self) -> Iterator[Block]:
        """Blocks until the end of the arm; release each. `produced` is known afterwards."""
        while True:
            block = self.receive(_LONGEST_POLL_S)
            if isinstance(block, End):
                self.end = block
                return
            if block is not None:
                yield block

    def close(self) -> None:
        """Leave the stream; the sender sees that its receiver is gone. Idempotent."""
        self._link.close()
        self._views = []
        self.ring.close()
        if not self._link.ended:
            sweep_rings()  # of a sender that was killed: nobody else may come by for a long time
