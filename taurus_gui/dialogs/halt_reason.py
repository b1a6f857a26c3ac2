"""Why a run is halted: the way out when its clean-up cannot end."""

from __future__ import annotations

from taurus.external.qt import QtWidgets

from taurus_gui.dialogs.ask_text import AskText


class HaltReason(AskText):
    """Warns that no clean-up runs, and asks for the reason. Signal: `answered(str)`."""

    def __init__(self, parent: QtWidgets.QWidget) -> None:
        super().__init__(
            parent,
            title="Halt the run",
            question="No clean-up runs: the plan's last steps are left out,\n"
            "and shutter and detectors stay as they are now.\n"
            "Abort is what you want, unless its clean-up hangs.\n\n"
            "Why? The reason is kept with the data.",
            action="Halt without clean-up",
            role="stop",
        )
