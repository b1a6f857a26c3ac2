from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PyQt5 import QtTest
from taurus.external.qt import QtCore, QtWidgets

from mamba.config import Profile
from mamba.runtime import RuntimeDirectory
from mamba.wire.values import encode
from taurus_gui.operator import Operator
from taurus_gui.widgets.history import COLUMNS
from tests.gui.conftest import opened_window
from tests.gui.support import PracticeHost
from tests.support.tango_facility import TangoFacility


def result_cell(operator: Operator, row: int, column: str) -> str:
    table = operator.window.history.table
    return str(table.data(table.index(row, COLUMNS.index(column))))


def test_an_xafs_scan_by_fields_and_buttons(operator: Operator, host: PracticeHost) -> None:
    seen: list[tuple[int, int]] = []
    receipt = operator.scan_xafs(on_progress=lambda done, total: seen.append((done, total)))
    text = "RE(xafs_scan([D.i0, D.i1], M.energy, element='Cu', edge='K', time_scale=0.02))"
    assert host.commands[0]["text"] == receipt.text == text
    assert host.commands[0]["origin"] == receipt.origin == "window: scan"
    assert (receipt.err, receipt.n, receipt.result) == ("", 1, ["uid-7"])
    assert receipt.files == ("/data/00007_scan.nxs",)
    assert seen[-1] == (120, 120)
    plot = operator.window.plot
    plot.redraw()
    x, y = plot.curve.getData()
    assert len(x) == 120
    assert y[-1] - y[0] > 1.0
    assert plot.y_choice.currentText() == "−ln(D_i1/D_i0)"
    assert plot.bar.text() == "120 of 120 points"
    assert "done" in plot.title.text()


def test_errors_are_shown_where_the_command_came_from(operator: Operator) -> None:
    history = operator.window.history
    receipt = operator.type_command("1 / 0")
    assert (receipt.err, receipt.desc) == ("exc", "ZeroDivisionError: division by zero")
    assert history.error.text() == "ZeroDivisionError: division by zero"
    assert history.entry.property("invalid") is True
    assert result_cell(operator, 0, "Result") == "ZeroDivisionError: division by zero"
    assert result_cell(operator, 0, "State") == "failed"
    operator.type_command("42")
    assert not history.error.isVisible()
    assert history.entry.text() == ""
    assert result_cell(operator, 1, "Result") == "42"


def tip_of_cell(operator: Operator, row: int, column: str) -> str:
    table = operator.window.history.table
    return str(table.data(table.index(row, COLUMNS.index(column)), QtCore.Qt.ToolTipRole))


def test_who_sent_a_command_is_told_with_role_and_process(operator: Operator) -> None:
    operator.type_command("42")
    assert result_cell(operator, 0, "Person") == "default"
    assert tip_of_cell(operator, 0, "Person") == f"expert, process {os.getpid()}"


def test_a_command_that_waits_says_what_for(operator: Operator, host: PracticeHost) -> None:
    history = operator.window.history
    for text in ("wait", "42"):
        history.entry.setText(text)
        QtTest.QTest.mouseClick(history.run, QtCore.Qt.LeftButton)
    operator.wait_until(lambda: history.table.rowCount() == 2, what="both commands")
    running = {**host.commands[0], "text": "RE(scan([D.i0],\n  M.energy, 8.9, 9.1, 21))", "person": "bob"}
    host.publish("cmd/waiting", id="c-2", why="busy", running={**running, "since": time.time()})
    said = "waits for RE(scan([D.i0], M.energy, 8.9, 9.1, 21)) of bob (window: command line), since "
    operator.wait_until(lambda: result_cell(operator, 1, "Result").startswith(said), what="what it waits for")
    assert result_cell(operator, 1, "State") == "waiting"
    assert tip_of_cell(operator, 1, "Result").startswith(said)
    host.publish("cmd/running", **{**host.commands[0], "person": "eve", "time": time.time()})
    operator.wait_until(lambda: "of eve" in result_cell(operator, 1, "Result"), what="the next that runs before it")
    host.publish("cmd/waiting", id="c-2", why="prompt-occupied", running=None)
    operator.wait_until(lambda: "prompt is free" in result_cell(operator, 1, "Result"), what="the prompt")
    host.publish("cmd/running", **host.commands[1])
    operator.wait_until(lambda: result_cell(operator, 1, "State") == "running", what="its turn")
    assert result_cell(operator, 1, "Result") == ""


