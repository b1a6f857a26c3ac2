"""What the virtual camera sees: frames that are exact functions of (seed, shape, frame number); no Tango.

A frame is a piece of a fixed noise field, four spots whose brightness varies smoothly with the frame number, and the
frame number itself in the first four pixels (little-endian uint64 over four uint16), as PCO cameras stamp theirs.
"""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.typing import NDArray

Frame = NDArray[np.uint16]

SPOT_CENTRES = ((0.25, 0.25), (0.25, 0.75), (0.75, 0.25), (0.75, 0.75))
"""Centres of the four spots, as fractions of height and width."""

LARGEST_PREVIEW = 256
"""Longest side of a preview (pixels)."""

SMALLEST_SIDE = 16
"""Smallest height and width of a frame (pixels)."""

_PIECES = 16  # different pieces of the noise field, one per frame in turn
_ROWS_APART = 16
_STAMP = np.dtype("<u8")


class FrameRenderer:
    """Draws frames of one shape (height, width ≥ 16) and seed; drawing costs about one memcpy."""

    def __init__(self, shape: tuple[int, int], *, seed: int = 0) -> None:
        height, width = shape
        self.shape = (height, width)
        rows = height + (_PIECES - 1) * _ROWS_APART
        # Pieces overlap, so that the field needs little more memory than one frame.
        self._noise = np.random.default_rng(seed).integers(92, 109, size=(rows, width), dtype=np.uint16)
        size = max(4, round(48 * min(shape) / 1024))
        self._spot = _draw_spot(size)
        self._corners = [(round(y * height) - size // 2, round(x * width) - size // 2) for y, x in SPOT_CENTRES]

    def draw_into(self, frame: Frame, number: int) -> None:
        """Fill `frame` (of this renderer's shape, C-contiguous) with frame `number` ≥ 0."""
        height, _ = self.shape
        size = len(self._spot)
        first = (number % _PIECES) * _ROWS_APART
        np.copyto(frame, self._noise[first : first + height])
        for index, (y, x) in enumerate(self._corners):
            frame[y : y + size, x : x + size] += (self._spot * find_brightness(number, index)).astype(np.uint16)
        frame.reshape(-1)[:4] = np.array([number], _STAMP).view(np.uint16)


def find_brightness(number: int, spot: int) -> float:
    """Height of a spot above the noise (counts): 2000 to 6000, one slow wave per spot, each of its own period."""
    period = (400.0, 650.0, 900.0, 1300.0)[spot]
    return 4000.0 + 2000.0 * math.sin(2.0 * math.pi * number / period)


def render_frame(number: int, shape: tuple[int, int], *, seed: int = 0) -> Frame:
    """Frame `number` as the camera sends it: uint16, `shape` = (height, width)."""
    frame = np.empty(shape, np.uint16)
    _renderer(shape, seed).draw_into(frame, number)
    return frame


def read_number(frame: Frame) -> int:
    """The frame number stamped into the first four pixels."""
    return int(np.ascontiguousarray(frame.reshape(-1)[:4]).view(_STAMP)[0])


def reduce_preview(frame: Frame, largest: int = LARGEST_PREVIEW) -> Frame:
    """Every n-th pixel, such that neither side is longer than `largest`."""
    step = max(1, math.ceil(max(frame.shape) / largest))
    return np.ascontiguousarray(frame[::step, ::step])


@functools.lru_cache(maxsize=4)
def _renderer(shape: tuple[int, int], seed: int) -> FrameRenderer:
    return FrameRenderer(shape, seed=seed)


def _draw_spot(size: int) -> NDArray[np.float64]:
    axis = np.arange(size) - (size - 1) / 2.0
    wing = np.exp(-0.5 * (axis / (size / 6.0)) ** 2)
    return np.outer(wing, wing)
