from __future__ import annotations

import math
from typing import Any

from taurus_gui.receipt import read_receipt
from taurus_gui.run_model import FRAME_RATE, RunModel, absorption, say_duration

START = {
    "typ": "scan/start",
    "id": 3,
    "uid": "u",
    "plan": "scan",
    "motors": ["M.energy"],
    "detectors": ["D.i0", "D.i1"],
    "num_points": 4,
    "x": "M_energy",
    "time": 100.0,
}
NUMBER = {"units": "", "dtype": "number", "shape": []}
DESCRIPTOR = {
    "typ": "scan/descriptor",
    "uid": "u",
    "stream": "primary",
    "keys": {
        "M_energy": {**NUMBER, "units": "keV"},
        "M_energy_setpoint": NUMBER,
        "D_i0": NUMBER,
        "D_i1": NUMBER,
        "D_frames": {"units": "", "dtype": "array", "shape": [2, 2]},
    },
}


def point(n: int, **data: float) -> dict[str, Any]:
    return {"typ": "scan/point", "uid": "u", "stream": "primary", "n": n, "data": data, "time": 100.0 + 2 * n}


def feed(*notices: dict[str, Any]) -> RunModel:
    model = RunModel()
    for notice in notices:
        model.take(notice)
    return model


def test_curve_axes_and_time_left() -> None:
    model = feed(START, DESCRIPTOR, point(1, M_energy=8.9, D_i0=100.0, D_i1=50.0))
    assert model.list_y_names() == ["−ln(D_i1/D_i0)", "D_i0", "D_i1"]
    assert model.curve("−ln(D_i1/D_i0)") == ([8.9], [math.log(2)])
    assert model.curve("D_i0") == ([8.9], [100.0])
    assert (model.done, model.total, model.seconds_left()) == (1, 4, 6.0)


def test_a_missed_point_leaves_a_hole_and_a_repeated_one_nothing() -> None:
    first = point(1, M_energy=8.9, D_i0=1.0, D_i1=1.0)
    model = feed(START, DESCRIPTOR, first, first, point(3, M_energy=9.1, D_i0=3.0, D_i1=1.0))
    _, y = model.curve("D_i0")
    assert model.points == 3
    assert y[0] == 1.0
    assert math.isnan(y[1])
    assert y[2] == 3.0


def test_other_runs_are_not_mixed_in() -> None:
    assert not feed(START, DESCRIPTOR).take({**point(1), "uid": "other"})


def test_late_join_equals_having_listened() -> None:
    points = [point(n, M_energy=8.9 + n, D_i0=2.0, D_i1=1.0) for n in (1, 2, 3)]
    stop = {"typ": "scan/stop", "uid": "u", "exit_status": "abort", "reason": "beam lost"}
    listened, joined = feed(START, DESCRIPTOR, *points, stop), RunModel()
    joined.load({"start": START, "descriptor": DESCRIPTOR, "points": points, "stop": stop})
    assert joined.columns == listened.columns
    assert joined.stop == listened.stop
    assert not joined.is_running
    joined.load(None)
    assert joined.points == 0


def test_frames_take_the_progress_over() -> None:
    model = feed(
        {**START, "num_points": 1},
        {"typ": "mdw/progress", "written": 500, "frames": 2000, "frames_per_s": 750, "time": 101.0},
    )
    assert (model.done, model.total, model.seconds_left()) == (500, 2000, 2.0)
    model.take({"typ": "mdw/done", "written": 2000, "frames_per_s": 640.0, "time": 104.0})
    assert (model.done, model.total) == (2000, 2000)
    assert model.list_y_names() == [FRAME_RATE]
    assert model.curve(FRAME_RATE) == ([1.0], [750.0])


def test_seconds_of_an_acquisition_without_a_run_count_from_its_own_beginning() -> None:
    progress = {"typ": "mdw/progress", "frames": 100, "frames_per_s": 50}
    model = feed(
        {**progress, "arm": 1, "written": 0, "time": 1.79e9},
        {**progress, "arm": 1, "written": 50, "time": 1.79e9 + 1},
        {"typ": "mdw/done", "arm": 1, "written": 100, "time": 1.79e9 + 2},
    )
    assert model.curve(FRAME_RATE) == ([0.0, 1.0], [50.0, 50.0])
    assert not model.is_running
    model.take({**progress, "arm": 2, "written": 0, "time": 1.79e9 + 60})
    assert model.curve(FRAME_RATE) == ([0.0], [50.0])
    assert (model.done, model.total, model.is_running) == (0, 100, True)


def test_a_count_without_motor_is_plotted_against_the_point() -> None:
    model = feed({**START, "motors": [], "x": None}, DESCRIPTOR, point(1, D_i0=5.0, D_i1=1.0))
    assert model.curve("D_i0") == ([1.0], [5.0])


def test_small_words() -> None:
    assert math.isnan(absorption(0, 1))
    assert [say_duration(s) for s in (45.2, 200, 3900)] == ["45 s", "3 min 20 s", "1 h 05 min"]


def test_outcome_is_one_line() -> None:
    done = {"id": "1", "text": "1 / 0", "rep": {"err": "exc", "desc": "ZeroDivisionError: division by zero\nmore"}}
    assert read_receipt(done).outcome == "ZeroDivisionError: division by zero"
    refused = {**done, "rep": {"err": "not-logged-in", "desc": "logout: nobody is logged in"}}
    assert read_receipt(refused).outcome == "logout: nobody is logged in (not-logged-in)"
    assert read_receipt({**done, "rep": {"err": "", "ret": "a\nb"}}).outcome == "'a\\nb'"
    assert read_receipt({"id": "1", "text": "x"}).state == "running"
    paused = read_receipt({**done, "rep": {"err": "run-paused", "desc": "run 3: paused"}})
    assert (paused.failed, read_receipt(done).failed) == (False, True)