def test_who_comes_late_sees_what_waits_and_for_whom(operator: Operator, host: PracticeHost) -> None:
    waiting = {"id": "c-9", "state": "waiting", "why": "queued", "n": None, "text": "42", "origin": "a script"}
    host.waiting.append({**waiting, "person": "bob"})
    operator.window.backend.load_state()
    operator.wait_until(lambda: operator.window.history.table.rowCount() == 1, what="the row")
    assert result_cell(operator, 0, "Result") == "waits for its turn"
    assert result_cell(operator, 0, "Person") == "bob"


def test_a_refused_command_is_told_and_kept(operator: Operator, host: PracticeHost) -> None:
    operator.window.history.entry.setText("\x1b")
    QtTest.QTest.mouseClick(operator.window.history.run, QtCore.Qt.LeftButton)
    operator.wait_until(operator.window.history.error.text, what="the refusal")
    assert "text-refused" in operator.window.history.error.text()
    assert result_cell(operator, 0, "State") == "refused"
    assert host.commands == []


def test_double_click_copies_a_command_back(operator: Operator) -> None:
    operator.type_command("42")
    view = operator.window.history.view
    place = view.visualRect(view.model().index(0, 1)).center()
    QtTest.QTest.mouseClick(view.viewport(), QtCore.Qt.LeftButton, pos=place)
    QtTest.QTest.mouseDClick(view.viewport(), QtCore.Qt.LeftButton, pos=place)
    assert operator.window.history.entry.text() == "42"


def test_range_outside_the_limits_never_leaves_the_window(operator: Operator, host: PracticeHost) -> None:
    builder = operator.window.builder
    fields = {"points": 21, "plan": "scan", "detectors": ["D.i0"], "motor": "M.energy"}
    operator.wait_until(lambda: builder._limits.get("M.energy"), what="the limits")
    operator.fill_scan(start="4.9", stop="9.1", **fields)
    assert builder.form.start.error.text() == "outside 5 … 20"
    assert not builder.preview.run.isEnabled()
    operator.fill_scan(start="5", stop="abc", **fields)
    assert builder.form.start.error.text() == ""
    assert "not a number" in builder.form.stop.error.text()
    operator.fill_scan(start="5", stop="9.10", **fields)
    assert builder.preview.text() == "RE(scan([D.i0], M.energy, 5, 9.10, 21))"
    operator.fill_scan(start="5", stop="9.1", **{**fields, "detectors": []})
    assert "tick" not in builder.detectors_error.text()
    assert builder.detectors_error.text().startswith("detectors")
    assert not builder.preview.run.isEnabled()
    assert host.commands == []


def test_relative_range_counts_from_where_the_motor_stands(operator: Operator) -> None:
    builder = operator.window.builder
    operator.wait_until(lambda: operator.window.devices.position("M.energy"), what="the live energy")
    operator.wait_until(lambda: builder._limits.get("M.energy"), what="the limits")
    operator.fill_scan(start="-5", stop="0.1", points=3, plan="rel_scan", detectors=["D.i0"], motor="M.energy")
    assert builder.form.start.error.text() == "outside 5 … 20"
    operator.fill_scan(start="-0.1", stop="0.1", points=3, plan="rel_scan", detectors=["D.i0"], motor="M.energy")
    assert builder.preview.text() == "RE(rel_scan([D.i0], M.energy, -0.1, 0.1, 3))"


def test_what_is_written_into_the_preview_is_what_runs(operator: Operator, host: PracticeHost) -> None:
    preview = operator.window.builder.preview
    operator.fill_scan(start="8.9", stop="9.1", points=3, plan="scan", detectors=["D.i0"], motor="M.energy")
    preview.edit.selectAll()
    QtTest.QTest.keyClicks(preview.edit, "6 * 7 # by hand")  # type: ignore[call-arg]
    assert preview.note.text() == "changed by hand"
    QtTest.QTest.mouseClick(preview.copy, QtCore.Qt.LeftButton)
    assert QtWidgets.QApplication.clipboard().text() == "6 * 7 # by hand"
    QtTest.QTest.mouseClick(preview.run, QtCore.Qt.LeftButton)
    operator.wait_until(lambda: host.commands, what="the command")
    assert host.commands[0]["text"] == "6 * 7 # by hand"


