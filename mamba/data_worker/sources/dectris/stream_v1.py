"""Version 1 of the stream: several parts, JSON and binary.

Written from what public programs that read it show (header_detail, image data, end of series): the SIMPLON API
reference was not at hand.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from mamba.data_worker.sources.decompression import Data, Encoding
from mamba.data_worker.sources.dectris.messages import Image, Malformed, Message, Packed, SeriesEnd, SeriesStart

_ENCODING = re.compile(r"(?:bs(8|16|32|64)-)?(lz4)?([<>])")
_TYPES = ("uint8", "uint16", "uint32", "int16", "int32")


def read_parts(parts: Sequence[Data]) -> Message:
    """Read one message.

    Raises:
        Malformed: it does not follow the documentation.
    """
    head = _load(parts[0])
    kind, series = head.get("htype"), _integer(head, "series")
    if kind == "dheader-1.0":
        return _read_start(series, head, parts)
    if kind == "dimage-1.0":
        return _read_image(series, _integer(head, "frame"), parts)
    if kind == "dseries_end-1.0":
        return SeriesEnd(series)
    raise Malformed(f"htype {str(kind)[:40]!r}")


def _load(part: Data) -> dict[str, Any]:
    try:
        raw = json.loads(bytes(part))
    except ValueError as error:
        raise Malformed(f"{bytes(part[:40])!r} is not JSON ({error})") from None
    if not isinstance(raw, dict):
        raise Malformed(f"{type(raw).__name__} instead of an object")
    return raw


def _integer(head: dict[str, Any], key: str) -> int:
    value = head.get(key)
    if type(value) is not int or value < 0:
        raise Malformed(f"{key!r} is {str(value)[:40]!r} in {head.get('htype')!r}")
    return value


def _read_start(series: int, head: dict[str, Any], parts: Sequence[Data]) -> SeriesStart:
    if head.get("header_detail") == "none" or len(parts) < 2:
        return SeriesStart(series)
    config = _load(parts[1])
    width, height = config.get("x_pixels_in_detector"), config.get("y_pixels_in_detector")
    bits = config.get("bit_depth_image")
    try:
        images = int(config.get("nimages", 0)) * int(config.get("ntrigger", 1))
        return SeriesStart(
            series,
            images,
            shape=(int(height), int(width)) if height and width else (),
            dtype=np.dtype(f"uint{int(bits)}").name if bits else "",
        )
    except (TypeError, ValueError) as error:
        raise Malformed(f"detector configuration: {error}") from None


def _read_image(series: int, number: int, parts: Sequence[Data]) -> Image:
    if len(parts) < 3:
        raise Malformed(f"an image in {len(parts)} parts instead of 4")
    about = _load(parts[1])
    if about.get("htype") != "dimage_d-1.0":
        raise Malformed(f"htype {str(about.get('htype'))[:40]!r} instead of 'dimage_d-1.0'")
    encoding = str(about.get("encoding"))
    match = _ENCODING.fullmatch(encoding)
    if match is None or about.get("type") not in _TYPES or (match[1] and not match[2]):
        raise Malformed(f"encoding {encoding[:40]!r} of type {str(about.get('type'))[:40]!r}")
    shape = about.get("shape")
    if not isinstance(shape, list) or len(shape) < 2 or not all(type(n) is int and n > 0 for n in shape):
        raise Malformed(f"shape {str(shape)[:40]}")
    width, height, *depth = shape  # the documentation's order is x, y
    if any(n != 1 for n in depth):
        raise Malformed(f"shape {shape}: more than one image")
    packing: Encoding = "bslz4" if match[1] else "lz4_block" if match[2] else "raw"
    dtype = np.dtype(about["type"]).newbyteorder(match[3])
    return Image(
        series,
        number,
        {"": Packed((height, width), dtype.str, packing, parts[2], int(match[1] or 0) // 8)},
    )
