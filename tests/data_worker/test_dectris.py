"""The DECTRIS source against a simulated detector that speaks both versions of the stream."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import cbor2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mamba.data_worker.frame import End
from mamba.data_worker.graph import NodeSpec, build_node
from mamba.data_worker.nodes import Source
from mamba.data_worker.sources.decompression import decompress
from mamba.data_worker.sources.dectris.messages import Malformed
from mamba.data_worker.sources.dectris.stream_v1 import read_parts
from mamba.data_worker.sources.dectris.stream_v2 import read_map
from mamba.errors import StreamBroken
from tests.support.dectris_simulator import (
    Detector,
    Series,
    make_end,
    make_image,
    make_image_message,
    make_series,
    make_start,
    pack,
)
from tests.support.node_driver import JOB, drain, make_slot, open_source

Connect = Callable[..., tuple[Detector, Source]]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """A detector and a node that pulls from it: `connect(series, threads=…)`."""
    with ExitStack() as stack:

        def begin(series: Series, /, **parameters: Any) -> tuple[Detector, Source]:
            detector = stack.enter_context(Detector())
            told = {"height": series.size[0], "width": series.size[1], "dtype": series.dtype, **parameters}
            node = open_source("dectris", {"endpoint": detector.endpoint, **told})
            stack.callback(node.stop)
            return detector, node

        yield begin


CASES = [
    Series(version=version, encoding=encoding, dtype=dtype, header_detail=detail)
    for version, detail in ((1, "none"), (1, "all"), (2, "basic"))
    for encoding in ("raw", "bslz4", "lz4")
    for dtype in ("uint8", "uint16", "uint32")
]


@pytest.mark.parametrize("series", CASES, ids=lambda s: f"v{s.version}-{s.header_detail}-{s.encoding}-{s.dtype}")
def test_every_encoding_comes_out_as_it_went_in(connect: Connect, series: Series) -> None:
    detector, node = connect(series)
    detector.send(*make_series(series))
    numbers, rows, end = drain(node)
    assert numbers == list(range(10))
    assert end == End(3, 10)
    assert rows.dtype == series.dtype
    for number, row in zip(numbers, rows, strict=True):
        assert np.array_equal(row, make_image(number, series.size, series.dtype))


def test_thresholds_come_stacked_in_the_order_that_was_set(connect: Connect) -> None:
    series = Series(channels=("threshold_1", "threshold_2", "difference"), frames=3)
    detector, node = connect(series, channels=["threshold_2", "threshold_1"])
    detector.send(*make_series(series))
    _, rows, _ = drain(node)
    assert rows.shape == (3, 2, 32, 48)
    assert np.array_equal(rows[2, 0], make_image(1002, series.size))
    assert np.array_equal(rows[2, 1], make_image(2, series.size))


def test_one_threshold_of_several_is_an_image(connect: Connect) -> None:
    series = Series(channels=("threshold_1", "threshold_2"), frames=2)
    detector, node = connect(series, channels=["threshold_2"])
    detector.send(*make_series(series))
    _, rows, _ = drain(node)
    assert np.array_equal(rows[1], make_image(1001, series.size))


@pytest.mark.parametrize("version", [1, 2])
def test_lost_images_are_gaps_and_the_last_ones_are_known_from_the_announcement(connect: Connect, version: int) -> None:
    series = Series(version=version, frames=12, skip=(0, 4, 5, 10, 11))
    detector, node = connect(series)
    detector.send(*make_series(series))
    numbers, _, end = drain(node)
    assert numbers == [1, 2, 3, 6, 7, 8, 9]
    assert end == End(3, 12)


def test_what_an_older_series_left_is_passed_over(connect: Connect) -> None:
    series = Series(number=7, frames=4)
    detector, node = connect(series, series=7)
    old = Series(number=6, frames=3)
    detector.send(make_image_message(replace(old, number=5), 2), make_end(replace(old, number=5)))
    detector.send(*make_series(old), *make_series(series))
    numbers, _, end = drain(node)
    assert numbers == [0, 1, 2, 3]
    assert end == End(3, 4)


S = Series(frames=4)
START, IMAGE = make_start(S), make_image_message(S, 0)
V1 = replace(S, version=1)
START1, IMAGE1 = make_start(V1), make_image_message(V1, 0)


def _change(part: bytes, **fields: Any) -> bytes:
    return json.dumps({**json.loads(part), **fields}).encode()


def _change_map(part: bytes, **fields: Any) -> list[bytes]:
    return [cbor2.dumps({**cbor2.loads(part), **fields})]


def _with_array(content: Any, shape: Any = (32, 48), tag: int = 69) -> list[bytes]:
    array = cbor2.CBORTag(40, [list(shape), cbor2.CBORTag(tag, content)])
    return _change_map(IMAGE[0], data={"threshold_1": array})


PACKED = pack(make_image(0, (32, 48)), "bslz4")
MALFORMED: dict[str, tuple[list[list[bytes]], str]] = {
    "empty": ([[b""]], "cannot be read"),
    "garbage": ([[b"\xff\x00garbage"]], "is not CBOR"),
    "a list": ([[cbor2.dumps([1, 2])]], "list instead of a map"),
    "cut map": ([START, [IMAGE[0][:-40]]], "is not CBOR"),
    "no series": ([[cbor2.dumps({"type": "start"})]], "'series_id' is 'None'"),
    "unknown type": ([_change_map(START[0], type="begin")], "type 'begin'"),
    "no channels": ([_change_map(START[0], channels=[])], "channels"),
    "float image": ([_change_map(START[0], image_dtype="float32")], "image_dtype 'float32'"),
    "no data": ([START, _change_map(IMAGE[0], data={})], "image data"),
    "plain list": ([START, _change_map(IMAGE[0], data={"threshold_1": [1]})], "instead of a multi-dimensional array"),
    "not typed": ([START, _change_map(IMAGE[0], data={"a": cbor2.CBORTag(40, [[1, 1], [1]])})], "tag None"),
    "unknown packing": ([START, _with_array(cbor2.CBORTag(56500, ["zstd", 2, b"x"]))], "compression 'zstd'"),
    "short raw": ([START, _with_array(b"12")], "2 bytes for an array of 3072"),
    "cut packed": ([START, _with_array(cbor2.CBORTag(56500, ["bslz4", 2, PACKED[:-9]]))], "cut short"),
    "no head": ([START, _with_array(cbor2.CBORTag(56500, ["bslz4", 2, b"123"]))], "too few"),
    "odd elements": ([START, _with_array(cbor2.CBORTag(56500, ["bslz4", 3, PACKED]))], "elements of 3 bytes"),
    "broken LZ4": (
        [START, _with_array(cbor2.CBORTag(56500, ["lz4", 0, PACKED[:12] + b"\0\0\0\5\xff\xff\xff\xff\xff"]))],
        "not an LZ4 block",
    ),
    "other shape": ([START, _with_array(b"1234", (2, 1))], "set height, width and dtype"),
    "other type": ([START, _with_array(b"12345678", (2, 1), 70)], "set height, width and dtype"),
    "other size of the series": ([_change_map(START[0], image_size_x=50)], "set height, width and dtype"),
    "other type of the series": ([_change_map(START[0], image_dtype="uint32")], "dtype uint32"),
    "image of another series": ([START, _change_map(IMAGE[0], series_id=9)], "series 9 instead of 1"),
    "end of another series": ([START, make_end(replace(S, number=2))], "series 2 instead of 1"),
    "armed anew": ([START, make_start(replace(S, number=2))], "series 2 instead of 1"),
    "the same image twice": ([START, IMAGE, IMAGE], "image 0 after image 0"),
    "v1 not JSON": ([[b"{nonsense"]], "is not JSON"),
    "v1 a list": ([[b"[1]", b"x"]], "list instead of an object"),
    "v1 unknown": ([[b'{"htype": "dother-1.0", "series": 1}']], "htype 'dother-1.0'"),
    "v1 bad number": ([START1, [_change(IMAGE1[0], frame=-1), *IMAGE1[1:]]], "'frame' is '-1'"),
    "v1 two parts": ([START1, IMAGE1[:2]], "in 2 parts"),
    "v1 encoding": ([START1, [IMAGE1[0], _change(IMAGE1[1], encoding="bs16<"), *IMAGE1[2:]]], "encoding 'bs16<'"),
    "v1 type": ([START1, [IMAGE1[0], _change(IMAGE1[1], type="float"), *IMAGE1[2:]]], "of type 'float'"),
    "v1 shape": ([START1, [IMAGE1[0], _change(IMAGE1[1], shape=[48]), *IMAGE1[2:]]], "shape"),
    "v1 htype": ([START1, [IMAGE1[0], _change(IMAGE1[1], htype="x"), *IMAGE1[2:]]], "dimage_d-1.0"),
    "v1 config": ([[START1[0], _change(START1[1], nimages="many")]], "detector configuration"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_what_does_not_follow_the_documentation_is_one_clear_error(connect: Connect, case: str) -> None:
    messages, seen = MALFORMED[case]
    detector, node = connect(S)
    detector.send(*messages)
    with pytest.raises(StreamBroken) as caught:
        drain(node)
    text = str(caught.value)
    assert "node 'source'" in text
    assert seen in text
    assert text.count("\n") <= 4


def test_a_channel_that_is_not_sent_is_named_with_those_that_are(connect: Connect) -> None:
    detector, node = connect(S, channels=["threshold_2"])
    detector.send(START)
    with pytest.raises(StreamBroken, match=r"without channel 'threshold_2'\n  seen: channels: threshold_1"):
        drain(node)


def test_an_actor_that_takes_over_goes_on_in_the_middle_of_the_series() -> None:
    series = Series(frames=8)
    with Detector() as detector:
        node = open_source(
            "dectris",
            {"endpoint": detector.endpoint, "height": 32, "width": 48, "dtype": "uint16"},
            replace(JOB, frames=10, resume=True),
        )
        try:
            detector.send(*(make_image_message(series, number) for number in range(5, 8)), make_end(series))
            numbers, _, end = drain(node)
        finally:
            node.stop()
    assert numbers == [5, 6, 7]
    assert end == End(3, 10)


def test_a_detector_that_goes_in_the_middle_of_a_series_breaks_the_stream_after_what_it_sent() -> None:
    with Detector() as detector:
        node = open_source("dectris", {"endpoint": detector.endpoint, "height": 32, "width": 48, "dtype": "uint16"})
        detector.send(START, IMAGE)
    out = np.zeros((8, 32, 48), np.uint16)
    try:
        assert node.fill(out, 5.0) == (0, 1)
        with pytest.raises(StreamBroken, match="gone before its end"):
            drain(node)
    finally:
        node.stop()


def test_a_detector_whose_stream_begins_anew_before_the_series_is_waited_for(tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/s"
    with Detector(endpoint):
        node = open_source(
            "dectris", {"endpoint": endpoint, "height": 32, "width": 48, "dtype": "uint16", "connect_s": 30}
        )
    try:
        assert node.fill(make_slot(node), 0.05) is None
        with Detector(endpoint) as again:
            again.send(*make_series(S))
            numbers, _, _ = drain(node)
    finally:
        node.stop()
    assert numbers == [0, 1, 2, 3]


def test_nobody_there_is_told_when_the_graph_is_armed() -> None:
    parameters = {"endpoint": "tcp://127.0.0.1:1", "height": 8, "width": 8, "connect_s": 0.2}
    with pytest.raises(StreamBroken, match="nobody sends at"):
        open_source("dectris", parameters)


def test_a_block_holds_as_many_images_as_the_ring_takes(connect: Connect) -> None:
    series = Series(frames=7)
    detector, node = connect(series)
    detector.send(*make_series(series))
    out = np.zeros((3, 32, 48), np.uint16)
    firsts = []
    while not isinstance(got := node.fill(out, 5.0), End):
        if got is not None:
            firsts.append(got)
    assert sum(count for _, count in firsts) == 7
    assert max(count for _, count in firsts) <= 3


@given(st.binary(max_size=200), st.sampled_from(["bslz4", "lz4", "lz4_block", "raw"]))
def test_no_bytes_whatever_crash_the_unpacking(data: bytes, encoding: Any) -> None:
    with suppress(ValueError):
        decompress(data, encoding, np.zeros(64, np.uint16))


@given(st.integers(0, len(PACKED) - 1), st.integers(0, 255))
def test_a_flipped_byte_is_an_error_or_another_picture_but_no_crash(at: int, value: int) -> None:
    with suppress(ValueError):
        decompress(PACKED[:at] + bytes([value]) + PACKED[at + 1 :], "bslz4", np.zeros((32, 48), np.uint16))


@given(st.binary(max_size=300))
def test_no_message_whatever_raises_anything_else(data: bytes) -> None:
    with suppress(Malformed):
        read_map(data)
    with suppress(Malformed):
        read_parts([data, data, data])


BAD_PARAMETERS: list[dict[str, Any]] = [
    {"endpoint": "http://127.0.0.1"},
    {"height": 0},
    {"dtype": "float32"},
    {"series": -1},
    {"threads": 0},
    {"channel": "threshold_1"},
]


@pytest.mark.parametrize("bad", BAD_PARAMETERS, ids=lambda bad: next(iter(bad)))
def test_bad_parameters_are_refused_with_their_name(bad: dict[str, Any]) -> None:
    good = {"endpoint": "tcp://127.0.0.1:9999", "height": 8, "width": 8}
    with pytest.raises(Exception, match=next(iter(bad))):
        build_node(NodeSpec(name="source", kind="dectris", parameters={**good, **bad}))