def test_pause_resume_and_abort_while_a_scan_runs(operator: Operator, host: PracticeHost) -> None:
    host.point_s = 0.05
    window = operator.window
    operator.fill_scan(start="8.9", stop="9.1", points=30, plan="scan", detectors=["D.i0"], motor="M.energy")
    QtTest.QTest.mouseClick(window.builder.preview.run, QtCore.Qt.LeftButton)
    operator.pause()
    assert window.run_bar.state.text() == "paused"
    assert not window.run_bar.pause.isEnabled()
    operator.resume()
    operator.abort("sample moved")
    operator.wait_until(lambda: window.plot.model.stop, what="the stop notice")
    assert window.plot.model.stop["reason"] == "sample moved"
    assert [command["text"] for command in host.commands] == ["RE(scan([D.i0], M.energy, 8.9, 9.1, 30))"]
    operator.wait_until(lambda: window.builder.preview.error.text(), what="the error beneath the preview")
    assert "run: aborted" in window.builder.preview.error.text()


def test_a_suspended_run_says_which_devices_it_waits_for(operator: Operator, host: PracticeHost) -> None:
    host.point_s = 0.05
    window, bar = operator.window, operator.window.run_bar
    operator.fill_scan(start="8.9", stop="9.1", points=30, plan="scan", detectors=["D.i0"], motor="M.energy")
    QtTest.QTest.mouseClick(window.builder.preview.run, QtCore.Qt.LeftButton)
    operator.wait_until(lambda: bar.state.text() == "running", what="the run")
    host.suspend_run("M.energy", "D.i0")
    operator.wait_until(lambda: window.run.get("state") == "running" and window.run["waits_for"], what="the wait")
    assert bar.state.text() == "suspended"
    assert bar.error.text() == "the run goes on when M.energy and D.i0 can be reached again"
    assert bar.pause.isEnabled()
    assert bar.abort.isEnabled()
    operator.wait_until(lambda: window.plot.title.text().endswith("suspended"), what="the title of the plot")
    window.backend.load_state()  # who comes late sees the same
    operator.wait_until(lambda: host.requests.count("state") >= 2, what="the state asked for again")
    assert bar.state.text() == "suspended"
    host.go_on()
    operator.wait_until(lambda: bar.state.text() == "running", what="the run goes on")
    assert bar.error.text() == ""
    operator.abort("enough seen")


def test_log_in_is_a_request_and_log_out_a_command(operator: Operator, host: PracticeHost) -> None:
    operator.log_in("L. Zhang ' \"; 1/0")
    assert operator.window.run_bar.people.person.text() == "L. Zhang ' \"; 1/0"
    assert host.commands == []
    assert operator.log_out().err == ""
    assert operator.log_out().err == "not-logged-in"
    assert "nobody is logged in" in operator.window.run_bar.error.text()
    assert [command["text"] for command in host.commands] == ["U.logout()"] * 2


def test_who_comes_late_sees_the_run_and_the_history(
    operator: Operator, runtime: RuntimeDirectory, profile: Profile, tango_facility: TangoFacility
) -> None:
    operator.scan(start="8.9", stop="9.1", points=30)
    operator.type_command("1 / 0")
    with opened_window(runtime, profile, tango_facility) as late:
        late.wait_ready()
        assert late.window.plot.model.columns == operator.window.plot.model.columns
        assert late.window.history.table.rowCount() == 2
        assert result_cell(late, 1, "Result") == "ZeroDivisionError: division by zero"


