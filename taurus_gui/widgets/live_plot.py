"""The curve of the run that is being measured, its progress, and how long it will take."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyqtgraph
from taurus.external.qt import QtCore, QtWidgets

from taurus_gui.run_model import FRAME_RATE, RunModel, say_duration
from taurus_gui.style import CURVE, INK, MUTED, PAPER
from taurus_gui.widgets.field import make_label

_REDRAW_MS = 100
_MAX_DRAWN = 10_000
_ENDS = {"success": "done", "abort": "aborted", "fail": "failed"}
_LOST = "lost, its console ended"
_GOES_ON = {"paused": "paused", "suspended": "suspended", "aborting": "aborting"}


class LivePlot(QtWidgets.QWidget):
    """Plot and progress of one run. Signal: `progressed(int, int)` with done and total (0 while unknown)."""

    progressed = QtCore.Signal(int, int)

    def __init__(self) -> None:
        super().__init__()
        self.model = RunModel()
        self._dirty = False
        self._engine, self._died = "running", False
        self.title = make_label("No run yet", "value")
        self.y_choice = QtWidgets.QComboBox()
        self.y_choice.setAccessibleName("vertical axis")
        self.y_choice.setMinimumWidth(170)
        self.y_choice.setVisible(False)
        self.plot, self.curve = _make_plot()
        self.bar = QtWidgets.QProgressBar()
        self.bar.setRange(0, 1)
        self.bar.setFormat("")
        self.note = make_label("", "muted")
        self._lay_out()
        self.y_choice.currentTextChanged.connect(lambda _text: self.redraw())
        self._timer = QtCore.QTimer(self)
        self._timer.timeout.connect(self._redraw_when_dirty)
        self._timer.start(_REDRAW_MS)

    def _lay_out(self) -> None:
        top = QtWidgets.QHBoxLayout()
        top.addWidget(self.title, 1)
        top.addWidget(self.y_choice)
        below = QtWidgets.QHBoxLayout()
        below.addWidget(self.bar, 1)
        below.addWidget(self.note)
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(10, 8, 10, 8)
        layout.addLayout(top)
        layout.addWidget(self.plot, 1)
        layout.addLayout(below)

    def take(self, notice: dict[str, Any]) -> None:
        """Take a notice; it is drawn at the next redraw (every 0.1 s)."""
        if not self.model.take(notice):
            return
        self._dirty = True
        if notice["typ"] == "scan/start":
            self._engine = "running"
        self._died = False
        if notice["typ"] in ("scan/start", "scan/descriptor", "mdw/progress"):
            self._offer_axes()
        self.progressed.emit(self.model.done, self.model.total or 0)

    def load(self, last_run: dict[str, Any] | None) -> None:
        """Show the run of a `state` answer."""
        self.model.load(last_run)
        self._offer_axes()
        self.redraw()

    def show_run_state(self, state: str) -> None:
        """Take the run's state for the title: a paused or suspended run says so, and one whose console died in it."""
        self._engine, self._died = state, self._died or state == "dead"
        self._dirty = True

    @property
    def _state(self) -> str:
        """Of what has no end yet. A run whose engine is at rest was lost; an acquisition without a run needs none."""
        if self._died or (self._engine == "idle" and self.model.start):
            return _LOST
        return _GOES_ON.get(self._engine, "running") if self.model.start else "running"

    def _offer_axes(self) -> None:
        names, chosen = self.model.list_y_names(), self.y_choice.currentText()
        if [self.y_choice.itemText(i) for i in range(self.y_choice.count())] != names:
            self.y_choice.blockSignals(True)
            self.y_choice.clear()
            self.y_choice.addItems(names)
            if chosen in names:
                self.y_choice.setCurrentText(chosen)
            self.y_choice.blockSignals(False)
        self.y_choice.setVisible(bool(names))

    def _redraw_when_dirty(self) -> None:
        if self._dirty:
            self.redraw()

    def redraw(self) -> None:
        """Draw what the model holds now."""
        self._dirty = False
        model = self.model
        y_name = self.y_choice.currentText()
        x, y = model.curve(y_name) if y_name else ([], [])
        # Not pyqtgraph's own choice: it thins by the last run's range, and a curve thinned to nothing stays away.
        self.curve.setDownsampling(ds=max(1, len(x) // _MAX_DRAWN), auto=False, method="peak")
        self.curve.setData(np.asarray(x, float), np.asarray(y, float))
        self.plot.setLabel("left", _say_axis(y_name, model.units.get(y_name, "")))
        x_key = model.x_key
        below = "seconds" if y_name == FRAME_RATE else "point"
        self.plot.setLabel("bottom", _say_axis(x_key, model.units.get(x_key, "")) if x_key else below)
        self.title.setText(self._say_title())
        self._show_progress()

    def _say_title(self) -> str:
        model = self.model
        if not model.start:
            return self._say_acquisition()
        end = model.stop.get("exit_status")
        state = self._state if end is None else _ENDS.get(end, str(end))
        reason = model.stop.get("reason") or ""
        return f"Run {model.start.get('id')} · {model.start.get('plan')} · {state}" + (f": {reason}" if reason else "")

    def _say_acquisition(self) -> str:
        frames = self.model.frames
        if not frames:
            return "No run yet"
        error = frames.get("error")
        state = self._state if self.model.is_running else "failed" if error else "done"
        return f"Acquisition without a run · {frames.get('device')} · {state}" + (f": {error}" if error else "")

    def _show_progress(self) -> None:
        model = self.model
        done, total = model.done, model.total
        unit = "frames" if model.counts_frames else "points"
        if not model.start and not model.frames:
            self.bar.setFormat("")
            return
        self.bar.setRange(0, total or (0 if model.is_running else 1))
        self.bar.setValue(done if total else int(not model.is_running))
        self.bar.setFormat(f"{done} of {total} {unit}" if total else f"{done} {unit}")
        parts = []
        if model.counts_frames and model.frames.get("frames_per_s"):
            parts.append(f"{float(model.frames['frames_per_s']):.0f} frames/s")
        if model.counts_frames and model.frames.get("missing"):
            parts.append(f"{model.frames['missing']} missing")
        left = model.seconds_left()
        if left is not None and self._state != _LOST:
            parts.append(f"{say_duration(left)} left")
        self.note.setText(" · ".join(parts))


def _say_axis(key: str, unit: str) -> str:
    name = key.replace("_", ".", 1) if key[:2] in ("M_", "D_") else key
    return f"{name} ({unit})" if unit else name


def _make_plot() -> tuple[Any, Any]:
    plot = pyqtgraph.PlotWidget(background=PAPER)
    plot.setMenuEnabled(False)
    plot.showGrid(x=True, y=True, alpha=0.15)
    for side in ("left", "bottom"):
        axis = plot.getAxis(side)
        axis.setPen(MUTED)
        axis.setTextPen(INK)
        axis.enableAutoSIPrefix(False)
    curve = plot.plot(pen=pyqtgraph.mkPen(CURVE, width=2), symbol="o", symbolSize=4, symbolBrush=CURVE, symbolPen=None)
    return plot, curve
