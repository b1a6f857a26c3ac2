"""Live values of Tango attributes through Taurus, read only: a value with its unit, and a state as a coloured badge.

Taurus delivers events in threads of its own, and its event buffer costs one more thread per widget. Here a label keeps
only the newest event, and whoever owns the labels calls `flush` four times a second from one Qt timer.
"""

from __future__ import annotations

import math
from typing import Any

from taurus.core.taurusbasetypes import TaurusEventType
from taurus.external.qt import QtCore, QtWidgets
from taurus.qt.qtgui.base import TaurusBaseWidget

from taurus_gui.style import MUTED, STATE_COLOURS

EVENT_BUFFER_S = 0.25
"""How often labels are to be flushed: more often nobody can read them."""
_KEPT = (TaurusEventType.Change, TaurusEventType.Periodic, TaurusEventType.Error)
BADGE_HEIGHT = 20
_UNREACHABLE = "—"


class LiveLabel(QtWidgets.QLabel, TaurusBaseWidget):
    """Shows one Tango attribute. Signal: `value_changed(object)` with the plain value, None while unreachable."""

    value_changed = QtCore.Signal(object)

    def __init__(self, model: str) -> None:
        self.call__init__wo_kw(QtWidgets.QLabel, None)
        self.call__init__(TaurusBaseWidget, type(self).__name__)
        self.value: Any = None
        self._newest: tuple[Any, Any, Any] | None = None
        self.limits: tuple[float, float] | None = None
        self.setTextFormat(QtCore.Qt.PlainText)
        self.show_unreachable("not connected yet")
        self.setModel(model)

    def fireEvent(self, evt_src: Any = None, evt_type: Any = None, evt_value: Any = None) -> None:
        """Taurus's hook, called in any thread: keep the newest event."""
        if evt_type in _KEPT:
            self._newest = (evt_src, evt_type, evt_value)

    def flush(self) -> None:
        """Show the newest event, if one came since the last call."""
        newest, self._newest = self._newest, None
        if newest is not None:
            self.handleEvent(*newest)

    def handleEvent(self, source: Any, kind: Any, value: Any) -> None:
        """Taurus's hook: an event arrived, in the Qt thread."""
        if kind == TaurusEventType.Error or value is None or getattr(value, "rvalue", None) is None:
            self.show_unreachable(_say_failure(value))
            return
        self.setToolTip(self.getModelName())
        self.show_value(source, value.rvalue)
        self.value_changed.emit(self.value)

    def show_value(self, source: Any, reading: Any) -> None:
        """Show a number with the attribute's own format and unit, or a text as it is."""
        self.value = getattr(reading, "magnitude", reading)
        self.setText(f"{format_value(self.value, str(source.format_spec))} {_say_unit(reading)}".rstrip())
        self.limits = _read_limits(source)

    def show_unreachable(self, why: str) -> None:
        """Show that nothing is known, and why as the tool tip."""
        self.value = None
        self.setText(_UNREACHABLE)
        self.setToolTip(why)
        self.value_changed.emit(None)

    def stop_listening(self) -> None:
        """Leave Tango: no event is shown after this."""
        self.setModel(None)
        self._newest = None


class StateBadge(LiveLabel):
    """A device's state as a coloured badge."""

    def __init__(self, device_model: str) -> None:
        super().__init__(f"{device_model}/state")
        self.setAlignment(QtCore.Qt.AlignCenter)
        self.setProperty("role", "badge")
        self.setFixedHeight(BADGE_HEIGHT)

    def show_value(self, source: Any, reading: Any) -> None:
        """Show the state's name on its colour."""
        self.value = getattr(reading, "name", str(reading))
        self._paint(self.value)

    def show_unreachable(self, why: str) -> None:
        """Show that the device does not answer."""
        super().show_unreachable(why)
        self._paint("OFFLINE")

    def _paint(self, state: str) -> None:
        self.setText(state)
        self.setStyleSheet(f"background: {STATE_COLOURS.get(state, MUTED)};")


def format_value(value: Any, format_spec: str) -> str:
    """A value in Tango's format (`8.4f`), a number with seven digits where that does not fit."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        try:
            return format(value, format_spec).strip()
        except ValueError:
            return format(value, ".7g")
    return str(value)


def _say_unit(reading: Any) -> str:
    units = getattr(reading, "units", None)
    if units is None or str(units) in ("", "dimensionless"):
        return ""
    return f"{units:~}"


def _read_limits(source: Any) -> tuple[float, float] | None:
    low, high = (float(getattr(end, "magnitude", end)) for end in source.range)
    return (low, high) if math.isfinite(low) and math.isfinite(high) else None


def _say_failure(value: Any) -> str:
    arguments = getattr(value, "args", None)
    return str(getattr(arguments[0], "desc", value)) if arguments else "no connection"