def test_a_run_whose_console_dies_is_lost_also_for_who_asks_later(operator: Operator, host: PracticeHost) -> None:
    window = operator.window
    host.publish("scan/start", id=9, uid="u", plan="scan", num_points=30, motors=[], detectors=[], x=None)
    host.publish("run/state", state="running", uid="u", id=9, reason="")
    operator.wait_until(lambda: window.plot.title.text() == "Run 9 · scan · running", what="the run")
    host.publish("session/died", reason="killed by SIGKILL")
    lost = "Run 9 · scan · lost, its console ended"
    operator.wait_until(lambda: window.plot.title.text() == lost, what="the loss of the run")
    host.publish(
        "session/made-safe", stopped=["M.energy"], closed=["M.shutter"], aborted=[], failed={"M.x": "no answer"}
    )
    safe = "after the console ended: M.x NOT brought to rest: no answer; stopped M.energy; closed M.shutter"
    operator.wait_until(lambda: window.run_bar.error.toolTip() == safe, what=safe)
    host.prompt = "starting"
    host.publish("session/started", pid=1)
    operator.wait_until(lambda: "starts" in window.run_bar.activity.text(), what="the new console")
    assert window.plot.title.text() == lost
    host.publish("devices/changed", devices={})
    operator.wait_until(lambda: not window.run_bar.activity.text(), what="its devices")


def test_results_that_are_arrays_or_nan_are_read_twice(operator: Operator, host: PracticeHost) -> None:
    table = operator.window.history.table
    for n, value in enumerate((np.zeros(3), np.nan, "last"), start=1):
        receipt = {"id": f"r-{n}", "n": n, "text": "x", "origin": "console", "rep": {"err": "", "ret": encode(value)}}
        host.history.append(receipt)
        host.publish("cmd/done", **receipt)
    operator.wait_until(lambda: table.rowCount() == 3, what="the receipts")
    changed: list[object] = []
    operator.window.commander.receipt_changed.connect(changed.append)
    host.history.append({**receipt, "id": "r-4", "n": 4})
    operator.window.backend.load_state()
    operator.wait_until(lambda: table.rowCount() == 4, what="the receipt that only the state told")
    assert len(changed) == 1


def test_a_gap_in_the_notices_makes_the_window_ask_again(operator: Operator, host: PracticeHost) -> None:
    host.publish("cmd/done", id="x", n=1, text="1", origin="console", rep={"err": "", "ret": 1})
    operator.wait_until(lambda: operator.window.history.table.rowCount() == 1, what="the first receipt")
    asked = host.requests.count("state")
    host.skip_notice("cmd/done")
    host.publish("cmd/done", id="y", n=3, text="3", origin="console", rep={"err": "", "ret": 3})
    operator.wait_until(lambda: host.requests.count("state") == asked + 1, what="the question for state")


def test_the_window_outlives_the_session_host(
    runtime: RuntimeDirectory, profile: Profile, tango_facility: TangoFacility
) -> None:
    with opened_window(runtime, profile, tango_facility) as operator:
        window = operator.window
        assert not window.history.run.isEnabled()
        with PracticeHost(runtime):
            operator.wait_ready()
            window.history.entry.setText("wait")
            QtTest.QTest.mouseClick(window.history.run, QtCore.Qt.LeftButton)
            operator.wait_until(lambda: window.history.table.rowCount() == 1, what="the row of the command")
        operator.wait_until(lambda: not window.backend.is_connected, what="the loss to be noticed", timeout_s=2)
        assert window.run_bar.connection.text() == "no console"
        assert not window.history.run.isEnabled()
        with PracticeHost(runtime) as second:
            operator.wait_until(lambda: window.backend.is_connected, what="the new connection")
            operator.wait_until(window.history.error.text, what="word of the lost command")
            assert "connection-lost" in window.history.error.text()
            assert operator.type_command("7").result == 7
            assert [command["text"] for command in second.commands] == ["7"]


def test_without_a_host_a_request_is_answered_at_once(
    runtime: RuntimeDirectory, profile: Profile, tango_facility: TangoFacility
) -> None:
    with opened_window(runtime, profile, tango_facility) as operator:
        replies: list[str] = []
        operator.window.backend.ask("state", lambda reply: replies.append(reply.err))
        operator.wait_until(lambda: replies, what="the refusal", timeout_s=1)
        assert replies == ["connection-lost"]


