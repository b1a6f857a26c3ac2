"""All commands of the session, whoever sent them, with results and errors; and a line to type one."""

from __future__ import annotations

from typing import Any

from taurus.external.qt import QtCore, QtGui, QtWidgets

from taurus_gui.receipt import Receipt
from taurus_gui.run_model import say_duration
from taurus_gui.style import BAD, BUSY, GOOD, MUTED, WARN, make_fixed_font, set_property
from taurus_gui.widgets.field import ErrorLine, allow, make_button, make_label

COLUMNS = ("In", "Command", "Origin", "Person", "State", "Result", "Time", "Files")
_MAX_ROWS = 1000
_STATE_COLOURS = {"waiting": MUTED, "running": BUSY, "done": GOOD, "paused": WARN, "failed": BAD, "refused": BAD}


class ReceiptTable(QtCore.QAbstractTableModel):
    """Receipts, oldest first; the last 1000."""

    def __init__(self, parent: QtCore.QObject | None = None) -> None:
        super().__init__(parent)
        self._rows: list[Receipt] = []
        self._fixed = make_fixed_font()

    def take(self, receipt: Receipt) -> None:
        """Add a receipt, or bring its row up to date."""
        for row in range(len(self._rows) - 1, -1, -1):
            if receipt.id and self._rows[row].id == receipt.id:
                self._rows[row] = receipt
                self.dataChanged.emit(self.index(row, 0), self.index(row, len(COLUMNS) - 1))
                return
        if len(self._rows) >= _MAX_ROWS:
            self.beginRemoveRows(QtCore.QModelIndex(), 0, 0)
            del self._rows[0]
            self.endRemoveRows()
        self.beginInsertRows(QtCore.QModelIndex(), len(self._rows), len(self._rows))
        self._rows.append(receipt)
        self.endInsertRows()

    def receipt(self, row: int) -> Receipt:
        """The receipt in a row."""
        return self._rows[row]

    def rowCount(self, parent: Any = None) -> int:
        """Qt's hook."""
        return 0 if parent is not None and parent.isValid() else len(self._rows)

    def columnCount(self, parent: Any = None) -> int:
        """Qt's hook."""
        return 0 if parent is not None and parent.isValid() else len(COLUMNS)

    def headerData(self, section: int, orientation: Any, role: int = QtCore.Qt.DisplayRole) -> Any:
        """Qt's hook."""
        if role == QtCore.Qt.DisplayRole and orientation == QtCore.Qt.Horizontal:
            return COLUMNS[section]
        if role == QtCore.Qt.TextAlignmentRole:
            return int(QtCore.Qt.AlignLeft | QtCore.Qt.AlignVCenter)
        return None

    def data(self, index: Any, role: int = QtCore.Qt.DisplayRole) -> Any:
        """Qt's hook."""
        receipt, column = self._rows[index.row()], COLUMNS[index.column()]
        if role == QtCore.Qt.DisplayRole:
            return _say(receipt, column)
        if role == QtCore.Qt.ToolTipRole:
            return _explain(receipt, column)
        if role == QtCore.Qt.ForegroundRole and (column == "State" or (column == "Result" and receipt.failed)):
            return QtGui.QColor(_STATE_COLOURS.get(say_state(receipt), MUTED))
        if role == QtCore.Qt.ForegroundRole and column == "Result" and receipt.state == "waiting":
            return QtGui.QColor(MUTED)
        if role == QtCore.Qt.FontRole and column == "Command":
            return self._fixed
        return None


def _say(receipt: Receipt, column: str) -> str:
    if column == "In":
        return "" if receipt.n is None else f"[{receipt.n}]"
    if column == "Time":
        return say_briefly_how_long(receipt.duration_s) if receipt.state == "done" else ""
    if column == "State":
        return say_state(receipt)
    if column == "Files":
        return ", ".join(file.rpartition("/")[2] for file in receipt.files)
    if column == "Command":
        return receipt.text.replace("\n", " ⏎ ")
    return receipt.outcome if column == "Result" else str(getattr(receipt, column.lower()))


