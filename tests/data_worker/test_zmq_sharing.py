"""What one graph shares and another one, or anybody's program, reads: the nodes together, and each against faults."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq

from mamba.data_worker.frame import End
from mamba.data_worker.graph import NodeSpec, build_node
from mamba.data_worker.nodes import Flow, Item, Sink, Source
from mamba.data_worker.shared_rows import dump_rows
from mamba.errors import GraphInvalid, NodeFailed, StreamBroken
from tests.support.node_driver import drain, open_sink, open_source
from tests.support.threads import run_beside

IMAGES = Flow((6, 8), "uint16", 4, units="counts")
ACCOUNT = {"produced": 30}
_PAGE = Path(__file__).parents[2] / "docs/reference/nodes-sinks.md"


def make_frames(first: int, count: int) -> np.ndarray[Any, Any]:
    """Frame n holds 100 n and more."""
    return (np.arange(first, first + count)[:, None, None] * 100 + np.arange(48).reshape(6, 8)).astype(np.uint16)


def put(sink: Sink, first: int, count: int = 4) -> None:
    """Have the sink process some frames."""
    sink.process(Item(first, {"camera": make_frames(first, count)}, 12.0))


Share = Callable[..., Sink]
Subscribe = Callable[..., Source]


@pytest.fixture
def endpoint(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if getattr(request, "param", "ipc") == "ipc":
        return f"ipc://{tmp_path}/s"
    with _publish("tcp://127.0.0.1:*") as socket:
        return socket.get_string(zmq.LAST_ENDPOINT)


OVER_BOTH = pytest.mark.parametrize("endpoint", ["ipc", "tcp"], indirect=True)


@pytest.fixture
def share(endpoint: str) -> Iterator[Share]:
    """The node that sends."""
    with ExitStack() as stack:

        def begin(flow: Flow = IMAGES, **parameters: Any) -> Sink:
            sink = open_sink("zmq_republish", {"endpoint": endpoint, **parameters}, {"camera": flow})
            stack.callback(sink.discard)
            return sink

        yield begin


@pytest.fixture
def subscribe(endpoint: str) -> Iterator[Subscribe]:
    """The node that reads."""
    with ExitStack() as stack:

        def begin(**parameters: Any) -> Source:
            node = open_source("zmq_subscribe", {"endpoint": endpoint, "shape": [6, 8], **parameters})
            stack.callback(node.stop)
            return node

        yield begin


@OVER_BOTH
def test_another_graph_gets_every_frame_with_its_number(share: Share, subscribe: Subscribe) -> None:
    sink = share(readers=1)
    node = subscribe()
    for first in (0, 4, 8, 16, 20):
        put(sink, first)
    with run_beside(lambda: sink.close(ACCOUNT)):
        numbers, rows, end = drain(node, frames=3)
    assert numbers == [*range(12), *range(16, 24)]
    assert np.array_equal(rows, np.concatenate([make_frames(n, 1) for n in numbers]))
    assert end == End(3, 30)


def test_rows_of_numbers_keep_their_type(share: Share, subscribe: Subscribe) -> None:
    sink = share(Flow((2,), "float64", 100, columns=("a", "b")), readers=1)
    node = subscribe(shape=[2], dtype="float64", columns=["a", "b"])
    sink.process(Item(0, {"sums": np.arange(20.0).reshape(10, 2)}))
    with run_beside(lambda: sink.close({"produced": 10})):
        _, rows, _ = drain(node)
    assert rows.tolist() == np.arange(20.0).reshape(10, 2).tolist()


def test_a_program_without_mamba_reads_it_with_the_ten_lines_of_the_manual(share: Share, endpoint: str) -> None:
    (program,) = re.findall(r"```python\n(import json, sys.*?)```", _PAGE.read_text(), re.DOTALL)
    assert "mamba" not in program
    assert len(program.strip().splitlines()) <= 10
    sink = share(readers=1, wait_s=30)
    reader = subprocess.Popen(
        [sys.executable, "-I", "-c", program, endpoint], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        put(sink, 0)
        put(sink, 4)
        sink.close(ACCOUNT)
        said, complaint = reader.communicate(timeout=30)
    finally:
        reader.kill()
    assert complaint == ""
    assert said.splitlines() == [
        f"frames 0 to 3 sum {make_frames(0, 4).sum()}",
        f"frames 4 to 7 sum {make_frames(4, 4).sum()}",
        "the arm had 30 frames",
    ]


def _send_megabytes(sink: Sink, frames: int) -> None:
    frame = np.zeros((1, 512, 1024), np.uint16)
    for number in range(frames):
        sink.process(Item(number, {"camera": frame}))


@OVER_BOTH
def test_who_is_behind_misses_whole_blocks_and_sees_it_in_the_numbers(share: Share, subscribe: Subscribe) -> None:
    large = Flow((512, 1024), "uint16", 1)  # 1 MiB each, two may wait
    sink = share(large, readers=1, queue_mib=1)
    node = subscribe(shape=[512, 1024], queue_messages=1)
    _send_megabytes(sink, 60)
    with run_beside(lambda: sink.close({"produced": 60})):
        numbers, _, end = drain(node, frames=8)
    assert 0 < len(numbers) < 60
    assert numbers == sorted(set(numbers))
    assert end == End(3, 60)


def test_with_wait_a_slow_reader_holds_the_graph_and_misses_nothing(share: Share, subscribe: Subscribe) -> None:
    sink = share(Flow((512, 1024), "uint16", 1), readers=1, queue_mib=1, when_behind="wait")
    node = subscribe(shape=[512, 1024], queue_messages=1)

    def send() -> None:
        _send_megabytes(sink, 60)
        sink.close({"produced": 60})

    with run_beside(send):
        numbers, _, _ = drain(node, frames=8)
    assert numbers == list(range(60))


def test_with_wait_a_reader_that_takes_nothing_fails_the_graph(share: Share, subscribe: Subscribe) -> None:
    sink = share(Flow((512, 1024), "uint16", 1), readers=1, queue_mib=1, when_behind="wait", wait_s=0.2)
    subscribe(shape=[512, 1024], queue_messages=1)
    with pytest.raises(NodeFailed, match=r"a reader of .* holds the graph\n  seen: it took nothing for 0.2 s"):
        _send_megabytes(sink, 60)


def test_too_few_readers_are_counted(share: Share, subscribe: Subscribe) -> None:
    sink = share(readers=2, wait_s=0.3)
    subscribe()
    with pytest.raises(NodeFailed, match=r"too few readers at .*\n  seen: 1 of 2 within 0.3 s"):
        put(sink, 0)


def test_a_sender_that_is_replaced_goes_on_and_what_comes_again_is_left_out(share: Share, subscribe: Subscribe) -> None:
    sink = share(readers=1)
    node = subscribe(patience_s=30)
    put(sink, 0)
    out = np.zeros((8, 6, 8), np.uint16)
    assert node.fill(out, 5.0) == (0, 4)
    sink.discard()
    sink = share(readers=1)
    assert node.fill(out, 0.05) is None
    put(sink, 2)
    put(sink, 0)
    put(sink, 6)
    with run_beside(lambda: sink.close(ACCOUNT)):
        numbers, rows, _ = drain(node)
    assert numbers == list(range(4, 10))
    assert np.array_equal(rows, make_frames(4, 6))


def test_a_sender_that_stays_away_breaks_the_stream(share: Share, subscribe: Subscribe) -> None:
    sink = share()
    node = subscribe(patience_s=0.2)
    sink.discard()
    with pytest.raises(StreamBroken, match=r"gone before its end\n  seen: waited 0.2 s"):
        drain(node)


HEAD = {"node": "n", "arm": 1, "block": 0, "first": 0, "count": 1, "time": 0.0}
DATA = make_frames(0, 1).tobytes()
MALFORMED: dict[str, tuple[list[bytes], str]] = {
    "not JSON": ([b"\xff"], "is not JSON"),
    "a list": ([b"[]"], "no rows or end"),
    "another version": ([b'{"version": 2, "type": "rows"}'], "no rows or end of version 1"),
    "no arm": ([b'{"version": 1, "type": "end"}'], "'arm' is 'None'"),
    "negative": ([dump_rows({**HEAD, "first": -1}, IMAGES), DATA], "'first' is '-1'"),
    "one part": ([dump_rows(HEAD, IMAGES)], "1 parts instead of 2"),
    "short": ([dump_rows(HEAD, IMAGES), DATA[:-2]], "94 bytes for 1 rows"),
    "objects": ([json.dumps({"version": 1, "type": "rows", **HEAD, "dtype": "O", "shape": []}).encode(), b""], "dtype"),
    "another shape": ([dump_rows(HEAD, Flow((8, 6), "uint16")), DATA], "(6, 8) uint16 is set"),
    "another type": ([dump_rows(HEAD, Flow((6, 8), "int16")), DATA], "set shape and dtype"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_what_does_not_follow_the_wire_is_one_clear_error(endpoint: str, subscribe: Subscribe, case: str) -> None:
    parts, seen = MALFORMED[case]
    with _publish(endpoint) as socket:
        node = subscribe()
        assert socket.poll(5000)
        assert socket.recv() == b"\x01"
        socket.send_multipart(parts)
        with pytest.raises(StreamBroken) as caught:
            drain(node)
    assert seen in str(caught.value)
    assert "node 'source'" in str(caught.value)


def test_an_arm_that_begins_before_the_end_of_ours_breaks_the_stream(endpoint: str, subscribe: Subscribe) -> None:
    with _publish(endpoint) as socket:
        node = subscribe()
        assert socket.poll(5000)
        for arm in (1, 2):
            socket.send_multipart([dump_rows({**HEAD, "arm": arm}, IMAGES), DATA])
        with pytest.raises(StreamBroken, match="arm 2 instead of 1"):
            drain(node)


class _publish:
    """A bare socket that publishes."""

    def __init__(self, endpoint: str) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.socket = self._context.socket(zmq.XPUB)
        self.socket.bind(endpoint)

    def __enter__(self) -> zmq.Socket[bytes]:
        return self.socket

    def __exit__(self, *_: object) -> None:
        self.socket.close(0)
        self._context.term()


@pytest.mark.parametrize(
    ("kind", "bad", "named"),
    [
        ("zmq_republish", {"endpoint": "tcp://0.0.0.0:5000"}, "0.0.0.0 lets other machines read"),
        ("zmq_republish", {"endpoint": "tcp://*:5000"}, r"\* lets other machines read"),
        ("zmq_republish", {"endpoint": "tcp://127.0.0.1:*"}, "endpoint"),
        ("zmq_republish", {"when_behind": "block"}, "when_behind"),
        ("zmq_republish", {"queue_mib": 0}, "queue_mib"),
        ("zmq_subscribe", {"dtype": "object"}, "is no number"),
        ("zmq_subscribe", {"dtype": "pixels"}, "is no NumPy type"),
        ("zmq_subscribe", {"shape": [0]}, "sizes must be positive"),
        ("zmq_subscribe", {"endpoint": "127.0.0.1:5000"}, "endpoint"),
    ],
)
def test_bad_parameters_are_refused(kind: str, bad: dict[str, Any], named: str) -> None:
    with pytest.raises(GraphInvalid, match=named):
        build_node(NodeSpec(name="n", kind=kind, parameters={"endpoint": "tcp://127.0.0.1:5000", **bad}))


def test_an_address_that_others_reach_needs_to_be_meant() -> None:
    parameters = {"endpoint": "tcp://0.0.0.0:5000", "open_to_network": True}
    assert build_node(NodeSpec(name="n", kind="zmq_republish", parameters=parameters)).name == "n"


def test_an_address_that_is_taken_is_told(share: Share) -> None:
    with _publish("tcp://127.0.0.1:*") as socket:
        taken = socket.get_string(zmq.LAST_ENDPOINT)
        with pytest.raises(NodeFailed, match=f"cannot share at {taken}"):
            open_sink("zmq_republish", {"endpoint": taken}, {"camera": IMAGES})
