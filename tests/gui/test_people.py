"""Logging in, roles and control, in real windows on the practice host."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from PyQt5 import QtTest
from taurus.external.qt import QtCore, QtWidgets

from mamba.config import Profile
from mamba.runtime import RuntimeDirectory
from taurus_gui.dialogs.login import Login
from taurus_gui.operator import Operator
from taurus_gui.widgets.person_box import PersonBox
from tests.gui.conftest import opened_window
from tests.gui.support import ACCOUNTS, PracticeHost
from tests.support.tango_facility import TangoFacility

NARROW = 1041

OpenWindow = Callable[[str], Operator]
"""Opens one more window and logs a person in ("" for nobody)."""


@pytest.fixture
def host(runtime: RuntimeDirectory) -> Iterator[PracticeHost]:
    """People log in, and one at a time is in control."""
    with PracticeHost(runtime, logins=True, control=True, point_s=0.05) as practice_host:
        yield practice_host


@pytest.fixture
def open_as(
    runtime: RuntimeDirectory, profile: Profile, host: PracticeHost, tango_facility: TangoFacility
) -> Iterator[OpenWindow]:
    with ExitStack() as windows:

        def open_one(person: str) -> Operator:
            operator = windows.enter_context(opened_window(runtime, profile, tango_facility))
            operator.wait_ready()
            if person:
                operator.log_in(person, ACCOUNTS[person][0])
            return operator

        yield open_one


@pytest.fixture
def limited(profile: Profile) -> Profile:
    """The profile with less room for an operator at M.energy."""
    energy = profile.devices.M["energy"].model_copy(update={"limits": {"operator": (8.0, 10.0)}})
    devices = profile.devices.model_copy(update={"M": {**profile.devices.M, "energy": energy}})
    return profile.model_copy(update={"devices": devices})


def box(operator: Operator) -> PersonBox:
    return operator.window.run_bar.people


def acting_buttons(operator: Operator) -> list[QtWidgets.QPushButton]:
    window = operator.window
    rows = window.devices.rows
    energy = rows["M.energy"]
    return [window.history.run, window.builder.preview.run, energy.go, energy.plus, *rows["M.shutter"]._buttons]


def holding_buttons(operator: Operator) -> list[QtWidgets.QPushButton]:
    bar = operator.window.run_bar
    return [bar.pause, bar.pause_choice.more, bar.abort, bar.abort_choice.more]


def take_control(operator: Operator) -> None:
    operator.choose(box(operator).control, "Take control")
    operator.wait_until(lambda: operator.window.people.access.is_holder, what="control")


def start_scan(operator: Operator) -> None:
    operator.fill_scan(start="8.9", stop="9.1", points=30, plan="scan", detectors=["D.i0"], motor="M.energy")
    QtTest.QTest.mouseClick(operator.window.builder.preview.run, QtCore.Qt.LeftButton)
    wait_run(operator, "running")


def wait_run(operator: Operator, state: str) -> None:
    operator.wait_until(lambda: operator.window.run.get("state") == state, what=f"the run to be {state}")


def test_every_request_after_a_login_carries_its_token(open_as: OpenWindow, host: PracticeHost) -> None:
    operator = open_as("")
    assert box(operator).person.text() == "nobody logged in"
    assert not box(operator).logout.isVisible()
    host.asked.clear()
    operator.log_in("alice", "wonderland", "2026-117")
    operator.wait_until(lambda: box(operator).details.text() == "operator · 2026-117", what="role and proposal")
    assert box(operator).person.text() == "alice"
    assert not box(operator).login.isVisible()
    take_control(operator)
    receipt = operator.type_command("42")
    assert (receipt.result, receipt.person) == (42, "alice")
    token = operator.window.backend.token
    assert len(token) > 20
    after = host.asked[[asked["typ"] for asked in host.asked].index("auth/login") + 1 :]
    assert {asked["typ"] for asked in after} >= {"control/take", "cmd"}
    assert {asked["token"] for asked in after} == {token}


def test_a_password_stays_in_its_request(
    open_as: OpenWindow, host: PracticeHost, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level("DEBUG")
    operator = open_as("")
    dialog = operator.fill_login("alice", "wonderland")
    assert dialog.password.echoMode() == QtWidgets.QLineEdit.Password
    assert dialog.password.text() == ""
    dialog.password.undo()
    assert dialog.password.text() == ""
    window = operator.window
    operator.wait_until(lambda: window.people.access.person == "alice", what="the login")
    assert [asked["typ"] for asked in host.asked if "wonderland" in str(asked)] == ["auth/login"]
    kept = (window, window.backend, window.people, window.commander, dialog)
    assert not [thing for thing in kept if "wonderland" in repr(vars(thing))]
    assert "wonderland" not in caplog.text + "".join(capfd.readouterr())


def test_a_refused_login_is_told_in_the_dialog_and_tried_again(open_as: OpenWindow, host: PracticeHost) -> None:
    operator = open_as("")
    dialog = operator.fill_login("alice", "guessed")
    assert not dialog.confirm.isEnabled()
    operator.wait_until(dialog.error.text, what="the refusal")
    assert "name or password is wrong" in dialog.error.text()
    assert operator.window.dialog is dialog
    assert dialog.edit.text() == "alice"
    assert dialog.password.hasFocus() or not dialog.isActiveWindow()
    assert operator.window.backend.token == ""
    operator._type(dialog.password, "wonderland")
    operator._press_when_enabled(dialog.confirm)
    operator.wait_until(lambda: operator.window.dialog is None, what="the dialog to close")
    assert operator.window.people.access.person == "alice"


def test_a_dialog_that_was_cancelled_is_not_told_the_answer(open_as: OpenWindow, host: PracticeHost) -> None:
    operator = open_as("")
    dialog = operator.fill_login("alice", "guessed")
    QtTest.QTest.mouseClick(dialog.cancel, QtCore.Qt.LeftButton)
    operator.wait_until(lambda: not operator.window.backend._following.connection._pending, what="the refusal")
    assert operator.window.dialog is None
    assert operator.window.backend.token == ""


def test_logging_out_is_a_request_and_so_is_closing_the_window(open_as: OpenWindow, host: PracticeHost) -> None:
    operator = open_as("alice")
    take_control(operator)
    QtTest.QTest.mouseClick(box(operator).logout, QtCore.Qt.LeftButton)
    operator.wait_until(lambda: box(operator).person.text() == "nobody logged in", what="the logout")
    operator.wait_until(lambda: box(operator).control.text().startswith("Control: nobody"), what="the end of control")
    assert host.commands == []
    assert operator.window.backend.token == ""
    operator.log_in("alice", "wonderland")
    operator.window.close()
    operator.wait_until(lambda: not host.people.is_present("alice"), what="the second logout")


def test_a_new_host_knows_no_login_and_the_bar_says_so(
    runtime: RuntimeDirectory, profile: Profile, tango_facility: TangoFacility
) -> None:
    with opened_window(runtime, profile, tango_facility) as operator:
        window = operator.window
        with PracticeHost(runtime, logins=True):
            operator.wait_ready()
            operator.log_in("alice", "wonderland")
        operator.wait_until(lambda: not window.backend.is_connected, what="the loss of the host")
        with PracticeHost(runtime, logins=True) as second:
            operator.wait_until(lambda: box(operator).person.text() == "log in again", what="the word about it")
            operator.wait_until(lambda: second.requests, what="the state for who is not logged in")
            operator.wait_until(lambda: not window.backend._following.connection._pending, what="all answers")
            assert box(operator).person.text() == "log in again"
            assert window.dialog is None
            assert window.backend.token == ""
            for button in acting_buttons(operator):
                assert not button.isEnabled()
                assert button.toolTip().startswith("log in again")
            operator.log_in("alice", "wonderland")
            assert operator.type_command("7").result == 7


def test_without_logins_there_is_no_password_and_all_windows_see_the_proposal(
    runtime: RuntimeDirectory, profile: Profile, tango_facility: TangoFacility
) -> None:
    with PracticeHost(runtime) as host, opened_window(runtime, profile, tango_facility) as operator:
        operator.wait_ready()
        assert not box(operator).control.isVisible()
        dialog = operator.fill_login("L. Zhang", proposal="2026-117")
        assert dialog.password.parent() is None
        operator.wait_until(lambda: box(operator).details.text() == "2026-117", what="the proposal")
        with opened_window(runtime, profile, tango_facility) as late:
            late.wait_until(lambda: box(late).details.text() == "2026-117", what="the proposal in a late window")
            assert box(late).person.text() == "L. Zhang"
        assert [asked for asked in host.asked if "password" in asked or "token" in asked] == []


def test_an_observer_may_look_and_is_told_why_no_more(open_as: OpenWindow, host: PracticeHost) -> None:
    alice, eve = open_as("alice"), open_as("eve")
    take_control(alice)
    start_scan(alice)
    wait_run(eve, "running")
    for button in (*acting_buttons(eve), *holding_buttons(eve), eve.window.run_bar.resume):
        assert not button.isEnabled()
        assert button.toolTip() == "eve is an observer: may look, not act"
    for choice in (box(eve).take, box(eve).ask, box(eve).release, box(eve).force):
        assert not choice.isEnabled()
    assert not box(eve).force.isVisible()
    eve._type(eve.window.devices.rows["M.energy"].target, "9")
    QtTest.QTest.keyClick(eve.window.devices.rows["M.energy"].target, QtCore.Qt.Key_Return)
    assert eve.window.devices.rows["M.energy"].error.text() == "eve is an observer: may look, not act"
    eve._type(eve.window.history.entry, "1 + 1")
    QtTest.QTest.keyClick(eve.window.history.entry, QtCore.Qt.Key_Return)
    assert eve.window.history.error.text() == "eve is an observer: may look, not act"
    assert len(host.commands) == 1


def test_while_somebody_else_is_in_control_one_may_hold_but_not_act(open_as: OpenWindow, host: PracticeHost) -> None:
    alice, bob = open_as("alice"), open_as("bob")
    assert acting_buttons(alice)[0].toolTip() == "nobody is in control: take control first"
    take_control(alice)
    assert box(alice).control.text() == "Control: you ▾"
    assert all(button.isEnabled() for button in acting_buttons(alice) if button is not alice.window.builder.preview.run)
    bob.wait_until(lambda: box(bob).control.text() == "Control: alice ▾", what="who is in control")
    start_scan(alice)
    wait_run(bob, "running")
    for button in acting_buttons(bob):
        assert not button.isEnabled()
        assert button.toolTip().startswith("alice is in control, since ")
    assert all(button.isEnabled() for button in holding_buttons(bob))
    bob.pause()
    assert not bob.window.run_bar.resume.isEnabled()
    assert bob.window.run_bar.resume.toolTip().startswith("alice is in control")
    alice.resume()
    bob.abort("smoke")
    assert host.run["reason"] == "smoke"


def test_control_is_asked_for_and_given(open_as: OpenWindow, host: PracticeHost) -> None:
    alice, bob = open_as("alice"), open_as("bob")
    take_control(alice)
    strip = alice.window.control_strip
    assert not strip.isVisible()
    bob.wait_until(box(bob).ask.isEnabled, what="somebody to ask")
    bob.choose(box(bob).control, "Ask for control")
    alice.wait_until(strip.isVisible, what="the question")
    assert strip.question.text().startswith("bob asks for control (")
    first = strip.question.text()
    alice.wait_until(lambda: strip.question.text() != first, what="the time to run down")
    assert alice.window.dialog is None
    assert alice.type_command("42").result == 42
    assert not bob.window.control_strip.isVisible()
    bob.wait_until(lambda: "was asked" in box(bob).control.toolTip(), what="the question to be noted")
    assert not box(bob).ask.isEnabled()
    QtTest.QTest.mouseClick(strip.give, QtCore.Qt.LeftButton)
    bob.wait_until(lambda: bob.window.people.access.is_holder, what="control")
    alice.wait_until(lambda: not strip.isVisible(), what="the question to go")
    assert box(alice).control.text() == "Control: bob ▾"
    assert bob.type_command("43").result == 43


def test_control_is_kept_or_passes_by_itself(
    runtime: RuntimeDirectory, profile: Profile, tango_facility: TangoFacility
) -> None:
    with ExitStack() as stack:
        stack.enter_context(PracticeHost(runtime, logins=True, control=True, control_timeout_s=1.5))
        alice, bob = (stack.enter_context(opened_window(runtime, profile, tango_facility)) for _ in range(2))
        for operator, person in ((alice, "alice"), (bob, "bob")):
            operator.wait_ready()
            operator.log_in(person, ACCOUNTS[person][0])
        take_control(alice)
        bob.wait_until(box(bob).ask.isEnabled, what="somebody to ask")
        bob.choose(box(bob).control, "Ask for control")
        alice.wait_until(alice.window.control_strip.isVisible, what="the question")
        QtTest.QTest.mouseClick(alice.window.control_strip.keep, QtCore.Qt.LeftButton)
        bob.wait_until(lambda: bob.window.run_bar.error.text() == "alice keeps control", what="the answer")
        assert not alice.window.control_strip.isVisible()
        bob.choose(box(bob).control, "Ask for control")
        bob.wait_until(lambda: bob.window.people.access.is_holder, what="control by itself", timeout_s=5)
        bob.choose(box(bob).control, "Release control")
        alice.wait_until(lambda: box(alice).control.text() == "Control: nobody ▾", what="the release")


def test_an_expert_takes_control_by_force(open_as: OpenWindow, host: PracticeHost) -> None:
    alice, grace = open_as("alice"), open_as("grace")
    assert not box(alice).force.isVisible()
    take_control(alice)
    grace.wait_until(box(grace).force.isEnabled, what="something to take")
    assert not box(grace).take.isEnabled()
    grace.choose(box(grace).control, "Take by force")
    grace.wait_until(lambda: grace.window.people.access.is_holder, what="control")
    alice.wait_until(lambda: not alice.window.people.access.is_holder, what="the loss of control")
    assert [asked for asked in host.asked if asked["typ"] == "control/take"][-1]["force"] is True


def test_who_comes_late_sees_who_is_in_control_and_who_asked(open_as: OpenWindow, host: PracticeHost) -> None:
    alice, bob = open_as("alice"), open_as("bob")
    take_control(alice)
    bob.wait_until(box(bob).ask.isEnabled, what="somebody to ask")
    bob.choose(box(bob).control, "Ask for control")
    second = open_as("alice")
    second.wait_until(second.window.control_strip.isVisible, what="the question in alice's second window")
    assert box(second).control.text() == "Control: you ▾"


def test_pause_at_the_next_checkpoint_and_pause_now(open_as: OpenWindow, host: PracticeHost) -> None:
    operator = open_as("alice")
    take_control(operator)
    start_scan(operator)
    bar = operator.window.run_bar
    operator.choose(bar.pause_choice.more, "Pause at the next checkpoint")
    assert bar.activity.text() == "pauses at the next checkpoint"
    wait_run(operator, "paused")
    operator.resume()
    operator.choose(bar.pause_choice.more, "Pause now")
    wait_run(operator, "paused")
    operator.resume()
    operator.pause()
    asked = [asked["defer"] for asked in host.asked if asked["typ"] == "run/pause"]
    assert asked == [True, False, False]


def test_stop_and_halt_end_a_run_in_their_own_ways(open_as: OpenWindow, host: PracticeHost) -> None:
    operator = open_as("alice")
    take_control(operator)
    window = operator.window
    ends = window.run_bar.abort_choice.more
    start_scan(operator)
    operator.choose(ends, "Stop")
    operator.wait_until(lambda: window.plot.model.stop.get("exit_status") == "success", what="the end as a success")
    operator.wait_until(lambda: not host._jobs, what="the end of the cell")
    start_scan(operator)
    operator.choose(ends, "Halt…")
    operator.wait_until(lambda: window.dialog, what="the question")
    assert window.dialog is not None
    said = [label.text() for label in window.dialog.findChildren(QtWidgets.QLabel)]
    assert any("No clean-up runs" in text for text in said)
    assert not any(asked["typ"] == "run/halt" for asked in host.asked)
    operator.answer_dialog("its clean-up hangs")
    operator.wait_until(lambda: window.plot.model.stop.get("exit_status") == "abort", what="the end as aborted")
    assert window.plot.model.stop["reason"] == "its clean-up hangs"
    operator.wait_until(lambda: not host._jobs, what="the end of the cell")
    start_scan(operator)
    operator.choose(ends, "Abort…")
    operator.answer_dialog("enough")
    operator.wait_until(lambda: window.plot.model.stop.get("reason") == "enough", what="the abort")


def test_the_bar_has_room_for_it_all_in_a_narrow_window(open_as: OpenWindow, host: PracticeHost) -> None:
    alice = open_as("")
    alice.log_in("alice", "wonderland", "a proposal with a long name")
    take_control(alice)
    start_scan(alice)
    window = alice.window
    window.resize(NARROW, 780)
    alice.wait_until(lambda: window.width() == NARROW, what="the narrow window")
    bar = window.run_bar
    shown = [button for button in bar.findChildren(QtWidgets.QPushButton) if button.isVisible()]
    assert len(shown) == 8
    for widget in (*shown, bar.state, bar.connection):
        assert widget.width() >= widget.sizeHint().width(), widget.text()
        assert bar.rect().contains(QtCore.QRect(widget.mapTo(bar, QtCore.QPoint(0, 0)), widget.size()))


def test_a_question_counts_down_from_the_time_that_is_left(open_as: OpenWindow, host: PracticeHost) -> None:
    alice = open_as("alice")
    take_control(alice)
    strip = alice.window.control_strip
    host.publish("control/asked", by="bob", person="alice", until=time.time() + 58.4)
    alice.wait_until(strip.isVisible, what="the question")
    assert strip.question.text() == "bob asks for control (59 s)"


def test_the_dialog_asks_for_a_password_only_where_people_log_in(operator_dialog: Login) -> None:
    assert operator_dialog.password.isVisible()
    assert not operator_dialog.confirm.isEnabled()


@pytest.fixture
def operator_dialog(open_as: OpenWindow) -> Login:
    operator = open_as("")
    operator._press_when_enabled(box(operator).login)
    dialog = operator._find_dialog()
    assert isinstance(dialog, Login)
    return dialog


def test_limits_are_those_of_the_role_of_whoever_is_at_the_window(
    runtime: RuntimeDirectory, limited: Profile, host: PracticeHost, tango_facility: TangoFacility
) -> None:
    host.operator_limits["M.energy"] = {"low": 8.0, "high": 10.0, "unit": "keV"}
    with opened_window(runtime, limited, tango_facility) as operator:
        operator.wait_ready()
        row, builder = operator.window.devices.rows["M.energy"], operator.window.builder
        for person, limits, shown in (("grace", (5.0, 20.0), "5 … 20"), ("alice", (8.0, 10.0), "8 … 10")):
            operator.log_in(person, ACCOUNTS[person][0])
            operator.wait_until(lambda limits=limits: row.limits == limits, what=f"the limits of {person}")
            assert row.limits_label.text() == shown
            operator.wait_until(
                lambda limits=limits: builder._limits.get("M.energy") == limits, what="in the scan form"
            )
        row.value.value_changed.emit(9.0)  # the server's own limits do not come back with the next value
        assert row.limits == (8.0, 10.0)
        operator.fill_scan(start="7", stop="9.1", points=3, plan="scan", detectors=["D.i0"], motor="M.energy")
        assert builder.form.start.error.text() == "outside 8 … 10"
        take_control(operator)
        row.target.setText("12")
        QtTest.QTest.mouseClick(row.go, QtCore.Qt.LeftButton)
        assert row.error.text() == "position 12 is outside 8 … 10"
        assert host.commands == []