def test_frames_move_the_progress_bar(operator: Operator, host: PracticeHost) -> None:
    host.publish(
        "scan/start", id=9, uid="a", plan="acquire", detectors=["D.camera"], motors=[], num_points=None, x=None
    )
    host.publish(
        "mdw/progress", device="D.camera", produced=900, written=800, missing=0, frames=2000, frames_per_s=600.0
    )
    plot = operator.window.plot
    operator.wait_until(lambda: plot.bar.text() == "800 of 2000 frames", what="the progress")
    assert plot.note.text() == "600 frames/s · 2 s left"
    host.publish("mdw/done", device="D.camera", produced=2000, written=2000, missing=0, frames=2000, frames_per_s=600.0)
    host.publish("scan/stop", id=9, uid="a", exit_status="success", reason="", num_points=1, files=[])
    operator.wait_until(lambda: "done" in plot.title.text(), what="the end")
    assert plot.bar.text() == "2000 of 2000 frames"


@pytest.mark.parametrize(
    ("typ", "fields", "end"),
    [
        ("mdw/done", {"arm": 3, "written": 2000, "error": ""}, "done"),
        ("mdw/done", {"arm": 3, "written": 1200, "error": "disk-full: no room"}, "failed: disk-full: no room"),
        ("session/died", {"reason": "killed by SIGKILL"}, "lost, its console ended"),
    ],
)
def test_an_acquisition_without_a_run_has_a_title_and_progress(
    operator: Operator, host: PracticeHost, typ: str, fields: dict[str, Any], end: str
) -> None:
    plot, title = operator.window.plot, "Acquisition without a run · D.camera"
    assert plot.title.text() == "No run yet"
    host.publish("mdw/progress", device="D.camera", arm=3, written=1000, frames=2000, frames_per_s=100.0, missing=0)
    operator.wait_until(lambda: plot.title.text() == f"{title} · running", what="the acquisition")
    assert plot.bar.text() == "1000 of 2000 frames"
    assert plot.note.text() == "100 frames/s · 10 s left"
    host.publish(typ, **fields)
    operator.wait_until(lambda: plot.title.text() == f"{title} · {end}", what="its end")
    assert "left" not in plot.note.text()


def test_a_scan_after_an_acquisition_is_in_sight(operator: Operator, host: PracticeHost) -> None:
    host.publish(
        "scan/start", id=9, uid="a", plan="acquire", detectors=["D.camera"], motors=[], num_points=None, x=None
    )
    for written in range(0, 2000, 100):
        host.publish("mdw/progress", written=written, frames=2000, frames_per_s=100.0 + written, time=1e6 + written)
    host.publish("scan/stop", id=9, uid="a", exit_status="success", reason="", num_points=1, files=[])
    plot = operator.window.plot
    operator.wait_until(lambda: "done" in plot.title.text(), what="the end of the acquisition")
    operator.scan(start="8.9", stop="9.1", points=30)

    def is_in_sight() -> bool:
        (left, right), _ = plot.plot.getViewBox().viewRange()
        return bool(8.8 < left < 8.9 and 9.1 < right < 9.2)

    operator.wait_until(is_in_sight, what="the axis to fit the curve")
    operator.wait_until(lambda: len(plot.curve.getData()[0]) == 30, what="all points to be drawn")


def test_a_flood_of_notices_never_holds_the_event_loop_long(operator: Operator, host: PracticeHost) -> None:
    for n in range(3000):
        host.publish("noise/x", n=n)
    longest, clock = 0, QtCore.QElapsedTimer()
    seen: list[int] = []
    operator.window.backend.noticed.connect(lambda notice: seen.append(notice.get("n", -1)))
    drain: Callable[[], None] = operator.window.backend._drain
    while len(seen) < 2000:
        clock.start()
        drain()
        longest = max(longest, clock.elapsed())
    assert longest < 100  # 20 ms on a quiet machine; one notice may be slow on a busy one
    operator.wait_until(lambda: 2999 in seen, what="the last notice")


def test_the_screenshot_is_a_picture_of_the_window(operator: Operator, tmp_path: Path) -> None:
    operator.screenshot(tmp_path / "window.png")
    assert (tmp_path / "window.png").read_bytes().startswith(b"\x89PNG")
    assert operator.window.width() == 1400
