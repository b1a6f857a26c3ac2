"""Devices of the profile with live values and states; moves and jogs become commands."""

from __future__ import annotations

from taurus.external.qt import QtCore, QtWidgets

from mamba.config import Profile
from taurus_gui.style import make_fixed_font
from taurus_gui.widgets.device_row import DeviceRow
from taurus_gui.widgets.field import make_label
from taurus_gui.widgets.live import EVENT_BUFFER_S

_COLUMNS = ("Device", "Value", "State", "Limits", "Command")


class DevicesPanel(QtWidgets.QWidget):
    """Every device in `M` and `D`.

    Signals: `run_requested(str, object)`: a command and who hears of its end; `limits_wanted(str)`: a motor whose
    limits to ask.
    """

    run_requested = QtCore.Signal(str, object)
    limits_wanted = QtCore.Signal(str)

    def __init__(self, profile: Profile, tango_host: str) -> None:
        super().__init__()
        self.rows: dict[str, DeviceRow] = {}
        grid = QtWidgets.QGridLayout()
        grid.setContentsMargins(12, 6, 12, 6)
        grid.setHorizontalSpacing(10)
        grid.setVerticalSpacing(3)
        for column, title in enumerate(_COLUMNS):
            side = QtCore.Qt.AlignRight if title == "Value" else QtCore.Qt.AlignLeft
            grid.addWidget(make_label(title, "head"), 0, column, side)
        for group, devices in (("M", profile.devices.M), ("D", profile.devices.D)):
            for key, config in devices.items():
                row = DeviceRow(f"{group}.{key}", config, tango_host, self)
                self._add_row(grid, row)
                self.rows[row.expression] = row
        grid.setColumnStretch(4, 1)
        grid.setRowStretch(grid.rowCount(), 1)
        self.preview = make_label("", "muted")
        self.preview.setFont(make_fixed_font())
        self.preview.setAccessibleName("device command")
        self.preview.setContentsMargins(12, 0, 12, 6)
        self._fill(grid)
        self._timer = QtCore.QTimer(self)
        self._timer.timeout.connect(self._flush)
        self._timer.start(int(EVENT_BUFFER_S * 1000))

    def _fill(self, grid: QtWidgets.QGridLayout) -> None:
        inner = QtWidgets.QWidget()
        inner.setLayout(grid)
        scroll = _TallScroll(inner)
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(scroll, 1)
        layout.addWidget(self.preview)

    def _add_row(self, grid: QtWidgets.QGridLayout, row: DeviceRow) -> None:
        line = grid.rowCount()
        grid.addWidget(row.name, line, 0)
        if row.value is not None:
            grid.addWidget(row.value, line, 1)
        grid.addWidget(row.state, line, 2)
        grid.addWidget(row.limits_label, line, 3)
        grid.addWidget(row.controls, line, 4)
        grid.addWidget(row.error, line + 1, 0, 1, len(_COLUMNS))
        row.previewed.connect(self._show_preview)
        row.run_requested.connect(self._run)
        row.limits_wanted.connect(self.limits_wanted)

    def _show_preview(self, text: str) -> None:
        self.preview.setText(f"▸ {text}" if text else "")

    def _run(self, text: str, on_outcome: object) -> None:
        self._show_preview(text)
        self.run_requested.emit(text, on_outcome)

    def position(self, expression: str) -> float | None:
        """The live value of a device, None while it is not known."""
        row = self.rows.get(expression)
        value = row.value.value if row is not None and row.value is not None else None
        return float(value) if isinstance(value, (int, float)) else None

    def allow_commands(self, why_not: str) -> None:
        """Let commands be sent, or say why not."""
        for row in self.rows.values():
            row.allow_commands(why_not)

    def forget_limits(self) -> None:
        """Ask again for the limits that depend on the person's role."""
        for row in self.rows.values():
            row.forget_limits()

    def stop_listening(self) -> None:
        """Leave Tango, before the widgets are deleted."""
        self._timer.stop()
        for row in self.rows.values():
            for label in row.labels:
                label.stop_listening()

    def _flush(self) -> None:
        for row in self.rows.values():
            for label in row.labels:
                label.flush()


class _TallScroll(QtWidgets.QScrollArea):
    """Scrolls up and down only: it is always as wide as what is in it, since a Go button out of sight helps nobody."""

    def __init__(self, inner: QtWidgets.QWidget) -> None:
        super().__init__()
        self.setWidgetResizable(True)
        self.setFrameShape(QtWidgets.QFrame.NoFrame)
        self.setHorizontalScrollBarPolicy(QtCore.Qt.ScrollBarAlwaysOff)
        self.setWidget(inner)

    def eventFilter(self, watched: QtCore.QObject, event: QtCore.QEvent) -> bool:
        """Qt's hook: what is in it has changed its size."""
        if event.type() == QtCore.QEvent.LayoutRequest:
            bar = self.verticalScrollBar().sizeHint().width()
            self.setMinimumWidth(self.widget().minimumSizeHint().width() + bar)
        return bool(super().eventFilter(watched, event))
