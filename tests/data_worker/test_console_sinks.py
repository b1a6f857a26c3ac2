"""Sinks that show, feed back or tell: from the node to the console process, without Ray."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from threading import Condition
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import event_model
import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.protocols import Readable, Status, Triggerable
from hypothesis import given
from hypothesis import strategies as st

from mamba.console.graph_services import GraphServices
from mamba.data_worker.console_link import ConsoleReceiver
from mamba.data_worker.feedback import Feedback, Feedbacks, Row
from mamba.data_worker.graph import NodeSpec, build_node
from mamba.data_worker.nodes import Flow, Item, Sink
from mamba.data_worker.previews import Previews, publish_document
from mamba.data_worker.sinks.preview import make_small
from mamba.errors import DataError, GraphInvalid, NodeFailed
from mamba.wire import notices
from mamba.wire.values import decode, encode
from tests.support.engines import ending
from tests.support.node_driver import JOB, open_sink
from tests.support.threads import run_beside

SUMS = Flow((2,), "float64", 100, units="counts", columns=("a", "b"))
IMAGES = Flow((64, 96), "uint16", 4, units="counts")


class Came:
    """Collects, and waits."""

    def __init__(self) -> None:
        self.all: list[Any] = []
        self._news = Condition()

    def __call__(self, one: Any) -> None:
        with self._news:
            self.all.append(one)
            self._news.notify_all()

    def wait_for(self, count: int) -> list[Any]:
        with self._news:
            assert self._news.wait_for(lambda: len(self.all) >= count, 20), f"{len(self.all)} of {count} came"
            return self.all


Open = Callable[..., Sink]


@pytest.fixture
def feedback() -> Feedbacks:
    return Feedbacks()


@pytest.fixture
def previews() -> Previews:
    return Previews()


@pytest.fixture
def told() -> Iterator[Came]:
    """Every notice."""
    came = Came()
    detach = notices.attach(came)
    yield came
    detach()


@pytest.fixture
def open_node(tmp_path: Path, feedback: Feedbacks, previews: Previews) -> Iterator[Open]:
    """A sink with a console: `open_node(kind, parameters, inputs)`."""
    with ExitStack() as stack:
        console = ConsoleReceiver(tmp_path, {**feedback.takers(), **previews.takers(), "document": publish_document})
        stack.callback(console.close)
        console.start()

        def begin(kind: str, parameters: dict[str, Any], inputs: dict[str, Flow], **job: Any) -> Sink:
            sink = open_sink(kind, parameters, inputs, replace(JOB, console=console.endpoint, **job))
            stack.callback(sink.discard)
            return sink

        yield begin


def rows(first: int, count: int) -> Item:
    """Frame n gives [n, 2 n]."""
    numbers = np.arange(first, first + count, dtype=float)
    return Item(first, {"sums": np.stack([numbers, 2 * numbers], axis=1)}, 12.5)


def test_each_row_reaches_functions_in_order(open_node: Open, feedback: Feedbacks) -> None:
    came = Came()
    leave = feedback["sink"].subscribe(came)
    sink = open_node("feedback", {}, {"sums": SUMS})
    for first in (0, 10, 30):
        sink.process(rows(first, 10))
    got: list[Row] = came.wait_for(30)
    assert [row.number for row in got] == [*range(20), *range(30, 40)]
    assert [row.values.tolist() for row in got] == [[row.number, 2 * row.number] for row in got]
    assert feedback["sink"].missed == 10
    assert {row.made for row in got} == {12.5}
    leave()
    sink.process(rows(40, 1))
    assert feedback["sink"].at(40).wait(20).number == 40
    assert len(came.all) == 30


def test_rows_that_come_again_are_left_out(open_node: Open, feedback: Feedbacks) -> None:
    came = Came()
    feedback["sink"].subscribe(came)
    sink = open_node("feedback", {}, {"sums": SUMS})
    for first, count in ((0, 4), (0, 4), (2, 4)):
        sink.process(rows(first, count))
    came.wait_for(6)
    sink.process(rows(6, 1))
    assert [row.number for row in came.wait_for(7)] == list(range(7))
    assert feedback["sink"].missed == 0


@pytest.mark.error_logged
def test_a_function_that_raises_is_called_no_more_and_the_others_go_on(open_node: Open, feedback: Feedbacks) -> None:
    calls = []

    def bad(row: Row) -> None:
        calls.append(row.number)
        raise ZeroDivisionError

    came = Came()
    feedback["sink"].subscribe(bad)
    feedback["sink"].subscribe(came)
    open_node("feedback", {}, {"sums": SUMS}).process(rows(0, 5))
    came.wait_for(5)
    assert calls == [0]


def test_a_coroutine_awaits_the_next_row(open_node: Open, feedback: Feedbacks) -> None:
    sink = open_node("feedback", {}, {"sums": SUMS})

    async def steer() -> list[int]:
        first = asyncio.ensure_future(_await(feedback["sink"]))
        await asyncio.sleep(0)  # it waits now
        sink.process(rows(7, 1))
        return [(await first).number, (await feedback["sink"].at(7)).number]

    assert asyncio.run(steer()) == [7, 7]


async def _await(node: Feedback) -> Row:
    return await node


def test_a_plan_reads_a_node_as_it_reads_a_detector(open_node: Open, feedback: Feedbacks) -> None:
    sink = open_node("feedback", {}, {"sums": SUMS})
    node = feedback["sink"]
    assert isinstance(node, Readable)
    assert isinstance(node, Triggerable)
    assert isinstance(node.next(), Status)
    documents: list[tuple[str, Any]] = []
    sent = iter(range(100))

    def per_shot(detectors: list[Any], _: Any = None) -> Any:
        for detector in detectors:
            yield from bps.trigger(detector, group="row")
        sink.process(rows(next(sent), 1))  # the detector's exposure
        yield from bps.wait("row")
        yield from bps.create()
        for detector in detectors:
            yield from bps.read(detector)
        yield from bps.save()

    with ending(RunEngine({}, context_managers=[])) as engine:
        engine(bp.count([node], 3, per_shot=per_shot), lambda name, doc: documents.append((name, doc)))
    events = [doc["data"] for name, doc in documents if name == "event"]
    assert events == [{"sink_a": n, "sink_b": 2.0 * n} for n in range(3)]
    (descriptor,) = [doc for name, doc in documents if name == "descriptor"]
    assert descriptor["data_keys"]["sink_a"]["units"] == "counts"
    assert descriptor["hints"]["sink"]["fields"] == ["sink_a", "sink_b"]


def test_a_row_that_never_comes_is_told_when_the_arm_ends(open_node: Open, feedback: Feedbacks) -> None:
    sink = open_node("feedback", {}, {"sums": SUMS})
    waiting = feedback["sink"].trigger()
    with pytest.raises(TimeoutError):
        waiting.exception(0.01)
    with pytest.raises(DataError, match=r"node 'sink': no row within 0.01 s"):
        waiting.wait(0.01)
    sink.end()
    assert isinstance(waiting.exception(20), NodeFailed)
    assert waiting.done
    assert not waiting.success
    with pytest.raises(NodeFailed, match="the arm ended before the row came"):
        waiting.wait(0)


def test_an_arm_that_ends_any_other_way_ends_the_wait_too(feedback: Feedbacks) -> None:
    waiting = feedback["sums"].next()
    feedback.end()
    assert isinstance(waiting.exception(), NodeFailed)


def test_nothing_to_read_or_describe_is_told(feedback: Feedbacks) -> None:
    with pytest.raises(DataError, match="no row has come yet"):
        feedback["sums"].read()
    with pytest.raises(DataError, match="no graph with it has been armed"):
        feedback["sums"].describe()
    assert feedback["sums"].hints == {"fields": []}


def test_a_spectrum_is_read_as_an_array(open_node: Open, feedback: Feedbacks) -> None:
    sink = open_node("feedback", {}, {"mca": Flow((4,), "uint32", 1)})
    sink.process(Item(0, {"mca": np.arange(4, dtype=np.uint32).reshape(1, 4)}))
    assert feedback["sink"].at(0).wait(20).number == 0
    assert feedback["sink"].read()["sink"]["value"] == [0, 1, 2, 3]
    assert feedback["sink"].describe()["sink"]["shape"] == [4]


def test_the_newest_frame_is_shown_small_and_the_last_one_always(
    open_node: Open, told: Came, previews: Previews
) -> None:
    sink = open_node("preview", {"rate": 0.1, "pixels": 1536}, {"camera": IMAGES})
    frames = np.arange(12, dtype=np.uint16)[:, None, None] + np.zeros((12, 64, 96), np.uint16)
    frames[11, 5, 7] = 999
    for first in (0, 4, 8):
        sink.process(Item(first, {"camera": frames[first : first + 4]}, 12.5))
    assert sink.flush() == []
    sink.end()
    first, last = told.wait_for(2)
    assert [first["number"], last["number"]] == [3, 11]
    assert last["typ"] == "mdw/preview"
    assert (last["shape"], last["step"], last["time"], last["arm"]) == ((64, 96), (2, 2), 12.5, 3)
    assert "image" not in last
    image = previews.find("sink", "D.camera").image
    assert image.shape == (32, 48)
    assert image[2, 3] == 999
    assert (image == 11).sum() == 32 * 48 - 1


def test_what_waits_is_shown_when_it_is_time(open_node: Open, told: Came) -> None:
    sink = open_node("preview", {"rate": 25}, {"camera": IMAGES})
    for first in (0, 1):
        sink.process(Item(first, {"camera": np.zeros((1, 64, 96), np.uint16)}))
    deadline = time.monotonic() + 20
    while len(told.all) < 2:
        sink.flush()
        assert time.monotonic() < deadline
    assert [notice["number"] for notice in told.all] == [0, 1]


@given(st.integers(1, 300), st.integers(1, 300), st.integers(16, 5000), st.sampled_from(["max", "mean", "pick"]))
def test_a_small_picture_has_at_most_as_many_pixels_as_asked(
    height: int, width: int, pixels: int, binning: str
) -> None:
    frame = np.arange(height * width, dtype=np.uint32).reshape(height, width)
    small, step = make_small(frame, pixels, binning)
    assert 0 < small.size <= pixels
    assert small.shape == (height // step[0], width // step[1])
    assert small.dtype == np.uint32
    whole = frame[: small.shape[0] * step[0], : small.shape[1] * step[1]]
    blocks = whole.reshape(small.shape[0], step[0], small.shape[1], step[1])
    if binning == "max":
        assert np.array_equal(small, blocks.max(axis=(1, 3)))
    elif binning == "mean":
        assert np.allclose(small, blocks.mean(axis=(1, 3)), atol=1)
    else:
        assert np.array_equal(small, blocks[:, 0, :, 0])


def test_curves_can_be_shown(open_node: Open, told: Came, previews: Previews) -> None:
    sink = open_node("preview", {"pixels": 100}, {"mca": Flow((1000,), "float64", 1)})
    sink.process(Item(0, {"mca": np.arange(1000.0).reshape(1, 1000)}))
    told.wait_for(1)
    assert previews.find().image.tolist() == list(range(9, 1000, 10))


def test_a_preview_that_is_not_there_is_told_with_those_that_are(
    open_node: Open, told: Came, previews: Previews
) -> None:
    with pytest.raises(DataError, match=r"preview of node 'look': there is none\n  seen: pictures of: no node"):
        previews.find("look")
    open_node("preview", {}, {"camera": IMAGES}).process(Item(0, {"camera": np.zeros((1, 64, 96), np.uint16)}))
    told.wait_for(1)
    with pytest.raises(DataError, match=r"pictures of: sink\n  do:   did you mean 'sink'"):
        previews.find("sinc")
    with pytest.raises(DataError, match=r"preview of node 'sink' of D.other"):
        previews.find("sink", "D.other")


INPUTS = {"sums": SUMS, "fit.center": Flow((), "float64", 100, units="mm"), "mca": Flow((3,), "uint32", 100)}


def _all(first: int, count: int) -> Item:
    numbers = np.arange(first, first + count, dtype=float)
    mca = np.ones((count, 3), np.uint32)
    return Item(first, {**rows(first, count).arrays, "fit.center": numbers / 10, "mca": mca}, 12.5)


def test_documents_are_a_run_that_event_model_accepts(open_node: Open, told: Came) -> None:
    sink = open_node("documents", {"page_events": 10}, INPUTS, metadata={"sample": "copper"})
    sink.process(_all(0, 4))
    sink.flush()
    sink.process(_all(6, 25))
    sink.end()
    sink.close({"reason": ""})
    told.wait_for(7)
    documents = [(notice["name"], notice["doc"]) for notice in told.all]
    assert {notice["typ"] for notice in told.all} == {"mdw/document"}
    assert [name for name, _ in documents] == ["start", "descriptor", *["event_page"] * 4, "stop"]
    validate(documents)
    events = [event for name, doc in documents if name == "event_page" for event in event_model.unpack_event_page(doc)]
    assert [event["seq_num"] for event in events] == [1, 2, 3, 4, *range(7, 32)]
    assert events[4]["data"] == {"sums_a": 6, "sums_b": 12, "fit_center": 0.6, "mca": [1, 1, 1]}
    assert documents[1][1]["data_keys"]["fit_center"]["units"] == "mm"
    assert documents[-1][1]["num_events"] == {"primary": 29}
    assert documents[-1][1]["exit_status"] == "success"
    assert documents[0][1]["metadata"] == {"sample": "copper"}


def validate(documents: list[tuple[str, dict[str, Any]]]) -> None:
    """By event-model's own schemas."""
    for name, doc in documents:
        event_model.schema_validators[event_model.DocumentNames[name]].validate(doc)


