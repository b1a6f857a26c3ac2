"""What the graph of a detector does now: frames, file, what is missing, each node; and the newest picture of it.

It asks while it can be seen, at most twice a second, and shows what `mambactl mdw top` shows. Of several detectors it
shows the one that was heard of last. A double click on a node asks for its parameters.
"""

from __future__ import annotations

from typing import Any

from taurus.external.qt import QtCore, QtGui, QtWidgets

from mamba.wire.messages import Reply
from taurus_gui.graph_model import COLUMNS, list_cells, make_grey, say_headline, say_missing
from taurus_gui.widgets.field import ElidedLabel, ErrorLine, make_button, make_label

_ASK_MS = 500
_PICTURE_SIZE, _ROW_HEIGHT = 150, 20
_WORDS = ("node", "kind", "state")


class GraphPanel(QtWidgets.QWidget):
    """What one graph does.

    Signals: `status_wanted(str)`, of a detector or "" for the only one; `preview_wanted(str, str)`: node, detector;
    `parameters_wanted(str, str)`: detector, and a node or "" for any. The answers to the first two come
    back through `show_status` and `show_preview`.
    """

    status_wanted = QtCore.Signal(str)
    preview_wanted = QtCore.Signal(str, str)
    parameters_wanted = QtCore.Signal(str, str)

    def __init__(self) -> None:
        super().__init__()
        self.headline = ElidedLabel("value")
        self.file = ElidedLabel("muted")
        self.missing = ErrorLine()
        self.error = ErrorLine()
        self.table = QtWidgets.QTableWidget(0, len(COLUMNS))
        self.table.setAccessibleName("nodes of the graph")
        self.table.setHorizontalHeaderLabels(COLUMNS)
        self.table.setEditTriggers(QtWidgets.QAbstractItemView.NoEditTriggers)
        self.table.setSelectionBehavior(QtWidgets.QAbstractItemView.SelectRows)
        self.table.setSelectionMode(QtWidgets.QAbstractItemView.SingleSelection)
        self.table.setShowGrid(False)
        self.table.verticalHeader().hide()
        self.table.verticalHeader().setDefaultSectionSize(_ROW_HEIGHT)
        self.table.horizontalHeader().setSectionResizeMode(QtWidgets.QHeaderView.ResizeToContents)
        self.picture = QtWidgets.QLabel()
        self.picture.setFixedSize(_PICTURE_SIZE, _PICTURE_SIZE)
        self.picture.setAlignment(QtCore.Qt.AlignCenter)
        self.caption = make_label("", "muted")
        self.parameters = make_button("Parameters…", tip="See the parameters of the chosen node, and change them")
        self.parameters.setEnabled(False)
        self.parameters.clicked.connect(lambda *_: self._want_parameters(self.table.currentRow()))
        self.table.cellDoubleClicked.connect(lambda row, _column: self._want_parameters(row))
        self._lay_out()
        self._device = self._shown = ""
        self._preview: tuple[str, str] | None = None
        self._in_sight = self._is_stale = False
        self._timer = QtCore.QTimer(self)
        self._timer.timeout.connect(self._ask)

    def _lay_out(self) -> None:
        left, right = QtWidgets.QVBoxLayout(), QtWidgets.QVBoxLayout()
        for widget in (self.headline, self.file, self.missing, self.error):
            left.addWidget(widget)
        left.addWidget(self.table, 1)
        right.addWidget(self.picture)
        right.addWidget(self.caption)
        right.addStretch(1)
        right.addWidget(self.parameters)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(10, 6, 10, 10)
        layout.addLayout(left, 1)
        layout.addLayout(right)

    def take(self, notice: dict[str, Any]) -> None:
        """Take an `mdw/…` notice: there is something new to be asked for."""
        device = str(notice.get("device") or "")
        if notice["typ"] == "mdw/preview":
            self._preview = (str(notice.get("node") or ""), device)
        elif notice["typ"] in ("mdw/progress", "mdw/done"):
            self._device, self._is_stale = device, True

    def note_sight(self, in_sight: bool) -> None:  # noqa: FBT001  # the slot of a signal
        """It can be seen or not; it asks only while it can."""
        self._in_sight = in_sight
        if in_sight:
            self._is_stale = True
            self._ask()
            self._timer.start(_ASK_MS)
        else:
            self._timer.stop()

    def _ask(self) -> None:
        if self._is_stale:
            self._is_stale = False
            self.status_wanted.emit(self._device)
        if self._preview is not None:
            wanted, self._preview = self._preview, None
            self.preview_wanted.emit(*wanted)

    def show_status(self, reply: Reply) -> None:
        """Show the answer to `graph/status`."""
        self.error.show_text(str(reply.value["error"]) if reply.ok else reply.desc)
        if not reply.ok:
            return
        status = reply.value
        self._shown = status["device"]
        self.parameters.setEnabled(True)
        self.headline.setText(say_headline(status))
        self.file.setText(status["file"])
        self.missing.show_text(say_missing(status))
        self.table.setRowCount(len(status["nodes"]))
        for row, node in enumerate(status["nodes"]):
            for column, text in enumerate(list_cells(node)):
                item = QtWidgets.QTableWidgetItem(text)
                side = QtCore.Qt.AlignLeft if COLUMNS[column] in _WORDS else QtCore.Qt.AlignRight
                item.setTextAlignment(int(side | QtCore.Qt.AlignVCenter))
                self.table.setItem(row, column, item)

    def _want_parameters(self, row: int) -> None:
        item = self.table.item(row, COLUMNS.index("node"))
        self.parameters_wanted.emit(self._shown, "" if item is None else item.text())

    def show_preview(self, reply: Reply) -> None:
        """Show the answer to `graph/preview`; one that is no image has no picture."""
        if not reply.ok or reply.value["image"].ndim != 2:
            return
        grey = make_grey(reply.value["image"])
        height, width = grey.shape
        image = QtGui.QImage(grey.tobytes(), width, height, width, QtGui.QImage.Format_Grayscale8)
        pixmap = QtGui.QPixmap.fromImage(image)
        size = self.picture.size()
        self.picture.setPixmap(pixmap.scaled(size, QtCore.Qt.KeepAspectRatio, QtCore.Qt.SmoothTransformation))
        self.caption.setText(f"{reply.value['node']}: frame {reply.value['number']:,}")
