"""The source of a Tango attribute's events, against a real server that pushes them."""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tango
from numpy.typing import NDArray

from mamba.data_worker.frame import End
from mamba.data_worker.graph import NodeSpec, build_node
from mamba.data_worker.nodes import Source
from mamba.errors import GraphInvalid, StreamBroken
from tests.support.event_server import DEVICE
from tests.support.node_driver import JOB, drain, make_slot, open_source
from tests.support.site_database import find_free_port
from tests.support.tango_facility import Process, wait_until

pytestmark = pytest.mark.soak  # Tango connects after it has subscribed: on a busy machine first events are lost

_ROOT = Path(__file__).parents[2]


class Server:
    """The server's process and a proxy."""

    def __init__(self, folder: Path) -> None:
        port = find_free_port()
        self.name = f"tango://127.0.0.1:{port}/{DEVICE}#dbase=no"
        self.process = Process(
            [sys.executable, "-m", "tests.support.event_server", str(port)],
            environment={**os.environ, "PYTHONPATH": str(_ROOT), "PYTHONUNBUFFERED": "1"},
            log=folder / "emitter.log",
        )
        self.process.wait_for_line(re.compile("Ready to accept request"))
        self.device = tango.DeviceProxy(self.name)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("emitter"))
    yield running
    running.process.stop()


Listen = Callable[..., Source]


@pytest.fixture
def listen(server: Server) -> Iterator[Listen]:
    """The node, subscribed."""
    with ExitStack() as stack:

        def begin(**parameters: Any) -> Source:
            node = open_source("tango_events", {"device": server.name, "attribute": "value", **parameters})
            stack.callback(node.stop)
            return node

        yield begin


def take(node: Source, count: int) -> NDArray[Any]:
    """So many rows."""
    out, came = make_slot(node), []
    for _ in range(1000):
        got = node.fill(out, 20.0)
        assert isinstance(got, tuple)
        assert not isinstance(got, End)
        assert got[0] == sum(len(rows) for rows in came)
        came.append(out[: got[1]].copy())
        if sum(len(rows) for rows in came) >= count:
            break
    return np.concatenate(came)


def test_each_event_is_a_row_with_its_time(server: Server, listen: Listen) -> None:
    node = listen(rows=51)
    server.device.emit(50)
    numbers, rows, end = drain(node)
    assert numbers == list(range(51))
    assert end == End(3, 51)
    values = rows[1:, 2]
    assert np.array_equal(np.diff(rows[:, 2]), np.ones(50))
    assert np.array_equal(rows[1:, 0], 1000.0 + values)
    assert not rows[:, 1].any()


def test_a_spectrum_is_filled_up_with_what_is_no_number(server: Server, listen: Listen) -> None:
    node = listen(attribute="curve", length=6)
    server.device.emit_curve(3)
    server.device.emit_curve(6)
    rows = take(node, 3)
    assert rows[0, 2:].tolist()[:4] == [0, 1, 2, 3]
    assert rows[1, 2:5].tolist() == [0, 10, 20]
    assert np.isnan(rows[1, 5:]).all()
    assert rows[2, 2:].tolist() == [0, 10, 20, 30, 40, 50]


def test_a_longer_spectrum_than_set_is_told_after_what_came_before(server: Server, listen: Listen) -> None:
    node = listen(attribute="curve", length=4)
    server.device.emit_curve(5)
    assert len(take(node, 1)) == 1
    with pytest.raises(StreamBroken, match=r"curve sent 5 values\n  seen: length 4 is set"):
        drain(node)


def test_an_invalid_value_is_no_number(server: Server, listen: Listen) -> None:
    node = listen()
    server.device.emit_invalid()
    assert math.isnan(take(node, 2)[1, 2])