def test_an_actor_that_takes_over_goes_on_with_the_same_run(open_node: Open, told: Came) -> None:
    sink = open_node("documents", {}, {"sums": SUMS})
    sink.process(rows(0, 2))
    sink.flush()
    told.wait_for(3)
    again = open_node("documents", {}, {"sums": SUMS}, resume=True)
    again.process(rows(1, 2))
    again.close({"reason": "node-failed"})
    told.wait_for(5)
    start, _, first, second, stop = (notice["doc"] for notice in told.all)
    assert first["descriptor"] == second["descriptor"]
    assert first["uid"][1] == second["uid"][0]
    assert (stop["run_start"], stop["exit_status"], stop["reason"]) == (start["uid"], "abort", "node-failed")
    assert "num_events" not in stop


def test_a_value_that_is_no_number_travels(open_node: Open, told: Came) -> None:
    sink = open_node("documents", {}, {"center": Flow((), "float64", 1)})
    sink.process(Item(0, {"center": np.array([math.nan])}))
    sink.end()
    page = told.wait_for(3)[2]["doc"]
    assert math.isnan(page["data"]["center"][0])
    assert math.isnan(decode(encode(page))["data"]["center"][0])


@pytest.mark.parametrize(
    ("kind", "inputs", "seen"),
    [
        (
            "feedback",
            {"camera": Flow((512, 512), "uint16")},
            "too large",
        ),
        ("preview", {"cube": Flow((4, 8, 8), "uint16")}, r"shape \(4, 8, 8\)"),
        ("preview", {"number": Flow((), "float64")}, r"shape \(\)"),
        ("documents", {"camera": Flow((512, 512), "uint16")}, "524288 of them from 'camera'"),
        ("documents", {"a": Flow((), "float64"), "b": Flow((), "float64", every=10)}, "a: every 1, b: every 10"),
        ("documents", {"a": Flow((1,), "float64", columns=("b",)), "a_b": Flow((), "float64")}, "called 'a_b'"),
    ],
)
def test_what_they_cannot_take_is_told_before_anything_starts(kind: str, inputs: dict[str, Flow], seen: str) -> None:
    with pytest.raises(GraphInvalid, match=seen) as caught:
        build_node(NodeSpec(name="sink", kind=kind)).plan(inputs)
    assert "node 'sink'" in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "bad"),
    [
        ("preview", {"rate": 0}),
        ("preview", {"rate": 100}),
        ("preview", {"pixels": 1}),
        ("preview", {"binning": "median"}),
        ("documents", {"page_events": 0}),
        ("feedback", {"rate": 1}),
    ],
)
def test_bad_parameters_are_refused(kind: str, bad: dict[str, Any]) -> None:
    with pytest.raises(GraphInvalid, match=next(iter(bad))):
        build_node(NodeSpec(name="n", kind=kind, parameters=bad))


