"""A DECTRIS detector that speaks both versions of the stream; for tests, and to try a graph without a detector.

`python -m tests.support.dectris_simulator --version 2 --frames 1000 --size 1024 1024` prints where it sends, waits for
somebody who pulls, sends one series and ends. The faults a real stream can have are options.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import struct
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import bitshuffle
import cbor2
import lz4.block
import numpy as np
import zmq
from numpy.typing import NDArray

_TAGS = {"uint8": 64, "uint16": 69, "uint32": 70}
_FRAMES_APART_NS = 1_000_000


@dataclass(frozen=True)
class Series:
    """One series and its faults.

    Attributes:
        size: (height, width) in pixels.
        encoding: "raw", "bslz4" or "lz4".
        channels: thresholds of version 2; the images of channel c are those of number + 1000 c.
        skip: image numbers that are lost on the way.
        announced: number of images in the start message; -1: `frames`.
        header_detail: of version 1: "none", "basic" or "all".
    """

    version: int = 2
    number: int = 1
    frames: int = 10
    size: tuple[int, int] = (32, 48)
    dtype: str = "uint16"
    encoding: str = "bslz4"
    channels: tuple[str, ...] = ("threshold_1",)
    skip: tuple[int, ...] = ()
    announced: int = -1
    header_detail: str = "basic"
    ends: bool = True


def make_image(number: int, size: tuple[int, int], dtype: str = "uint16") -> NDArray[Any]:
    """The image of that number: pixel i holds (7 i + 13 number) modulo 251, its first pixel the number modulo 256."""
    pixels = (np.arange(size[0] * size[1], dtype=np.uint64) * 7 + 13 * number) % 251
    pixels[0] = number % 256
    return pixels.astype(dtype).reshape(size)


def pack(image: NDArray[Any], encoding: str) -> bytes:
    """Bytes as HDF5's filters frame them, or raw."""
    if encoding == "raw":
        return image.tobytes()
    head = struct.pack(">QI", image.nbytes, 8192)
    if encoding == "bslz4":
        return head + bitshuffle.compress_lz4(image, 8192 // image.itemsize).tobytes()
    blocks, data = [], image.tobytes()
    for at in range(0, len(data), 8192):
        plain = data[at : at + 8192]
        packed = lz4.block.compress(plain, store_size=False)
        block = packed if len(packed) < len(plain) else plain
        blocks.append(struct.pack(">I", len(block)) + block)
    return head + b"".join(blocks)


def make_start(series: Series) -> list[bytes]:
    """The message sent when the detector is armed."""
    height, width = series.size
    images = series.frames if series.announced < 0 else series.announced
    if series.version == 2:
        return [_start_v2(series, images)]
    config = {
        "x_pixels_in_detector": width,
        "y_pixels_in_detector": height,
        "bit_depth_image": np.dtype(series.dtype).itemsize * 8,
        "nimages": images,
        "ntrigger": 1,
        "count_time": 0.001,
        "photon_energy": 8979.0,
    }
    parts: list[Any] = [{"htype": "dheader-1.0", "series": series.number, "header_detail": series.header_detail}]
    if series.header_detail != "none":
        parts.append(config)
    if series.header_detail == "all":
        flat = np.ones(series.size, dtype="<f4").tobytes()
        for htype in ("dflatfield-1.0", "dpixelmask-1.0", "dcountrate_table-1.0"):
            parts += [{"htype": htype, "shape": [width, height], "type": "float32"}, flat]
    return [part if isinstance(part, bytes) else json.dumps(part).encode() for part in parts]


def _start_v2(series: Series, images: int) -> bytes:
    return cbor2.dumps(
        {
            "type": "start",
            "arm_date": cbor2.CBORTag(0, "2026-11-24T12:00:00Z"),
            "channels": list(series.channels),
            "count_time": 0.001,
            "image_dtype": series.dtype,
            "image_size_x": series.size[1],
            "image_size_y": series.size[0],
            "number_of_images": images,
            "series_id": series.number,
            "series_unique_id": f"simulated-{series.number}",
            "threshold_energy": {name: 4000.0 + 1000 * at for at, name in enumerate(series.channels)},
            "user_data": "",
        }
    )


def make_image_message(series: Series, number: int) -> list[bytes]:
    """The message of one exposure."""
    if series.version == 2:
        return [_image_v2(series, number)]
    image = make_image(number, series.size, series.dtype)
    bits = f"bs{image.itemsize * 8}-lz4<"
    encoding = {"raw": "<", "bslz4": bits, "lz4": "lz4<"}[series.encoding]
    # without bitshuffle, version 1 sends one LZ4 block without a head
    data = lz4.block.compress(image.tobytes(), store_size=False) if encoding == "lz4<" else pack(image, series.encoding)
    digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
    start = number * _FRAMES_APART_NS
    parts: list[Any] = [
        {"htype": "dimage-1.0", "series": series.number, "frame": number, "hash": digest},
        {
            "htype": "dimage_d-1.0",
            "shape": [series.size[1], series.size[0]],
            "type": series.dtype,
            "encoding": encoding,
            "size": len(data),
        },
        data,
        {"htype": "dconfig-1.0", "start_time": start, "stop_time": start + 900_000, "real_time": 900_000},
    ]
    return [part if isinstance(part, bytes) else json.dumps(part).encode() for part in parts]


def _image_v2(series: Series, number: int) -> bytes:
    data = {}
    for at, name in enumerate(series.channels):
        image = make_image(number + 1000 * at, series.size, series.dtype)
        content: Any = pack(image, series.encoding)
        if series.encoding != "raw":
            content = cbor2.CBORTag(56500, [series.encoding, image.itemsize * (series.encoding == "bslz4"), content])
        data[name] = cbor2.CBORTag(40, [list(series.size), cbor2.CBORTag(_TAGS[series.dtype], content)])
    clock_hz, start = 50_000_000, number * _FRAMES_APART_NS // 20
    return cbor2.dumps(
        {
            "type": "image",
            "series_id": series.number,
            "series_unique_id": f"simulated-{series.number}",
            "image_id": number,
            "series_date": cbor2.CBORTag(0, "2026-11-24T12:00:01Z"),
            "start_time": [start, clock_hz],
            "stop_time": [start + 45_000, clock_hz],
            "real_time": [45_000, clock_hz],
            "user_data": None,
            "data": data,
        }
    )


def make_end(series: Series) -> list[bytes]:
    """The message sent at the end of the series."""
    if series.version == 2:
        message = {"type": "end", "series_id": series.number, "series_unique_id": f"simulated-{series.number}"}
        return [cbor2.dumps(message)]
    return [json.dumps({"htype": "dseries_end-1.0", "series": series.number}).encode()]


def make_series(series: Series) -> Iterator[list[bytes]]:
    """All messages of a series, in order."""
    yield make_start(series)
    for number in range(series.frames):
        if number not in series.skip:
            yield make_image_message(series, number)
    if series.ends:
        yield make_end(series)


class Detector:
    """A PUSH socket on a free port of this machine; a context manager."""

    def __init__(self, endpoint: str = "tcp://127.0.0.1:*") -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(1)
        self.socket = self._context.socket(zmq.PUSH)
        self.socket.set(zmq.SNDHWM, 10_000)
        self.socket.set(zmq.LINGER, 5000)
        self.socket.set(zmq.SNDTIMEO, 120_000)  # who pulls may have to start Ray first
        self.socket.bind(endpoint)
        self.endpoint: str = self.socket.get_string(zmq.LAST_ENDPOINT)

    def send(self, *messages: list[bytes]) -> None:
        """Push messages; waits until somebody pulls."""
        for parts in messages:
            self.socket.send_multipart(parts)

    def __enter__(self) -> Detector:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()
        self._context.term()


def main() -> None:
    """Send one series."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--endpoint", default="tcp://127.0.0.1:*")
    parser.add_argument("--version", type=int, choices=(1, 2), default=2)
    parser.add_argument("--series", type=int, default=1)
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--size", type=int, nargs=2, default=(512, 512), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--dtype", choices=sorted(_TAGS), default="uint16")
    parser.add_argument("--encoding", choices=("raw", "bslz4", "lz4"), default="bslz4")
    parser.add_argument("--channels", nargs="+", default=["threshold_1"])
    parser.add_argument("--rate", type=float, default=0.0, help="images a second; 0: as fast as they are taken")
    parser.add_argument("--skip", type=int, nargs="*", default=[], help="images lost on the way")
    parser.add_argument("--poisson", action="store_true", help="images of noise, sixteen in turn, packed before")
    told = parser.parse_args()
    series = Series(
        version=told.version,
        number=told.series,
        frames=told.frames,
        size=(told.size[0], told.size[1]),
        dtype=told.dtype,
        encoding=told.encoding,
        channels=tuple(told.channels),
        skip=tuple(told.skip),
    )
    with Detector(told.endpoint) as detector:
        print(json.dumps({"endpoint": detector.endpoint}), flush=True)
        began = 0.0
        for at, message in enumerate(_make_noisy(series) if told.poisson else make_series(series)):
            began = began or time.monotonic() if at else 0.0  # the series begins when its start message was taken
            if at and told.rate and (wait := began + at / told.rate - time.monotonic()) > 0:
                time.sleep(wait)  # the exposure
            detector.send(message)
    print(json.dumps({"sent": series.frames - len(series.skip)}), flush=True)
    sys.stdout.flush()


def _make_noisy(series: Series) -> Iterator[list[bytes]]:
    """As `make_series`, for measuring: an image costs the sender nothing. Version 2, one channel."""
    noise = np.random.default_rng(0)
    assert series.version == 2
    packed = [pack(noise.poisson(3, series.size).astype(series.dtype), series.encoding) for _ in range(16)]
    yield make_start(series)
    size, tag = np.dtype(series.dtype).itemsize, _TAGS[series.dtype]
    for number in range(series.frames):
        content: Any = packed[number % 16]
        if series.encoding != "raw":
            content = cbor2.CBORTag(56500, [series.encoding, size, content])
        array = cbor2.CBORTag(40, [list(series.size), cbor2.CBORTag(tag, content)])
        head = {"type": "image", "series_id": series.number, "image_id": number, "data": {series.channels[0]: array}}
        yield [cbor2.dumps(head)]
    yield make_end(replace(series))


if __name__ == "__main__":
    main()
