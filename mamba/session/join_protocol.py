"""What travels on the terminal socket between the host and who joined: a kind, a length, the bytes.

To the host: KEYS, SIZE (rows, columns), WATCH (no data: only looks), TOKEN (of `auth/login`, text, may be empty).
From the host: OUTPUT, NOTE (text for the person), END (its exit status as one byte, then why, as text).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

KEYS, SIZE, WATCH, TOKEN = b"k", b"s", b"w", b"t"
OUTPUT, NOTE, END = b"o", b"n", b"e"
MAX_PART_BYTES = 2**20
"""The longest part; longer data are cut into several."""
_HEAD = struct.Struct("!cI")
_SIZE = struct.Struct("!HH")


def pack(kind: bytes, data: bytes) -> bytes:
    """The bytes of one message."""
    return _HEAD.pack(kind, len(data)) + data


def pack_size(rows: int, columns: int) -> bytes:
    """The SIZE message."""
    return pack(SIZE, _SIZE.pack(min(rows, 0xFFFF), min(columns, 0xFFFF)))


def unpack_size(data: bytes) -> tuple[int, int]:
    """Rows and columns of a SIZE message.

    Raises:
        ValueError: of another length.
    """
    if len(data) != _SIZE.size:
        raise ValueError(f"a window size of {len(data)} bytes")
    rows, columns = _SIZE.unpack(data)
    return rows, columns


class Splitter:
    """Collects received bytes and gives the whole messages among them."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Kind and data of each message that is complete now.

        Raises:
            ValueError: a message longer than `MAX_PART_BYTES`: the other side speaks something else.
        """
        self._buffer += data
        while len(self._buffer) >= _HEAD.size:
            kind, length = _HEAD.unpack_from(self._buffer)
            if length > MAX_PART_BYTES:
                raise ValueError(f"a message of {length} bytes")
            if len(self._buffer) < _HEAD.size + length:
                return
            body = bytes(self._buffer[_HEAD.size : _HEAD.size + length])
            del self._buffer[: _HEAD.size + length]
            yield kind, body