def _explain(receipt: Receipt, column: str) -> str:
    if column == "Files":
        return "\n".join(receipt.files)
    if column == "Command":
        return receipt.text
    if column == "Person":
        process = "" if receipt.pid is None else f"process {receipt.pid}"
        return ", ".join(filter(None, (receipt.role, process)))
    return (receipt.desc or receipt.outcome) if column in ("Result", "State") else ""


def say_state(receipt: Receipt) -> str:
    """`waiting`, `running`, `done`, `failed`, `paused` (its run was) or `refused`."""
    if receipt.state != "done" or not receipt.err:
        return receipt.state
    return "failed" if receipt.failed else "paused"


def say_briefly_how_long(seconds: float) -> str:
    """`12 ms`, `3.4 s`, then as `say_duration`."""
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 60 else say_duration(seconds)


class History(QtWidgets.QWidget):
    """The table and the command line. Signal: `run_requested(str, object)`."""

    run_requested = QtCore.Signal(str, object)

    def __init__(self) -> None:
        super().__init__()
        self.table = ReceiptTable(self)
        self.view = _make_view(self.table)
        self.entry = QtWidgets.QLineEdit()
        self.entry.setFont(make_fixed_font())
        self.entry.setPlaceholderText("A command for the console, as you would type it there")
        self.entry.setAccessibleName("command line")
        self.run = make_button("Run", "run")
        self.error = ErrorLine()
        self._why_not = ""
        line = QtWidgets.QHBoxLayout()
        line.addWidget(make_label("In", "muted"))
        line.addWidget(self.entry, 1)
        line.addWidget(self.run)
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(10, 6, 10, 10)
        layout.setSpacing(4)
        layout.addWidget(self.view, 1)
        layout.addLayout(line)
        layout.addWidget(self.error)
        self.run.clicked.connect(lambda *_: self._run())
        self.entry.returnPressed.connect(self._run)
        self.view.doubleClicked.connect(self._copy_back)

    def _run(self) -> None:
        text = self.entry.text()
        if self._why_not:  # Enter in the line comes here too
            self._show_error(self._why_not)
        elif self.run.isEnabled() and text.strip():
            self._show_error("")
            self.run_requested.emit(text, self.show_outcome)

    def allow_commands(self, why_not: str) -> None:
        """Let commands be sent, or say why not."""
        self._why_not = why_not
        allow(self.run, why_not)

    def _copy_back(self, index: Any) -> None:
        self.entry.setText(self.table.receipt(index.row()).text)
        self.entry.setFocus()

    def show_receipt(self, receipt: Receipt) -> None:
        """Add or update a row, and keep the newest in sight unless the operator looks further up."""
        bar = self.view.verticalScrollBar()
        at_end = bar.value() >= bar.maximum() - 1
        self.table.take(receipt)
        if at_end:
            self.view.scrollToBottom()

    def show_outcome(self, receipt: Receipt) -> None:
        """Say beneath the command line how its command ended, when it failed; a success empties the line."""
        if receipt.failed:
            self._show_error(receipt.outcome)
        elif self.entry.text() == receipt.text:
            self.entry.clear()

    def _show_error(self, text: str) -> None:
        set_property(self.entry, "invalid", bool(text))
        self.error.show_text(text)


def _make_view(model: ReceiptTable) -> QtWidgets.QTableView:
    view = QtWidgets.QTableView()
    view.setModel(model)
    view.setAlternatingRowColors(True)
    view.setShowGrid(False)
    view.setWordWrap(False)
    view.setSelectionBehavior(QtWidgets.QAbstractItemView.SelectRows)
    view.setEditTriggers(QtWidgets.QAbstractItemView.NoEditTriggers)
    view.verticalHeader().setVisible(False)
    view.verticalHeader().setDefaultSectionSize(24)
    header = view.horizontalHeader()
    header.setHighlightSections(False)
    for column, width in enumerate((44, 440, 160, 90, 70, 200, 80, 170)):
        view.setColumnWidth(column, width)
    header.setSectionResizeMode(COLUMNS.index("Result"), QtWidgets.QHeaderView.Stretch)
    return view
