"""The points source against a simulated fly controller."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest

from mamba.data_worker.frame import BlockType, End
from mamba.data_worker.graph import NodeSpec, build_node
from mamba.data_worker.nodes import Source
from mamba.errors import GraphInvalid, StreamBroken
from tests.support.fly_controller import Controller, make_points
from tests.support.node_driver import drain, open_source
from tests.support.threads import run_beside
from tests.support.trickle import Trickle

NAMES = [f"c{at}" for at in range(10)]
Connect = Callable[..., tuple[Controller, Source]]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """A controller and the node that reads it."""
    with ExitStack() as stack:

        def begin(*, sends: int = 2000, slots: int = 64, **parameters: Any) -> tuple[Controller, Source]:
            controller = stack.enter_context(Controller(block_points=sends, slots=slots))
            told = {"endpoint": controller.endpoint, "token": controller.token, "columns": NAMES, **parameters}
            with run_beside(controller.await_reader):
                node = open_source("points", told)
            stack.callback(node.stop)
            return controller, node

        yield begin


def test_points_come_as_they_were_sent_and_what_is_there_goes_on_together(connect: Connect) -> None:
    controller, node = connect(sends=100)
    for first in range(0, 3000, 100):
        assert controller.send(first, make_points(first, 100, 10))
    controller.end(3000)
    numbers, rows, end = drain(node, frames=1000)
    assert numbers == list(range(3000))
    assert np.array_equal(rows, make_points(0, 3000, 10))
    assert end == End(3, 3000)


def test_a_block_that_comes_in_pieces_is_whole_whatever_memory_each_call_has() -> None:
    with Controller(block_points=20) as controller, Trickle(controller.endpoint, piece_bytes=700) as slow:
        with run_beside(controller.await_reader):
            node = open_source("points", {"endpoint": slow.endpoint, "token": controller.token, "columns": NAMES})
        slow.hold()
        rows, calls = [], 0
        for first in range(0, 400, 20):
            assert controller.send(first, make_points(first, 20, 10))
        controller.end(400)
        while not isinstance(got := node.fill(out := np.full((2000, 10), np.nan), 0.01), End):
            slow.give()
            calls += 1
            if got is not None:
                rows.append(out[: got[1]].copy())
        node.stop()
    assert calls > 40, "some calls found half a block"
    assert np.array_equal(np.concatenate(rows), make_points(0, 400, 10))


def test_points_that_the_controller_gave_up_are_gaps(connect: Connect) -> None:
    controller, node = connect(sends=10)
    for first in (0, 10, 30, 60):
        controller.send(first, make_points(first, 10, 10))
    controller.end(80)
    numbers, rows, end = drain(node)
    assert numbers == [*range(20), *range(30, 40), *range(60, 70)]
    assert rows[:, 0].tolist() == numbers
    assert end == End(3, 80)


def test_credits_hold_the_controller(connect: Connect) -> None:
    controller, node = connect(sends=10, slots=2)
    assert controller.send(0, make_points(0, 10, 10))
    assert controller.send(10, make_points(10, 10, 10))
    assert not controller.send(20, make_points(20, 10, 10))
    out = np.zeros((10, 10))
    assert node.fill(out, 5.0) == (0, 10)
    assert controller.link.pollables[0].poll(5000)
    assert controller.send(20, make_points(20, 10, 10))
    assert node.fill(out, 5.0) == (10, 10)
    assert node.fill(out, 5.0) == (20, 10)


@pytest.mark.parametrize(
    ("fault", "seen"),
    [
        (lambda c: c.skip_block(), "a block is missing"),
        (lambda c: c.send(5, make_points(5, 5, 10)), "10 was next"),
        (lambda c: c.send(10, make_points(10, 5, 10), type_=BlockType.FRAMES), "of type FRAMES"),
        (lambda c: c.send(10, make_points(10, 30, 10)), "does not follow the format"),
        (lambda c: c.link.close(), "gone before the end"),
    ],
    ids=["lost block", "numbers back", "frames", "too many", "gone"],
)
def test_what_came_before_a_fault_is_passed_on_and_then_the_fault_is_told(
    connect: Connect, fault: Callable[[Controller], object], seen: str
) -> None:
    controller, node = connect(sends=10)
    controller.send(0, make_points(0, 10, 10))
    fault(controller)
    if not controller.link.pollables[0].closed:
        controller.send(20, make_points(20, 10, 10))
    out = np.zeros((100, 10))
    assert node.fill(out, 5.0) == (0, 10)
    assert out[9, 0] == 9.0
    with pytest.raises(StreamBroken, match=seen):
        drain(node)


@pytest.mark.parametrize(
    "other", [{"columns": ["a", "b"]}, {"dtype": "float32"}, {"block_points": 10}], ids=lambda o: next(iter(o))
)
def test_a_controller_that_sends_something_else_is_told_when_the_graph_is_armed(
    connect: Connect, other: dict[str, Any]
) -> None:
    with pytest.raises(StreamBroken, match=r"sends other points than set\n  seen: \(10,\) float64 over zmq in blocks"):
        connect(**other)


def test_a_wrong_token_gets_no_answer() -> None:
    with Controller() as controller, pytest.raises(StreamBroken, match="no answer"):
        open_source("points", {"endpoint": controller.endpoint, "token": "x", "columns": NAMES, "connect_s": 0.3})


@pytest.mark.parametrize(
    "bad", [{"columns": []}, {"columns": ["a", "a"]}, {"dtype": "complex64"}, {"block_points": 0}, {"endpoint": "x"}]
)
def test_bad_parameters_are_refused(bad: dict[str, Any]) -> None:
    good = {"endpoint": "tcp://127.0.0.1:1", "columns": ["a"]}
    with pytest.raises(GraphInvalid, match=next(iter(bad))):
        build_node(NodeSpec(name="source", kind="points", parameters={**good, **bad}))
