"""A node's parameters are seen and changed in a form, by a command that can be read before it is sent."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from PyQt5 import QtTest
from taurus.external.qt import QtCore, QtGui, QtWidgets

from mamba.config import Profile
from mamba.data_worker.graph import parse_graph
from mamba.data_worker.kinds import describe_kind, list_kinds
from mamba.data_worker.meters import NodeProgress
from mamba.data_worker.status_table import GraphStatus
from mamba.errors import GraphInvalid
from mamba.runtime import RuntimeDirectory
from taurus_gui.dialogs.node_parameters import NodeParameters
from taurus_gui.operator import Operator
from taurus_gui.parameter_schema import read_parameters
from taurus_gui.widgets.node_form import NodeForm
from taurus_gui.widgets.parameter_editor import ParameterEditor
from tests.gui.conftest import opened_window
from tests.gui.support import PracticeHost
from tests.gui.test_graph_panel import click_tab, tell_progress
from tests.support.tango_facility import TangoFacility

GRAPH = """
name: tomo
nodes:
  - {name: camera, kind: stream}
  - {name: left, kind: region_sums, parameters: {regions: [{name: a, x: 0, y: 0, width: 8, height: 8}]}}
  - {name: screen, kind: preview, parameters: {rate: 2}}
  - {name: clean, kind: mask, parameters: {pixels: [[3, 4]]}}
  - {name: small, kind: rebin, parameters: {factors: [2, 2]}}
  - {name: file, kind: hdf5, parameters: {writers: 2}}
edges:
  - {from: camera, to: left}
  - {from: camera, to: screen, policy: latest}
  - {from: camera, to: clean}
  - {from: clean, to: small}
  - {from: small, to: file}
  - {from: left, to: file}
