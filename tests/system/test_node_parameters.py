"""Other regions from the operator's window to the file: a form, a command in the console, frames of a real camera."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import h5py
import pytest

from mamba.config import BUILT_IN_PROFILE, load_profile
from tests.support.facility import Facility

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of the imports of Taurus
    from PyQt5 import QtTest
    from taurus.external.qt import QtCore

    from taurus_gui.application import close_window, open_window
    from taurus_gui.operator import Operator
    from tests.gui.test_graph_panel import click_tab
    from tests.gui.test_node_parameters import choose, send, type_into

TWO = "[{name: a, x: 0, y: 0, width: 8, height: 8}, {name: b, x: 8, y: 0, width: 8, height: 8}]"


@pytest.fixture
def operator(beamline: Facility) -> Iterator[Operator]:
    app, window = open_window(beamline.runtime, load_profile(BUILT_IN_PROFILE))
    try:
        robot = Operator(window)
        robot.wait_ready()
        yield robot
    finally:
        close_window(app, window)


def test_other_regions_are_measured_and_stay_while_the_camera_is_armed(operator: Operator) -> None:
    panel, dialog = operator.window.graph, operator.window.parameters
    click_tab(operator.window, "Graph")
    operator.wait_until(lambda: panel.headline.text() == "regions of D.camera: idle", what="the graph")
    shown = [[panel.table.item(row, column).text() for column in (0, 2)] for row in range(panel.table.rowCount())]
    assert shown == [["camera", "idle"], ["region_sums", "idle"], ["file", "idle"]], "also before the first arm"
    QtTest.QTest.mouseClick(panel.parameters, QtCore.Qt.LeftButton)
    operator.wait_until(lambda: dialog.form is not None, what="the form")
    choose(operator, dialog, "region_sums")
    type_into(dialog, "regions", TWO)
    send(dialog)
    operator.wait_until(lambda: dialog.preview.note.text().endswith("done"), what="the outcome")
    assert not dialog.error.isVisible()

    receipt = operator.type_command("RE(acquire(D.camera, frames=20))")
    assert receipt.err == ""
    raw = next(file for file in receipt.files if Path(file).suffix == ".h5")
    with h5py.File(raw) as file:
        assert file["/entry/data/region_sums"].shape == (20, 2)

    assert operator.type_command("graph(D.camera).arm(frames=5);").err == ""
    type_into(dialog, "regions", TWO.replace("width: 8", "width: 9"))
    send(dialog)
    operator.wait_until(dialog.error.isVisible, what="the refusal")
    assert "cannot change now: node 'region_sums' would be another" in dialog.error.text()
    assert len(dialog.error.text().splitlines()) <= 5
    assert operator.type_command("graph(D.camera).stop()").err == ""
