"""The wire format between a detector's server and the data worker's source, and between nodes of a graph.

*Block*: some consecutive frames of one arm that travel together. *Descriptor*: the 40 bytes that stand for a block
(or the end of the arm, or a release); the pixels lie in a ring slot, or follow as the message's second part.
*Slot*: the place of one block in a ring. *Arm*: one preparation of the detector; `arm` numbers grow by one.

Descriptor, version 1, little-endian, no padding:

======  ======  =======  =====================================================================================
offset  type    name     meaning
======  ======  =======  =====================================================================================
0       uint8   version  1
1       uint8   type     `BlockType`
2       uint16  slot     ring slot that holds the pixels
4       uint32  count    how many frames
8       int64   arm      which arm
16      uint64  block    number of the block in its arm, from 0, growing by one
24      uint64  first    number of the first frame; END: how many frame numbers the arm produced in all
32      float64 time     when the block was committed, seconds since 1970; for people, never for ordering
======  ======  =======  =====================================================================================

The conversation: on one host (`unix:///path`) packets of a Unix socket, SOCK_SEQPACKET, the sender bound; between hosts
(`tcp://…`) frames of a ZeroMQ ROUTER (sender, bound) and a DEALER (receiver, connected). In a packet the second part
follows the 40 bytes of the descriptor.

1. receiver → sender: descriptor HELLO, second part the token of the data format. The sender answers HELLO with the
   format as JSON. Nothing is sent before; a second receiver, or one with a wrong token, gets no answer.
2. sender → receiver: descriptor FRAMES or POINTS, for transport `zmq` with the data as second part.
3. receiver → sender: the same descriptor with type RELEASE: all that was made of the block is safe, and the slot may be
   filled again; a second part holds the descriptors of further blocks. These are the credits: a sender never has more
   blocks under way than there are slots.
4. sender → receiver: END. A connection that closes before END is a broken stream.
5. receiver → sender: LEAVE: it will not come back. A receiver that goes without a word was killed: the sender waits
   `RESUME_WITHIN_S` for the next one that shows the token, and sends it everything that was not released again.

PING may come at any time and means nothing.
"""

from __future__ import annotations

import enum
import json
import math
import struct
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mamba.errors import StreamBroken

if TYPE_CHECKING:
    from mamba.data_worker.ring import Ring

VERSION = 1
_LAYOUT = struct.Struct("<BBHIqQQd")
DESCRIPTOR_BYTES = _LAYOUT.size

Transport = Literal["ring", "zmq"]
"""How pixels travel: in shared memory, or inside the message."""


class BlockType(enum.IntEnum):
    """What a descriptor stands for."""

    FRAMES = 1
    POINTS = 2
    END = 3
    HELLO = 4
    RELEASE = 5
    PING = 6
    LEAVE = 7


_TYPES = {int(kind): kind for kind in BlockType}


class Block(NamedTuple):
    """Frames `first` to `first + count - 1` of an arm, in ring slot `slot`."""

    arm: int
    block: int
    first: int
    count: int  # type: ignore[assignment]  # in the place of a tuple's own count()
    slot: int = 0
    type: BlockType = BlockType.FRAMES
    time: float = 0.0

    @property
    def last(self) -> int:
        """Number of the last frame."""
        return self.first + self.count - 1

    def pack(self, kind: BlockType | None = None) -> bytes:
        """The descriptor; `kind`: with another type."""
        return _LAYOUT.pack(
            VERSION, kind or self.type, self.slot, self.count, self.arm, self.block, self.first, self.time
        )

    @classmethod
    def unpack(cls, data: bytes) -> Block:
        """Read a descriptor.

        Raises:
            StreamBroken: not a descriptor of this version.
        """
        if len(data) != DESCRIPTOR_BYTES or data[0] != VERSION or data[1] not in _TYPES:
            raise StreamBroken(
                "frame stream: not a block descriptor",
                seen=f"{len(data)} bytes starting {bytes(data[:4])!r}",
                remedy=f"both sides must speak version {VERSION}",
            )
        _, kind, slot, count, arm, block, first, time = _LAYOUT.unpack(data)
        return cls(arm, block, first, count, slot, _TYPES[kind], time)


class End(NamedTuple):
    """The arm is over: `produced` frame numbers (0 … produced-1) existed, whether sent or not."""

    arm: int
    produced: int

    def pack(self) -> bytes:
        """The descriptor."""
        return Block(self.arm, 0, self.produced, 0, type=BlockType.END).pack()


@dataclass(frozen=True)
class DataFormat:
    """What a stream carries: the JSON in a camera's `DataFormat`.

    Attributes:
        shape: (height, width) of one frame in pixels; for points the shape of one row.
        dtype: NumPy name of the pixel type, such as "uint16".
        transport: how the pixels travel.
        block_frames: most frames in a block.
        slots: how many blocks may be under way.
        ring: name of the shared memory; empty for `zmq`.
        token: what the receiver must show; keeps a port scanner from taking frames.
    """

    shape: tuple[int, ...]
    dtype: str
    transport: Transport = "ring"
    block_frames: int = 1
    slots: int = 8
    ring: str = ""
    token: str = field(default="", repr=False)
    version: int = VERSION

    @cached_property
    def frame_bytes(self) -> int:
        """Size of one frame."""
        return self._pixels * self._dtype.itemsize

    @cached_property
    def _pixels(self) -> int:
        return math.prod(self.shape)

    @cached_property
    def _dtype(self) -> np.dtype[np.generic]:
        return np.dtype(self.dtype)

    @property
    def slot_bytes(self) -> int:
        """Size of one ring slot."""
        return self.block_frames * self.frame_bytes

    def dump(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def load(cls, text: str | bytes) -> DataFormat:
        """Read the JSON.

        Raises:
            StreamBroken: not a data format of this version.
        """
        try:
            raw = json.loads(text)
            form = cls(**{**raw, "shape": tuple(int(n) for n in raw["shape"])})
            bad = form.version != VERSION or form.frame_bytes <= 0 or form.transport not in ("ring", "zmq")
        except (ValueError, TypeError, KeyError) as error:
            raise StreamBroken(
                "frame stream: not a data format",
                seen=f"{text[:80]!r} ({error})",
                remedy="read DataFormat while the camera is armed",
            ) from None
        if bad:
            raise StreamBroken(
                "frame stream: a data format that cannot be served",
                seen=text[:120] if isinstance(text, str) else repr(text[:120]),
                remedy=f"both sides must speak version {VERSION}",
            )
        return form

    def view_slots(self, ring: Ring) -> list[NDArray[np.generic]]:
        """Each slot of a ring as frames, shape (block_frames, *shape), without a copy."""
        return [self.view(ring.slot(number), self.block_frames) for number in range(self.slots)]

    def view(self, buffer: memoryview | bytes, count: int) -> NDArray[np.generic]:
        """The first `count` frames in `buffer`, shape (count, *shape), without a copy."""
        pixels = np.frombuffer(buffer, dtype=self._dtype, count=count * self._pixels)
        return pixels.reshape(count, *self.shape)
