"""Documents to notices: the fields of the brief wire format, and nothing that could raise."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from bluesky.plans import count, scan
from hypothesis import given
from hypothesis import strategies as st
from ophyd.sim import SynAxis, SynGauss, SynSignal

from mamba.devices.names import adopt_device
from mamba.scans import BeamlineRunEngine, DocumentNotices, notices_of
from mamba.wire.values import encode

Notices = list[tuple[str, dict[str, Any]]]


def relay(engine: BeamlineRunEngine) -> Notices:
    kept: Notices = []
    engine.subscribe(
        DocumentNotices(
            files_of=engine.files_of,
            problems_of=engine.problems_of,
            publish=lambda typ, **fields: kept.append((typ, fields)),
        )
    )
    return kept


def test_scan_is_told_in_expressions_and_keys(engine: BeamlineRunEngine) -> None:
    motor = SynAxis(name="x")
    detector = SynSignal(name="det", func=lambda: 7.0)
    adopt_device(motor, "M.x")
    adopt_device(detector, "D.det")
    engine.md["mamba"] = {"command": "RE(…)", "command_id": "c7", "origin": "window", "person": "Ada"}
    kept = relay(engine)
    (uid,) = engine(scan([detector], motor, -1, 1, 3))
    types = [typ for typ, _ in kept]
    assert types == ["scan/start", "scan/descriptor", "scan/point", "scan/point", "scan/point", "scan/stop"]
    start, descriptor, point, stop = kept[0][1], kept[1][1], kept[2][1], kept[-1][1]
    assert start.items() >= {
        "id": 1, "uid": uid, "plan": "scan", "command_id": "c7", "origin": "window", "person": "Ada",
        "motors": ["M.x"], "detectors": ["D.det"], "num_points": 3, "x": "M_x",
    }.items()  # fmt: skip
    assert descriptor["stream"] == "primary"
    assert set(descriptor["keys"]) >= {"M_x", "D_det"}
    assert (point["id"], point["uid"], point["n"], point["stream"]) == (1, uid, 1, "primary")
    assert point["data"]["M_x"] == -1
    assert (stop["exit_status"], stop["num_points"], stop["problems"]) == ("success", 3, [])
    assert stop["files"] == [str(path) for path in engine.files_of(uid)]
    for _, fields in kept:
        encode(fields)


def test_count_has_no_horizontal_key(engine: BeamlineRunEngine) -> None:
    kept = relay(engine)
    motor = SynAxis(name="x")
    engine(count([SynGauss("det", motor, "x", center=0, Imax=1)], 2))
    assert kept[0][1]["x"] is None
    assert kept[0][1]["num_points"] == 2


def test_points_carry_scalars_only() -> None:
    known = {"d": {"run_start": "r", "name": "primary"}, "r": {"scan_id": 5}}
    data = {
        "number": np.float64(1.5), "count": np.int64(3), "zero_d": np.array(2.0), "flag": np.bool_(True), "text": "in",
        "image": np.zeros((2, 2)), "list": [1, 2], "none": None,
    }  # fmt: skip
    ((typ, fields),) = notices_of("event", {"descriptor": "d", "data": data, "seq_num": 1, "time": 0.0}, known)
    assert typ == "scan/point"
    assert fields["id"] == 5
    assert fields["data"] == {"number": 1.5, "count": 3, "zero_d": 2.0, "flag": True, "text": "in"}
    assert {type(value) for value in fields["data"].values()} == {float, int, bool, str}


def test_page_becomes_points() -> None:
    page = {"descriptor": "d", "data": {"a": [1, 2]}, "seq_num": [4, 5], "time": [0.0, 1.0]}
    assert [(f["n"], f["data"]) for _, f in notices_of("event_page", page)] == [(4, {"a": 1}), (5, {"a": 2})]


def test_memory_of_a_run_ends_with_it(engine: BeamlineRunEngine) -> None:
    notices = DocumentNotices(publish=lambda typ, **fields: None)
    engine.subscribe(notices)
    motor = SynAxis(name="x")
    engine(count([SynGauss("det", motor, "x", center=0, Imax=1)], 2))
    assert notices._known == {}


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ("uid", "time", "scan_id", "motors", "detectors", "hints", "data_keys", "data", "descriptor", "run_start",
          "seq_num", "num_events", "name", "mamba", "reason", "plan_name")  # fmt: skip


@given(
    name=st.sampled_from(["start", "descriptor", "event", "event_page", "stop", "datum", "stream_resource", "?"]),
    doc=st.dictionaries(st.sampled_from(FIELDS), anything, max_size=8),
)
def test_odd_documents_never_raise(name: str, doc: dict[str, Any]) -> None:
    assert isinstance(notices_of(name, doc), list)
    assert isinstance(DocumentNotices(publish=lambda typ, **fields: None).convert(name, doc), list)


def test_a_point_costs_microseconds() -> None:
    known = {"d": {"run_start": "r", "name": "primary"}, "r": {"scan_id": 5}}
    event = {"descriptor": "d", "data": {f"key_{i}": float(i) for i in range(10)}, "seq_num": 1, "time": 0.0}
    best = min(timed(lambda: [notices_of("event", event, known) for _ in range(200)]) for _ in range(5))
    assert best / 200 < 200e-6


def timed(act: Any) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


@pytest.mark.parametrize("hints", [None, {}, {"dimensions": []}, {"dimensions": [[[], "primary"]]}, {"dimensions": 3}])
def test_missing_hints_mean_no_horizontal_key(hints: object) -> None:
    assert notices_of("start", {"hints": hints})[0][1]["x"] is None