def test_that_events_were_lost_stands_in_the_next_row(listen: Listen) -> None:
    node: Any = listen()
    take(node, 1)
    lost = SimpleNamespace(reason="API_MissedEvents", desc="Missed some events! Zmq queue has reached HWM?")
    node._take(SimpleNamespace(err=True, errors=[lost]))  # Tango tells it so; a full queue cannot be made here at will
    for value in (1.0, 2.0):
        stamp = SimpleNamespace(totime=lambda: 5.0)
        node._take(SimpleNamespace(err=False, attr_value=SimpleNamespace(value=value, time=stamp)))
    out = make_slot(node)
    assert node.fill(out, 20.0) == (1, 2)
    assert out[:2].tolist() == [[5.0, 1.0, 1.0], [5.0, 0.0, 2.0]]


def test_a_graph_that_is_too_slow_is_told(server: Server, listen: Listen) -> None:
    node: Any = listen(most_waiting=3)
    server.device.emit(10)
    wait_until(lambda: node._failure, what="more events that nobody takes than may wait")
    with pytest.raises(StreamBroken, match=r"too slow for the events of .*/value\n  seen: 3 wait"):
        drain(node)


def test_when_tango_says_that_events_have_stopped_the_stream_ends(server: Server, listen: Listen) -> None:
    node: Any = listen()
    server.device.emit(1)
    assert len(take(node, 2)) == 2
    gone = SimpleNamespace(
        reason="API_EventTimeout", desc="Event channel is not responding anymore", origin="", severity=1
    )
    node._take(SimpleNamespace(err=True, errors=[gone]))
    with pytest.raises(StreamBroken, match=r"its events have stopped\n  seen: API_EventTimeout: Event channel"):
        drain(node)


@pytest.mark.soak
def test_a_server_that_goes_ends_the_stream(tmp_path: Path) -> None:
    """Tango takes some 20 s to notice."""
    server = Server(tmp_path)
    node = open_source("tango_events", {"device": server.name, "attribute": "value"})
    try:
        take(node, 1)
        server.process.stop()
        with pytest.raises(StreamBroken, match="its events have stopped"):
            drain(node, timeout_s=60)
    finally:
        node.stop()


def test_nothing_for_a_while_is_none_and_stopping_twice_is_nothing(listen: Listen) -> None:
    node = listen()
    take(node, 1)
    assert node.fill(make_slot(node), 0.01) is None
    node.stop()
    node.stop()


def test_an_actor_that_takes_over_says_that_rows_have_no_numbers_any_more(server: Server) -> None:
    with pytest.raises(StreamBroken, match="were lost with its actor"):
        open_source("tango_events", {"device": server.name, "attribute": "value"}, replace(JOB, resume=True))


@pytest.mark.parametrize(
    ("told", "seen"),
    [
        ({"attribute": "valu"}, "valu"),
        ({"attribute": "label"}, "DevString"),
        ({"attribute": "value", "length": 4}, "SCALAR of DevDouble, length 4 is set"),
        ({"attribute": "curve"}, "SPECTRUM of DevLong"),
        ({"attribute": "silent"}, "no change events of it"),
        ({"device": "tango://127.0.0.1:1/a/b/c#dbase=no"}, "tango://127.0.0.1:1/a/b/c"),
    ],
)
def test_what_cannot_be_listened_to_is_told_when_the_graph_is_armed(
    listen: Listen, told: dict[str, Any], seen: str
) -> None:
    with pytest.raises(StreamBroken, match=seen) as caught:
        listen(**told)
    assert str(caught.value).count("\n") <= 4


@pytest.mark.parametrize(
    "bad",
    [{"device": "sys/tg_test"}, {"attribute": "a b"}, {"event": "data_ready"}, {"length": -1}, {"most_waiting": 0}],
    ids=lambda bad: next(iter(bad)),
)
def test_bad_parameters_are_refused(bad: dict[str, Any]) -> None:
    good = {"device": "sys/tg_test/1", "attribute": "double_scalar"}
    with pytest.raises(GraphInvalid, match=next(iter(bad))):
        build_node(NodeSpec(name="source", kind="tango_events", parameters={**good, **bad}))
