"""The question of somebody who wants control, beneath the bar: it blocks nothing, and passes by itself."""

from __future__ import annotations

import math
import time

from taurus.external.qt import QtCore, QtWidgets

from taurus_gui.access import Access
from taurus_gui.widgets.field import ElidedLabel, make_button

_TICK_MS = 250


class ControlStrip(QtWidgets.QFrame):
    """Shown while somebody asks for our control. Signals: `given()`, `kept()`."""

    given = QtCore.Signal()
    kept = QtCore.Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("controlStrip")
        self.question = ElidedLabel()
        self.give = make_button("Give", "run", tip="Hand control over now")
        self.keep = make_button("Keep", tip="Stay in control")
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(12, 5, 12, 5)
        layout.setSpacing(8)
        layout.addWidget(self.question)
        layout.addWidget(self.give)
        layout.addWidget(self.keep)
        layout.addStretch(1)
        self._asked_by, self._end = "", 0.0
        self._timer = QtCore.QTimer(self)
        self._timer.timeout.connect(self._count_down)
        self.give.clicked.connect(lambda *_: self.given.emit())
        self.keep.clicked.connect(lambda *_: self.kept.emit())
        self.setVisible(False)

    def show_access(self, access: Access) -> None:
        """Show the question when it is ours to answer."""
        if access.is_asked and not self._timer.isActive():
            self._end = time.monotonic() + (access.until or time.time()) - time.time()
            self._timer.start(_TICK_MS)
        elif not access.is_asked:
            self._timer.stop()
        self._asked_by = access.asked_by
        self._count_down()
        self.setVisible(access.is_asked)

    def _count_down(self) -> None:
        left_s = max(0, math.ceil(self._end - time.monotonic()))
        self.question.setText(f"{self._asked_by} asks for control ({left_s} s)")