"""
NODES = (("camera", "stream"), ("left", "region_sums"), ("screen", "preview"), ("file_2", "hdf5"))


@pytest.fixture
def shown(operator: Operator, host: PracticeHost) -> Operator:
    """The tab *Graph* shows a graph that runs."""
    show_graph(operator, host)
    return operator


def show_graph(operator: Operator, host: PracticeHost) -> None:
    host.described = parse_graph(GRAPH)
    nodes = tuple(
        NodeProgress(name, kind, name, "running", 928, 255.4, 534e6, 1, 15, 0, 0.0, 8.2, 1) for name, kind in NODES
    )
    host.graph = GraphStatus("tomo", "D.camera", "", "running", 10, 1500, 924, 920, 0, 239.2, "", "", nodes).as_data()
    tell_progress(host)
    operator.wait_until(lambda: operator.window.plot.model.frames, what="the notice")
    click_tab(operator.window, "Graph")
    operator.wait_until(lambda: operator.window.graph.table.rowCount() == len(NODES), what="the nodes")


def open_node(operator: Operator, name: str) -> NodeParameters:
    """By a double click on its row."""
    table = operator.window.graph.table
    row = next(row for row in range(table.rowCount()) if table.item(row, 0).text() == name)
    at = table.visualItemRect(table.item(row, 0)).center()
    for click in (QtTest.QTest.mouseClick, QtTest.QTest.mouseDClick):
        click(table.viewport(), QtCore.Qt.LeftButton, QtCore.Qt.NoModifier, at)
    dialog = operator.window.parameters
    operator.wait_until(lambda: dialog.isVisible() and dialog.form is not None, what="the form")
    return dialog


def editor(dialog: NodeParameters, name: str) -> ParameterEditor:
    assert dialog.form is not None
    return dialog.form.editors[name]


def type_into(dialog: NodeParameters, name: str, text: str) -> ParameterEditor:
    """As a hand would: into the view, click, select all, type over it."""
    found = editor(dialog, name)
    dialog.scroll.ensureWidgetVisible(found)
    is_line = isinstance(found.input, QtWidgets.QLineEdit)
    QtTest.QTest.mouseClick(found.input if is_line else found.input.viewport(), QtCore.Qt.LeftButton)
    QtTest.QTest.keyClick(found.input, QtCore.Qt.Key_A, QtCore.Qt.ControlModifier)
    QtTest.QTest.keyClick(found.input, QtCore.Qt.Key_Delete)
    QtTest.QTest.keyClicks(found.input, text)  # type: ignore[call-arg]
    return found


def choose(operator: Operator, dialog: NodeParameters, node: str) -> None:
    """By the arrow keys, in the list of nodes."""
    steps = dialog.node.findText(node) - dialog.node.currentIndex()
    for _ in range(abs(steps)):
        QtTest.QTest.keyClick(dialog.node, QtCore.Qt.Key_Down if steps > 0 else QtCore.Qt.Key_Up)
    operator.wait_until(lambda: dialog.form is not None, what="the form")
    assert dialog.node.currentText() == node


def send(dialog: NodeParameters) -> None:
    QtTest.QTest.mouseClick(dialog.preview.run, QtCore.Qt.LeftButton)


def test_a_parameter_is_changed_by_a_command_that_is_seen_before(shown: Operator, host: PracticeHost) -> None:
    dialog = open_node(shown, "screen")
    assert dialog.windowTitle() == "Parameters: tomo of D.camera"
    assert dialog.doc.text().startswith("preview: ")
    assert [editor(dialog, name).read() for name in ("rate", "pixels", "binning")] == [2, 65536, "max"]
    labels = [label.text() for label in dialog.form.findChildren(QtWidgets.QLabel)] if dialog.form else []
    assert {"rate", "Hz", "most pictures in a second · above 0, at most 25 · default 5.0"} <= set(labels)
    assert not dialog.preview.run.isEnabled()
    assert dialog.preview.note.text() == "nothing is changed yet"

    type_into(dialog, "rate", "12.5")
    QtTest.QTest.keyClick(editor(dialog, "binning").input, QtCore.Qt.Key_Down)
    command = "graph(D.camera).set_parameters('screen', rate=12.5, binning='mean')"
    assert dialog.preview.text() == command
    assert host.commands == [], "seen before it is sent"
    send(dialog)
    shown.wait_until(lambda: dialog.preview.note.text() == "In [1] done", what="the outcome")
    (sent,) = host.commands
    assert (sent["text"], sent["origin"]) == (command, "window: graph")
    assert [editor(dialog, name).read() for name in ("rate", "pixels", "binning")] == [12.5, 65536, "mean"]
    assert dialog.preview.text() == "", "what is set is no change any more"
    assert not dialog.preview.run.isEnabled()


def test_what_was_typed_for_another_node_stays_until_the_dialog_is_closed(shown: Operator, host: PracticeHost) -> None:
    dialog = open_node(shown, "screen")
    type_into(dialog, "rate", "12.5")
    choose(shown, dialog, "small")
    QtTest.QTest.keyClick(editor(dialog, "by").input, QtCore.Qt.Key_Down)
    assert dialog.preview.text() == "graph(D.camera).set_parameters('small', by='mean')"
    send(dialog)
    shown.wait_until(lambda: dialog.preview.note.text() == "In [1] done", what="the outcome")
    choose(shown, dialog, "screen")
    assert dialog.preview.text() == "graph(D.camera).set_parameters('screen', rate=12.5)"
    choose(shown, dialog, "small")
    open_node(shown, "screen")
    shown.wait_until(lambda: dialog.preview.text().endswith("rate=12.5)"), what="what was typed")
    dialog.close()
    open_node(shown, "screen")
    assert editor(dialog, "rate").read() == 2


def test_enter_in_a_field_sends_nothing_and_ctrl_enter_sends_the_command(shown: Operator, host: PracticeHost) -> None:
    dialog = open_node(shown, "screen")
    field = type_into(dialog, "rate", "3").input
    QtTest.QTest.keyClick(field, QtCore.Qt.Key_Return)
    assert dialog.isVisible()
    assert shown.type_command("42").result == 42, "what came before it would stand in the list"
    assert [command["text"] for command in host.commands] == ["42"]
    dialog.activateWindow()
    shown.wait_until(dialog.isActiveWindow, what="the dialog to have the keys")
    QtTest.QTest.keyClick(field, QtCore.Qt.Key_Return, QtCore.Qt.ControlModifier)
    shown.wait_until(lambda: dialog.preview.note.text() == "In [2] done", what="the outcome")
    assert host.commands[1]["text"] == "graph(D.camera).set_parameters('screen', rate=3)"


def test_what_is_on_its_way_is_not_sent_twice(shown: Operator, host: PracticeHost) -> None:
    QtTest.QTest.keyClicks(shown.window.history.entry, "wait")  # type: ignore[call-arg]  # a command that never ends
    QtTest.QTest.mouseClick(shown.window.history.run, QtCore.Qt.LeftButton)
    dialog = open_node(shown, "screen")
    type_into(dialog, "rate", "3")
    send(dialog)
    shown.wait_until(lambda: len(host.commands) == 2, what="the command on its way")
    assert not dialog.preview.run.isEnabled()
    assert dialog.preview.note.text() == "sent: the tab Commands says what it waits for"


def test_a_switch_is_clicked_and_the_wheel_changes_nothing_that_was_not(shown: Operator) -> None:
    dialog = open_node(shown, "left")
    choose(shown, dialog, "small")
    box = editor(dialog, "crop").input
    QtTest.QTest.mouseClick(box, QtCore.Qt.LeftButton, QtCore.Qt.NoModifier, QtCore.QPoint(8, box.height() // 2))
    assert dialog.preview.text() == "graph(D.camera).set_parameters('small', crop=True)"
    combo = editor(dialog, "by").input
    turn_wheel(combo)
    assert combo.currentText() == "sum"
    combo.setFocus()
    turn_wheel(combo)
    assert combo.currentText() == "mean"


def turn_wheel(widget: QtWidgets.QWidget) -> None:
    """One notch towards the person."""
    middle = QtCore.QPointF(widget.rect().center())
    at, no = QtCore.QPointF(widget.mapToGlobal(widget.rect().center())), QtCore.QPoint()
    event = QtGui.QWheelEvent(
        middle, at, no, QtCore.QPoint(0, -120), QtCore.Qt.NoButton, QtCore.Qt.NoModifier, QtCore.Qt.NoScrollPhase, False
    )
    QtWidgets.QApplication.sendEvent(widget, event)


def test_the_form_of_every_kind_shows_its_defaults_and_changes_nothing(operator: Operator) -> None:
    for kind in list_kinds():
        parameters = read_parameters(describe_kind(kind).parameters)
        form = NodeForm([each for each in parameters if not each.required], {})
        assert form.read_changes() == {}, kind


@pytest.mark.parametrize(
    ("node", "name", "typed", "says"),
    [
        ("screen", "rate", "26", "rate: 26 is greater than the maximum of 25"),
        ("screen", "rate", "0", "rate: 0 is less than or equal to the minimum of 0"),
        ("screen", "rate", "fast", "rate: not a number ('fast')"),
        ("screen", "pixels", "20.5", "pixels: not a whole number (20.5)"),
        ("screen", "pixels", "", "pixels: not a number (nothing)"),
        ("left", "regions", "[{name: a, x: -1, y: 0, width: 8, height: 8}]", "regions.0.x: -1 is less than"),
        ("left", "regions", "[{name: a, x: 1, y: 0, width: 8}]", "regions.0: 'height' is a required property"),
        ("left", "regions", "[]", "regions: [] should be non-empty"),
        ("left", "regions", "", "regions: nothing is given"),
        ("left", "regions", "[{name: a", "regions: is not YAML in line 1"),
        ("left", "regions", "2026-01-01", "regions: is not plain data (Object of type date is not JSON serializable)"),
    ],
)  # fmt: skip
def test_a_wrong_one_is_marked_at_its_row_and_nothing_can_be_sent(
    shown: Operator, node: str, name: str, typed: str, says: str
) -> None:
    dialog = open_node(shown, node)
    row = type_into(dialog, name, typed)
    assert row.error.isVisible()
    assert row.error.text().startswith(says)
    assert row.input.property("invalid") is True
    assert dialog.preview.text() == ""
    assert not dialog.preview.run.isEnabled()
    assert dialog.preview.note.text().startswith(says)
    assert dialog.preview.run.toolTip() == dialog.preview.note.text()


def test_a_mended_row_is_no_longer_marked(shown: Operator) -> None:
    dialog = open_node(shown, "screen")
    row = type_into(dialog, "rate", "26")
    type_into(dialog, "pixels", "1")
    assert dialog.preview.note.text().endswith(", and 1 more")
    type_into(dialog, "pixels", "100")
    type_into(dialog, "rate", "25")
    assert not row.error.isVisible()
    assert dialog.preview.text() == "graph(D.camera).set_parameters('screen', rate=25, pixels=100)"
    assert dialog.preview.run.isEnabled()


def test_regions_are_edited_as_a_text(shown: Operator, host: PracticeHost) -> None:
    dialog = open_node(shown, "left")
    assert editor(dialog, "regions").input.toPlainText() == "- {name: a, x: 0, y: 0, width: 8, height: 8}"
    type_into(dialog, "regions", "[{name: b, x: 1, y: 2, width: 3, height: 4, shape: ellipse}]")
    send(dialog)
    shown.wait_until(lambda: dialog.preview.note.text() == "In [1] done", what="the outcome")
    assert host.described is not None
    (region,) = host.described.node("left").parameters["regions"]
    assert region == {"name": "b", "x": 1, "y": 2, "width": 3, "height": 4, "shape": "ellipse"}


def test_what_the_console_refuses_is_said_in_the_dialog(shown: Operator, host: PracticeHost) -> None:
    dialog = open_node(shown, "left")
    type_into(dialog, "regions", "[{name: b, x: 1, y: 2, width: 3, height: 4}]")
    refusal = GraphInvalid(
        "graph tomo: cannot change now: node 'left' would be another",
        remedy="what a file depends on stays until the arm ends; change branches that only show or steer",
    )
    host.refusals[dialog.preview.text()] = refusal
    send(dialog)
    shown.wait_until(dialog.error.isVisible, what="the refusal")
    assert dialog.error.text() == str(refusal)
    assert dialog.preview.run.isEnabled(), "it may be tried again"
    type_into(dialog, "regions", "[{name: c, x: 1, y: 2, width: 3, height: 4}]")
    assert not dialog.error.isVisible()


def test_what_only_pydantic_can_tell_comes_back_from_the_console(shown: Operator, host: PracticeHost) -> None:
    dialog = open_node(shown, "left")
    type_into(dialog, "regions", "[" + ", ".join(["{name: b, x: 1, y: 2, width: 3, height: 4}"] * 2) + "]")
    send(dialog)
    shown.wait_until(dialog.error.isVisible, what="the refusal")
    assert "node 'left'" in dialog.error.text()
    assert len(dialog.error.text().splitlines()) <= 5


def test_another_node_is_chosen_in_the_list(shown: Operator, host: PracticeHost) -> None:
    dialog = open_node(shown, "file_2")
    assert dialog.node.currentText() == "file", "a writer stands for its node"
    assert editor(dialog, "access").input.currentText() == "plain"
    choose(shown, dialog, "camera")
    assert dialog.scroll.widget().text() == "takes no parameters"
    assert not dialog.preview.run.isEnabled()


def test_the_button_opens_the_chosen_node(shown: Operator) -> None:
    panel, dialog = shown.window.graph, shown.window.parameters
    QtTest.QTest.mouseClick(panel.parameters, QtCore.Qt.LeftButton)
    shown.wait_until(lambda: dialog.form is not None, what="the form")
    assert dialog.node.currentText() == "left", "the first with parameters"
    QtTest.QTest.mouseClick(dialog.shut, QtCore.Qt.LeftButton)
    assert not dialog.isVisible()
    at = panel.table.visualItemRect(panel.table.item(2, 0)).center()
    QtTest.QTest.mouseClick(panel.table.viewport(), QtCore.Qt.LeftButton, QtCore.Qt.NoModifier, at)
    QtTest.QTest.mouseClick(panel.parameters, QtCore.Qt.LeftButton)
    shown.wait_until(lambda: dialog.form is not None and "rate" in dialog.form.editors, what="the form")
    assert dialog.node.currentText() == "screen"


def test_a_graph_that_is_gone_is_said(shown: Operator, host: PracticeHost) -> None:
    host.described = None
    dialog = shown.window.parameters
    QtTest.QTest.mouseClick(shown.window.graph.parameters, QtCore.Qt.LeftButton)
    shown.wait_until(dialog.error.isVisible, what="why there is none")
    assert dialog.error.text() == "D.camera: has no graph"


@contextmanager
def watched(
    runtime: RuntimeDirectory, profile: Profile, facility: TangoFacility
) -> Iterator[tuple[Operator, PracticeHost]]:
    with PracticeHost(runtime, logins=True) as host, opened_window(runtime, profile, facility) as operator:
        operator.wait_ready()
        yield operator, host


def test_an_observer_sees_the_parameters_and_sends_nothing(
    runtime: RuntimeDirectory, profile: Profile, tango_facility: TangoFacility
) -> None:
    with watched(runtime, profile, tango_facility) as (operator, host):
        operator.log_in("eve", "overhears")
        show_graph(operator, host)
        dialog = open_node(operator, "screen")
        type_into(dialog, "rate", "3")
        assert ast.parse(dialog.preview.text())
        assert not dialog.preview.run.isEnabled()
        assert dialog.preview.note.text() == "eve is an observer: may look, not act"
