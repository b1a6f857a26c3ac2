"""Version 2 of the stream: one CBOR map a message (RFC 8949), with typed arrays (RFC 8746) and packed byte strings.

Source: DECTRIS' public documentation, https://github.com/dectris/documentation, `stream_v2/README.md` for the messages
and `cbor/dectris-compression-tag.md` for tag 56500.
"""

from __future__ import annotations

from typing import Any

import cbor2
import numpy as np

from mamba.data_worker.sources.decompression import Data
from mamba.data_worker.sources.dectris.messages import Image, Malformed, Message, Packed, SeriesEnd, SeriesStart

_ARRAY, _COMPRESSED = 40, 56500
_TYPED = {
    **{64 + at: f">u{2**at}" for at in range(4)},
    **{68 + at: f"<u{2**at}" for at in range(4)},
    **{72 + at: f">i{2**at}" for at in range(4)},
    **{76 + at: f"<i{2**at}" for at in range(1, 4)},
    **{80 + at: f">f{2 ** (at + 1)}" for at in range(3)},
    **{84 + at: f"<f{2 ** (at + 1)}" for at in range(3)},
}
"""Tag of RFC 8746, section 2, and the NumPy type it stands for; 128-bit floats are no NumPy type."""


def read_map(message: Data) -> Message:
    """Read one message.

    Raises:
        Malformed: it does not follow the documentation.
    """
    try:
        raw = cbor2.loads(message)
    except (cbor2.CBORDecodeError, ValueError, OverflowError, RecursionError, MemoryError) as error:
        raise Malformed(f"{bytes(message[:16])!r}… is not CBOR ({error})") from None
    if not isinstance(raw, dict):
        raise Malformed(f"{type(raw).__name__} instead of a map")
    kind, series = raw.get("type"), _integer(raw, "series_id")
    if kind == "start":
        return _read_start(series, raw)
    if kind == "image":
        return _read_image(series, raw)
    if kind == "end":
        return SeriesEnd(series)
    raise Malformed(f"type {str(kind)[:40]!r}")


def _integer(raw: dict[str, Any], key: str) -> int:
    value = raw.get(key)
    if type(value) is not int or value < 0:
        raise Malformed(f"{key!r} is {str(value)[:40]!r} in a message of type {str(raw.get('type'))[:40]!r}")
    return value


def _read_start(series: int, raw: dict[str, Any]) -> SeriesStart:
    channels = raw.get("channels")
    if not isinstance(channels, list) or not channels or not all(isinstance(name, str) for name in channels):
        raise Malformed(f"channels {str(channels)[:60]}")
    dtype = raw.get("image_dtype")
    if dtype not in ("uint8", "uint16", "uint32"):
        raise Malformed(f"image_dtype {str(dtype)[:40]!r}")
    shape = (_integer(raw, "image_size_y"), _integer(raw, "image_size_x"))
    return SeriesStart(series, _integer(raw, "number_of_images"), shape, dtype, tuple(channels))


def _read_image(series: int, raw: dict[str, Any]) -> Image:
    data = raw.get("data")
    if not isinstance(data, dict) or not data:
        raise Malformed(f"image data {type(data).__name__}")
    number = _integer(raw, "image_id")
    return Image(series, number, {str(name): _read_array(value) for name, value in data.items()})


def _read_array(value: Any) -> Packed:
    shape, typed = _open(value, _ARRAY, "a multi-dimensional array")
    if not isinstance(shape, (list, tuple)) or len(shape) != 2 or not all(type(n) is int and n > 0 for n in shape):
        raise Malformed(f"array of shape {str(shape)[:40]}")
    tag = typed.tag if isinstance(typed, cbor2.CBORTag) else None
    if tag not in _TYPED:
        raise Malformed(f"an array whose elements have tag {tag}")
    dtype, content = np.dtype(_TYPED[tag]).str, typed.value
    if isinstance(content, bytes):
        return Packed(tuple(shape), dtype, "raw", content)
    if not isinstance(content, cbor2.CBORTag) or content.tag != _COMPRESSED:
        raise Malformed(f"elements in {type(content).__name__}")
    algorithm, modifier, packed = _open_three(content.value)
    return Packed(tuple(shape), dtype, algorithm, packed, modifier)


def _open(value: Any, tag: int, what: str) -> tuple[Any, Any]:
    if not isinstance(value, cbor2.CBORTag) or value.tag != tag:
        raise Malformed(f"{type(value).__name__} instead of {what}")
    if not isinstance(value.value, (list, tuple)) or len(value.value) != 2:
        raise Malformed(f"{what} with other than two items")
    return value.value[0], value.value[1]


def _open_three(value: Any) -> tuple[Any, int, bytes]:
    items = value if isinstance(value, (list, tuple)) and len(value) == 3 else (None, None, None)
    algorithm, modifier, packed = items
    if algorithm not in ("bslz4", "lz4") or type(modifier) is not int or not isinstance(packed, bytes):
        raise Malformed(f"compression {str(algorithm)[:40]!r} with {str(modifier)[:40]!r}")
    return algorithm, modifier if algorithm == "bslz4" else 0, packed
