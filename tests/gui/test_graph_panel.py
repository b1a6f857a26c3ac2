"""The window says what a detector's graph does: the words of `mambactl mdw top`, and the newest picture."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from PyQt5 import QtTest
from taurus.external.qt import QtCore, QtWidgets

from mamba.data_worker.meters import NodeProgress
from mamba.data_worker.status_table import GraphStatus, make_cells
from mamba.wire.values import encode
from taurus_gui.graph_model import COLUMNS, list_cells, make_grey, say_headline
from taurus_gui.operator import Operator
from tests.gui.support import PracticeHost

CAMERA = NodeProgress("camera", "stream", "intake", "running", 928, 255.4, 534e6, 1, 15, 0, 0.005, 8.2, 61_000_000)
SLOW = NodeProgress("slow", "region_sums", "sums", "replaced", 484, 0.0, 0.0016e6, 16, 0, 408, 12.0, 112.0, 65_400_000)
STATUS = GraphStatus(
    "halves", "D.camera", "", "running", 10, 1500, 924, 920, 3, 239.2, "/data/camera_00009.h5", "", (CAMERA, SLOW)
)


@pytest.mark.parametrize("node", [CAMERA, SLOW])
def test_a_node_reads_as_in_mdw_top(node: NodeProgress) -> None:
    shown = {title: str(text) for title, text in make_cells(node).items()}
    assert dict(zip(COLUMNS, list_cells(asdict(node)), strict=True)) == {title: shown[title] for title in COLUMNS}


def test_the_headline_of_a_graph_that_never_ran_has_no_counts() -> None:
    assert say_headline(GraphStatus("tomo", "D.camera").as_data()) == "tomo of D.camera: idle"


def test_grey_levels_span_the_frame_and_survive_hot_pixels() -> None:
    frame = np.tile(np.arange(100, dtype=np.float32), (100, 1))
    frame[0, 0], frame[0, 1] = 1e9, np.nan
    grey = make_grey(frame)
    assert (grey.min(), grey.max(), grey[5, 50]) == (0, 255, pytest.approx(128, abs=4))
    assert make_grey(np.full((4, 4), 7, np.uint16)).max() == 0


def click_tab(window: QtWidgets.QMainWindow, title: str) -> None:
    """As a hand would."""
    for bar in window.findChildren(QtWidgets.QTabBar):
        for at in range(bar.count()):
            if bar.tabText(at) == title:
                QtTest.QTest.mouseClick(bar, QtCore.Qt.LeftButton, QtCore.Qt.NoModifier, bar.tabRect(at).center())
                return
    raise AssertionError(f"no tab {title}")


def count_asked(host: PracticeHost, verb: str) -> int:
    return sum(each["typ"] == verb for each in host.asked)


def tell_progress(host: PracticeHost) -> None:
    counts: dict[str, Any] = {"produced": 924, "written": 920, "missing": 3, "frames": 1500, "frames_per_s": 239.2}
    host.publish("mdw/progress", device="D.camera", arm=10, nodes=[], **counts)


def test_the_tab_shows_rate_file_missing_frames_nodes_and_picture(operator: Operator, host: PracticeHost) -> None:
    panel = operator.window.graph
    host.graph = STATUS.as_data()
    image = np.arange(64 * 48, dtype=np.uint16).reshape(64, 48)
    host.preview = {"node": "screen", "device": "D.camera", "number": 1234, "image": encode(image)}
    tell_progress(host)
    operator.wait_until(lambda: operator.window.plot.model.frames, what="the notice")
    assert count_asked(host, "graph/status") == 0, "nobody looks"

    click_tab(operator.window, "Graph")
    operator.wait_until(lambda: panel.table.rowCount() == 2, what="the nodes")
    assert panel.headline.text().endswith("running, arm 10: 924 of 1,500 frames came, 920 written, 239 frames/s")
    assert panel.file.text() == "/data/camera_00009.h5"
    assert panel.missing.isVisible()
    assert panel.missing.text() == "3 frames missing"
    assert panel.table.item(1, COLUMNS.index("dropped")).text() == "408"

    host.publish("mdw/preview", device="D.camera", arm=10, node="screen", number=1234)
    operator.wait_until(lambda: panel.caption.text() == "screen: frame 1,234", what="the picture")
    assert panel.picture.pixmap().height() > panel.picture.pixmap().width() > 0

    host.graph = GraphStatus("halves", "D.camera", state="failed", error="node file: no room").as_data()
    tell_progress(host)
    operator.wait_until(lambda: panel.error.text() == "node file: no room", what="why it failed")
    assert not panel.missing.isVisible()

    click_tab(operator.window, "Commands")
    asked = count_asked(host, "graph/status")
    tell_progress(host)
    operator.type_command("42")
    assert count_asked(host, "graph/status") == asked, "nobody looks any more"


def test_a_graph_that_is_not_there_is_said_in_the_tab(operator: Operator, host: PracticeHost) -> None:
    host.graph = STATUS.as_data()
    host.publish("mdw/done", device="D.gone", arm=1, error="")
    operator.wait_until(lambda: operator.window.plot.model.frames, what="the notice")
    click_tab(operator.window, "Graph")
    operator.wait_until(operator.window.graph.error.isVisible, what="the refusal")
    assert operator.window.graph.error.text() == "D.gone: has no graph"
