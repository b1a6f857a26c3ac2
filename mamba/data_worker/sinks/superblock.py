"""Mends the superblock of a file whose SWMR writer died, as HDF5's own program `h5clear` does.

Layout of the superblock, version 3: "HDF5 File Format Specification", section II.A. Its checksum is Jenkins' lookup3.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_VERSION = 3
_FLAGS_AT, _END_AT, _SUM_AT = 11, 28, 44
_MASK = 0xFFFFFFFF


def mend_superblock(path: Path) -> bool:
    """Say that nobody writes the file, and that it ends where it ends; returns False when that was so already.

    Raises:
        OSError: it cannot be read or written.
    """
    file = os.open(path, os.O_RDWR)
    try:
        block = bytearray(os.pread(file, _SUM_AT + 4, 0))
        if len(block) < _SUM_AT + 4 or block[:8] != _SIGNATURE or block[8] != _VERSION:
            return False
        if not block[_FLAGS_AT] and block[_SUM_AT:] == struct.pack("<I", lookup3(bytes(block[:_SUM_AT]))):
            return False  # else somebody was killed in mending it: the flags are gone, and the sum is of before
        block[_FLAGS_AT] = 0
        # space that was given out since it was last written must not be given out again
        struct.pack_into("<Q", block, _END_AT, os.fstat(file).st_size)
        struct.pack_into("<I", block, _SUM_AT, lookup3(bytes(block[:_SUM_AT])))
        os.pwrite(file, block, 0)
    finally:
        os.close(file)
    return True


def lookup3(data: bytes) -> int:
    """Bob Jenkins' hash `hashlittle`, 32 bits, start value 0 (burtleburtle.net/bob/c/lookup3.c, public domain)."""
    a = b = c = (0xDEADBEEF + len(data)) & _MASK
    while len(data) > 12:
        x, y, z = struct.unpack_from("<III", data)
        a, b, c = _mix((a + x) & _MASK, (b + y) & _MASK, (c + z) & _MASK)
        data = data[12:]
    if not data:
        return c
    x, y, z = struct.unpack("<III", data.ljust(12, b"\0"))
    return _finish((a + x) & _MASK, (b + y) & _MASK, (c + z) & _MASK)


def _rotate(value: int, bits: int) -> int:
    return ((value << bits) | (value >> (32 - bits))) & _MASK


def _mix(a: int, b: int, c: int) -> tuple[int, int, int]:
    for bits in (4, 6, 8, 16, 19, 4):
        a = ((a - c) & _MASK) ^ _rotate(c, bits)
        c = (c + b) & _MASK
        a, b, c = b, c, a  # the next round does the same with the names moved on
    return a, b, c


def _finish(a: int, b: int, c: int) -> int:
    for bits in (14, 11, 25, 16, 4, 14, 24):
        c = ((c ^ b) - _rotate(b, bits)) & _MASK
        a, b, c = b, c, a
    return b
