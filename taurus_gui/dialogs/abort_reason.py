"""Why a run is aborted: the reason stays with the data."""

from __future__ import annotations

from taurus.external.qt import QtWidgets

from taurus_gui.dialogs.ask_text import AskText


class AbortReason(AskText):
    """Asks for the reason of an abort. Signal: `answered(str)`."""

    def __init__(self, parent: QtWidgets.QWidget) -> None:
        super().__init__(
            parent,
            title="Abort the run",
            question="Why? The reason is kept with the data.",
            action="Abort the run",
            role="stop",
        )
