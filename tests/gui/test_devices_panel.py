from __future__ import annotations

from PyQt5 import QtTest
from taurus.external.qt import QtCore

from taurus_gui.operator import Operator
from tests.gui.support import PracticeHost
from tests.support.tango_facility import TangoFacility


def test_every_device_of_the_profile_lives(operator: Operator) -> None:
    rows = operator.window.devices.rows
    assert list(rows) == [
        "M.energy",
        "M.sample_x",
        "M.sample_y",
        "M.shutter",
        "D.i0",
        "D.i1",
        "D.current",
        "D.camera",
    ]
    for row in rows.values():
        operator.wait_until(lambda row=row: row.state.value is not None, what=f"{row.expression} to show its state")  # type: ignore[misc]
    operator.wait_until(lambda: rows["M.sample_x"].limits_label.text() == "−25 … 25", what="the limits")
    operator.wait_until(lambda: rows["M.energy"].value.text().endswith("keV"), what="the energy with its unit")
    assert rows["D.current"].value.text().endswith("mA")
    assert rows["M.shutter"].state.text() in ("OPEN", "CLOSE")
    assert "#2e7d4f" in rows["M.energy"].state.styleSheet()


def test_values_follow_the_device(operator: Operator, tango_facility: TangoFacility) -> None:
    device = tango_facility.device("vbl/axis/sample_y")
    row = operator.window.devices.rows["M.sample_y"]
    operator.wait_until(lambda: row.value.value is not None, what="the first value")
    target = 0.25 if row.value.value != 0.25 else 0.5
    device.Position = target
    operator.wait_until(lambda: row.value.text() == f"{target:.4f} mm", what="the new position")
    operator.wait_until(lambda: row.state.text() == "ON", what="the end of the move")


def test_jog_and_move_become_commands(operator: Operator, host: PracticeHost) -> None:
    panel = operator.window.devices
    operator.wait_until(lambda: panel.position("M.sample_x") is not None, what="the position")
    receipt = operator.jog("M.sample_x", "0.10", forward=False)
    assert receipt.text == "RE(mvr(M.sample_x, -0.10))"
    assert receipt.origin == "window: devices"
    operator.move("M.energy", "8.98")
    operator._press(panel.rows["M.shutter"]._buttons[0], timeout_s=5)
    assert panel.preview.text() == "▸ RE(mv(M.shutter, 'open'))"
    assert [c["text"] for c in host.commands][1:] == ["RE(mv(M.energy, 8.98))", "RE(mv(M.shutter, 'open'))"]


def test_a_command_is_shown_before_it_goes(operator: Operator, host: PracticeHost) -> None:
    panel = operator.window.devices
    row = panel.rows["M.energy"]
    operator._type(row.target, "9.0")
    assert panel.preview.text() == "▸ RE(mv(M.energy, 9.0))"
    operator._type(row.step, "0.01")
    QtTest.QTest.mousePress(row.minus, QtCore.Qt.LeftButton)
    assert panel.preview.text() == "▸ RE(mvr(M.energy, -0.01))"
    assert host.commands == []
    QtTest.QTest.mouseRelease(row.minus, QtCore.Qt.LeftButton, pos=row.minus.rect().bottomRight() * 3)
    assert host.commands == []


def test_a_wrong_target_is_marked_and_not_sent(operator: Operator, host: PracticeHost) -> None:
    row = operator.window.devices.rows["M.sample_x"]
    operator.wait_until(lambda: row.limits is not None, what="the limits")
    for typed, said in (("99", "position 99 is outside −25 … 25"), ("", "position: not a number (nothing)")):
        operator._type(row.target, typed)
        QtTest.QTest.mouseClick(row.go, QtCore.Qt.LeftButton)
        assert row.error.text() == said
        assert row.target.property("invalid") is True
    operator._type(row.step, "-1")
    QtTest.QTest.mouseClick(row.plus, QtCore.Qt.LeftButton)
    assert row.error.text().startswith("step: must be above zero")
    assert row.step.property("invalid") is True
    assert host.commands == []


def test_a_dead_server_shows_as_offline(operator: Operator, tango_facility: TangoFacility) -> None:
    row = operator.window.devices.rows["D.camera"]
    operator.wait_until(lambda: row.state.value is not None, what="the camera's state")
    row.state.handleEvent(row.state.getModelObj(), None, None)
    assert row.state.text() == "OFFLINE"
    assert row.state.value is None