@pytest.mark.parametrize("kind", ["feedback", "preview", "documents"])
def test_without_a_console_the_graph_is_not_armed(kind: str) -> None:
    inputs = {"x": Flow((4,), "float64")}
    with pytest.raises(NodeFailed, match="node 'sink': has no console to send to"):
        open_sink(kind, {}, inputs)


def test_a_console_that_is_gone_or_stuck_holds_no_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mamba.data_worker.console_link._QUEUE_MESSAGES", 100)
    console = ConsoleReceiver(tmp_path, {})  # bound, and nobody takes
    sink = open_sink("feedback", {}, {"sums": SUMS}, replace(JOB, console=console.endpoint))
    with run_beside(lambda: [sink.process(rows(n, 1)) for n in range(10_000)]):
        pass
    assert sink._sender.unsent > 0  # type: ignore[attr-defined]
    console.close()
    sink.process(rows(10_000, 1))
    sink.close({})


def test_whoever_asks_over_the_wire_gets_the_picture(
    open_node: Open, told: Came, monkeypatch: pytest.MonkeyPatch, previews: Previews
) -> None:
    monkeypatch.setattr("mamba.data_worker.control.previews", previews)
    ask = GraphServices(dict).verbs()["graph/preview"]
    frames = np.arange(4 * 64 * 96, dtype=np.uint16).reshape(4, 64, 96)
    open_node("preview", {"pixels": 6144}, {"camera": IMAGES}).process(Item(0, {"camera": frames}, 12.5))
    told.wait_for(1)
    answer = decode(encode(ask(node="sink")))
    assert np.array_equal(answer.pop("image"), frames[3])
    assert answer == {
        "node": "sink",
        "device": "D.camera",
        "arm": 3,
        "number": 3,
        "shape": [64, 96],
        "step": [1, 1],
        "time": 12.5,
    }
    with pytest.raises(DataError, match="preview of node 'look': there is none"):
        ask(node="look")
