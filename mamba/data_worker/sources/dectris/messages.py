"""What a DECTRIS detector says in a series, whichever version of the stream it speaks."""

from __future__ import annotations

from dataclasses import dataclass, field

from mamba.data_worker.sources.decompression import Data, Encoding


class Malformed(ValueError):
    """A message that does not follow the stream's documentation; says what was seen."""


@dataclass(frozen=True, slots=True)
class SeriesStart:
    """The detector was armed.

    Attributes:
        series: number of the series.
        images: how many images were announced; 0 when the message does not say.
        shape: (height, width) in pixels; () when the message does not say.
        dtype: NumPy name of the pixel type; "" when the message does not say.
        channels: names of the thresholds, in order; () for version 1.
    """

    series: int
    images: int = 0
    shape: tuple[int, ...] = ()
    dtype: str = ""
    channels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Packed:
    """One image as it travels.

    Attributes:
        shape: (height, width) in pixels.
        dtype: NumPy name with byte order, such as "<u2".
        encoding: how `data` are packed.
        element_bytes: what was bitshuffled, in bytes.
    """

    shape: tuple[int, ...]
    dtype: str
    encoding: Encoding
    data: Data = field(repr=False)
    element_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Image:
    """One exposure: an image of each channel; version 1 has one channel, ""."""

    series: int
    number: int
    channels: dict[str, Packed]


@dataclass(frozen=True, slots=True)
class SeriesEnd:
    """The detector was disarmed, or has taken all images."""

    series: int


Message = SeriesStart | Image | SeriesEnd
"""Every message of a stream is one of these."""
