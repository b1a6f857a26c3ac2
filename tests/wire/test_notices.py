"""Notices over real sockets: order, filter, gaps."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from mamba.wire import notices
from mamba.wire.publisher import Publisher
from mamba.wire.subscriber import Gap, Subscriber


@pytest.fixture
def publisher(folder: Path) -> Iterator[Publisher]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    publisher = Publisher(context, f"ipc://{folder}/notify")
    yield publisher
    publisher.close()
    context.destroy(linger=0)


def subscribe(publisher: Publisher, folder: Path, **options: Any) -> Subscriber:
    """A subscriber that hears the publisher."""
    subscriber = Subscriber(f"ipc://{folder}/notify", **options)
    prefix = options.get("prefixes", ["probe"])[0]
    deadline = time.monotonic() + 5
    while subscriber.receive(0.01) is None:
        publisher.publish(f"{prefix}probe", {})
        assert time.monotonic() < deadline
    while subscriber.receive(0.1):
        pass
    return subscriber


def test_figure_3_c_is_how_a_notice_begins(publisher: Publisher, folder: Path) -> None:
    context: Any = zmq.Context()
    plain = context.socket(zmq.SUB)
    plain.subscribe(b'{"typ": "scan/')
    plain.connect(f"ipc://{folder}/notify")
    while not plain.poll(10):
        publisher.publish("scan/start", {"id": 1234})
    assert plain.recv().startswith(b'{"typ": "scan/start", "id": 1234, "time": ')
    plain.close(0)
    context.term()


def test_numbers_grow_per_typ(publisher: Publisher, folder: Path) -> None:
    with subscribe(publisher, folder) as subscriber:
        for typ in ("a", "b", "a"):
            publisher.publish(typ, {"x": 1})
        got = [subscriber.receive(2) for _ in range(3)]
        assert [(n["typ"], n["seq"], n["x"]) for n in got if n] == [("a", 1, 1), ("b", 1, 1), ("a", 2, 1)]


def test_only_what_was_asked_for_comes(publisher: Publisher, folder: Path) -> None:
    with subscribe(publisher, folder, prefixes=["scan/"]) as subscriber:
        publisher.publish("cmd/done", {})
        publisher.publish("scan/point", {"data": {"$type": "float", "value": "inf"}})
        notice = subscriber.receive(2)
        assert notice is not None
        assert notice["data"] == float("inf")


def test_a_slow_subscriber_sees_its_gap_and_slows_nobody(folder: Path) -> None:
    gaps: list[Gap] = []
    context: Any = zmq.Context()
    small = Publisher(context, f"ipc://{folder}/small", high_water_mark=10)
    with Subscriber(f"ipc://{folder}/small", on_gap=gaps.append, high_water_mark=10) as subscriber:
        while subscriber.receive(0.01) is None:
            small.publish("point", {})
        started = time.monotonic()
        for _ in range(20_000):
            small.publish("point", {"data": "x" * 100})
        assert time.monotonic() - started < 5
        while subscriber.receive(0.1):
            pass
        small.publish("point", {})
        last = subscriber.receive(2)
        assert last is not None
        assert last["seq"] == small.seq["point"]
        assert gaps
        assert gaps[0].missed > 0
    small.close()
    context.term()


def test_numbers_of_a_state_answer_show_what_was_missed_before(publisher: Publisher, folder: Path) -> None:
    gaps: list[Gap] = []
    with subscribe(publisher, folder, on_gap=gaps.append) as subscriber:
        for _ in range(5):
            publisher.publish("a", {})
        while subscriber.receive(0.1):
            pass
        subscriber.expect({"a": 3})
        publisher.publish("a", {})
        assert subscriber.receive(2)
    assert gaps == [Gap("a", 4, 6)]
    assert gaps[0].missed == 2


def test_what_a_state_answer_told_already_does_not_come_again(publisher: Publisher, folder: Path) -> None:
    gaps: list[Gap] = []
    with subscribe(publisher, folder, on_gap=gaps.append) as subscriber:
        for _ in range(5):
            publisher.publish("a", {})
        subscriber.expect({"a": 3})
        numbers = [notice["seq"] for notice in iter(lambda: subscriber.receive(0.3), None)]
    assert numbers == [4, 5]
    assert gaps == []


def test_numbers_that_begin_anew_are_a_gap(publisher: Publisher, folder: Path) -> None:
    gaps: list[Gap] = []
    with subscribe(publisher, folder, on_gap=gaps.append) as subscriber:
        for _ in range(3):
            publisher.publish("a", {})
            subscriber.receive(2)
        publisher.seq.clear()
        publisher.publish("a", {})
        notice = subscriber.receive(2)
        assert notice is not None
        assert notice["seq"] == 1
    assert gaps == [Gap("a", 4, 1)]
    assert gaps[0].missed < 0


def test_wait_for_drops_what_is_not_meant(publisher: Publisher, folder: Path) -> None:
    with subscribe(publisher, folder) as subscriber:
        for number in range(3):
            publisher.publish("cmd/done", {"id": number})
        notice = subscriber.wait_for("cmd/done", timeout_s=2, id=2)
        assert notice is not None
        assert notice["seq"] == 3
        assert subscriber.wait_for("cmd/done", timeout_s=0.05) is None


def test_a_field_that_cannot_travel_is_the_publishers_mistake(publisher: Publisher) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        publisher.publish("a", {"x": float("nan")})
    assert "a" not in publisher.seq


@pytest.mark.error_logged
def test_a_listener_that_raises_stops_nobody() -> None:
    got: list[Any] = []
    detach = [notices.attach(lambda notice: 1 / 0), notices.attach(got.append)]  # type: ignore[arg-type, return-value]
    notices.publish("scan/start", id=1234)
    for call in detach:
        call()
    notices.publish("scan/start", id=1235)
    assert got == [{"typ": "scan/start", "id": 1234, "time": got[0]["time"]}]
    assert abs(got[0]["time"] - time.time()) < 10
