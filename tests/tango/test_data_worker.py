"""The Tango server that shows what graphs do: what the session tells is what Jive reads."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import tango
import zmq
from tango import DevState

from mamba.runtime import RuntimeDirectory
from mamba.wire.publisher import Publisher
from tango_servers.data_worker.model import GraphRecord
from tests.support.tango_events import collect_events
from tests.support.tango_facility import TangoFacility, wait_until
from tests.tango.conftest import wait_for_state

NODE = {
    "kind": "stream", "group": "intake", "state": "running", "rows": 40, "rows_per_s": 99.5, "bytes_per_s": 2e6,
    "queued": 1, "credits": 7, "dropped": 3, "lag_s": 0.25, "cpu_percent": 12.5, "memory_bytes": 61_000_000,
}  # fmt: skip
NODES = [{**NODE, "name": "camera"}, {**NODE, "name": "file", "state": "opening", "credits": 0}]
PROGRESS = {
    "device": "D.camera", "arm": 3, "produced": 40, "written": 32, "missing": 1, "frames": 100, "frames_per_s": 98.5,
    "nodes": NODES,
}  # fmt: skip
GAP = {"first": 10, "last": 11, "node": "file", "reason": "disk-full"}
DONE = {
    "device": "D.camera", "arm": 3, "error": "", "produced": 100, "written": 98, "missing": [GAP],
    "frames_per_s": 97.0,
}  # fmt: skip


def test_the_record_follows_one_detector() -> None:
    record = GraphRecord(detector="D.camera")
    assert record.describe() == "no acquisition was heard of since this server started"
    assert not record.take({"typ": "mdw/progress", **PROGRESS, "device": "D.other"})
    assert record.take({"typ": "mdw/progress", **PROGRESS})
    assert record.read("NodeThroughput") == [2.0, 2.0]
    assert record.take({"typ": "mdw/done", **DONE, "error": "disk-full: no room"})
    assert (record.read("FramesMissing"), record.read("NodeNames")) == (2, ["camera", "file"])
    assert "arm 3: failed: disk-full: no room; 100 of 100 frames came" in record.describe()
    assert record.take({"typ": "mdw/progress", "device": "D.camera", "arm": 4, "nodes": []})
    assert (record.read("FramesWritten"), record.read("NodeNames"), record.running) == (0, [], True)


@pytest.fixture(scope="module")
def session() -> Iterator[RuntimeDirectory]:
    with tempfile.TemporaryDirectory(prefix="mb-mdw-") as folder:
        yield RuntimeDirectory.create(Path(folder) / "rt")


@pytest.fixture(scope="module")
def watcher(facility: TangoFacility, session: RuntimeDirectory) -> tango.DeviceProxy:
    facility.register(
        "DataWorker/test",
        {"vbl/mdw/1": ("DataWorker", {"RuntimeDirectory": str(session.path)}), "vbl/mdw/nowhere": ("DataWorker", {})},
    )
    facility.start("DataWorker/test", "tango_servers.data_worker", MAMBA_RUNTIME_DIR="")
    return facility.device("vbl/mdw/1")


@contextmanager
def publishing(session: RuntimeDirectory) -> Iterator[Publisher]:
    context: zmq.Context[Any] = zmq.Context()
    publisher = Publisher(context, session.notify)
    try:
        yield publisher
    finally:
        publisher.close()
        context.term()


@pytest.fixture
def publisher(session: RuntimeDirectory) -> Iterator[Publisher]:
    with publishing(session) as publisher:
        yield publisher


def test_jive_sees_what_the_session_tells(watcher: tango.DeviceProxy, publisher: Publisher) -> None:
    wait_for_state(watcher, DevState.ON)
    with collect_events(watcher, "FramesWritten") as events:

        def act(_number: int) -> None:
            for written in (31, 30):
                publisher.publish("mdw/progress", {**PROGRESS, "written": written})

        events.await_connection(act, 31, 30)
        publisher.publish("mdw/progress", PROGRESS)
        events.wait_for(32)
        wait_for_state(watcher, DevState.RUNNING)
        assert [watcher.Detector, watcher.Arm, watcher.FramesWritten, watcher.FramesMissing] == ["D.camera", 3, 32, 1]
        assert list(watcher.NodeNames) == ["camera", "file"]
        assert list(watcher.NodeStates) == ["running", "opening"]
        assert list(watcher.NodeCredits) == [7, 0]
        assert list(watcher.NodeMemory) == [61.0, 61.0]
        publisher.publish("scan/point", {"device": "D.camera"})
        publisher.publish("mdw/done", DONE)
        wait_for_state(watcher, DevState.ON)
        events.wait_for(32, 98)
    assert watcher.FramesMissing == 2
    assert "arm 3: has ended; 100 of 100 frames came, 98 written, 2 missing" in watcher.Status()
    publisher.publish("mdw/done", {**DONE, "error": "disk-full: no room"})
    wait_for_state(watcher, DevState.ALARM)
    assert "disk-full" in watcher.Status()


def test_a_session_that_ends_is_told_and_the_next_is_heard(
    watcher: tango.DeviceProxy, session: RuntimeDirectory
) -> None:
    for arm in (5, 6):
        wait_for_state(watcher, DevState.UNKNOWN)  # the session before is forgotten
        with publishing(session) as publisher:
            wait_until(lambda: watcher.State() != DevState.UNKNOWN, what="the session is heard")
            publisher.publish("mdw/progress", {**PROGRESS, "arm": arm})
            wait_until(lambda arm=arm: watcher.Arm == arm, what="the arm")
        wait_for_state(watcher, DevState.UNKNOWN)
    assert "mambactl up" in watcher.Status()
    watcher.Init()
    wait_for_state(watcher, DevState.UNKNOWN)
    assert watcher.Arm == 0


def test_without_a_place_to_listen_it_says_what_to_do(facility: TangoFacility, watcher: tango.DeviceProxy) -> None:
    lost = facility.device("vbl/mdw/nowhere")
    assert lost.State() == DevState.FAULT
    assert "property RuntimeDirectory is ''" in lost.Status()
    assert "correct the property and call Init" in lost.Status()


def test_every_attribute_is_described(watcher: tango.DeviceProxy) -> None:
    configs = [c for c in watcher.attribute_list_query() if c.name not in ("State", "Status", "Fault", "Faults")]
    assert len(configs) == 18
    for config in configs:
        assert len(config.description) > 20, config.name
        assert config.unit or config.name in ("Detector", "Arm", "NodeNames", "NodeStates"), config.name
        assert config.writable == tango.AttrWriteType.READ
        assert config.data_type != tango.DevDouble or config.format != "%6.2f", config.name
