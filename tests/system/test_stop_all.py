"""The red button of the operator's window, pressed with the mouse and with its keys, on axes that really move."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import pytest
import tango

from mamba.config import BUILT_IN_PROFILE, load_profile
from tests.support.facility import Facility, wait_until

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of the imports of Taurus
    from PyQt5 import QtTest
    from taurus.external.qt import QtCore

    from taurus_gui.application import close_window, open_window
    from taurus_gui.operator import Operator


@pytest.fixture
def operator(beamline: Facility) -> Iterator[Operator]:
    app, window = open_window(beamline.runtime, load_profile(BUILT_IN_PROFILE))
    try:
        yield Operator(window)
    finally:
        close_window(app, window)


@pytest.fixture
def axis(beamline: Facility) -> Iterator[tango.DeviceProxy]:
    axis = tango.DeviceProxy(f"tango://{beamline.tango_host}/vbl/axis/sample_x")
    axis.Velocity = 1.0
    axis.Position = axis.Position + 12
    wait_until(lambda: axis.state() == tango.DevState.MOVING, "it moves")
    yield axis
    axis.Stop()
    wait_until(lambda: axis.state() != tango.DevState.MOVING, "it stands")


@pytest.mark.parametrize("how", ["mouse", "keys"])
def test_the_red_button_stops_what_another_program_moved(operator: Operator, axis: tango.DeviceProxy, how: str) -> None:
    bar = operator.window.run_bar
    operator.wait_ready()
    operator.wait_until(bar.stop_all.isEnabled, what="the red button")
    if how == "mouse":
        QtTest.QTest.mouseClick(bar.stop_all, QtCore.Qt.LeftButton)
    else:
        operator.window.history.entry.setFocus()  # wherever the cursor is
        operator.window.activateWindow()
        QtTest.QTest.keyClick(operator.window, "S", QtCore.Qt.ControlModifier | QtCore.Qt.ShiftModifier)
    operator.wait_until(lambda: axis.state() != tango.DevState.MOVING, what="the axis to stand")
    operator.wait_until(lambda: "stopped M.sample_x" in bar.error.text(), what="the window to say so")
    assert bar.error.text().startswith("everything was stopped by ")
    assert bar.stop_all.isEnabled()
