"""The command that a form makes, to be read, changed by hand, run or copied; what stands there is what is run."""

from __future__ import annotations

from taurus.external.qt import QtCore, QtWidgets

from taurus_gui.receipt import Receipt
from taurus_gui.style import make_fixed_font, set_property
from taurus_gui.widgets.field import ErrorLine, allow, make_button, make_label


class CommandPreview(QtWidgets.QWidget):
    """An editable command with Run and Copy. Signal: `run_requested(str)`.

    Text that a form set is replaced by the form's next text; text changed by hand stays until a field changes.
    """

    run_requested = QtCore.Signal(str)

    def __init__(self, *, rows: int = 3) -> None:
        super().__init__()
        self.edit = QtWidgets.QPlainTextEdit()
        self.edit.setFont(make_fixed_font())
        self.edit.setTabChangesFocus(True)
        self.edit.setAccessibleName("command")
        self.edit.setFixedHeight(self.edit.fontMetrics().lineSpacing() * rows + 12)
        self.run = make_button("Run", "run", tip="Inject this text into the console (Ctrl+Enter)")
        self.run.setShortcut("Ctrl+Return")
        self.copy = make_button("Copy", tip="Copy the text, to paste it into the console or a script")
        self.note = make_label("", "muted")
        self.error = ErrorLine()
        self._made = self._why_not = ""
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.edit)
        layout.addWidget(self.error)
        row = QtWidgets.QHBoxLayout()
        row.addWidget(self.run)
        row.addWidget(self.copy)
        row.addWidget(self.note, 1)
        layout.addLayout(row)
        self.edit.textChanged.connect(self._note_edit)
        self.run.clicked.connect(lambda *_: self.run_requested.emit(self.text()))
        self.copy.clicked.connect(lambda *_: QtWidgets.QApplication.clipboard().setText(self.text()))
        self._note_edit()

    def text(self) -> str:
        """The command as it would be run."""
        return str(self.edit.toPlainText())

    @property
    def is_edited(self) -> bool:
        """The text was changed by hand."""
        return self.text() != self._made

    def show_command(self, text: str) -> None:
        """Show what the form makes; "" while the fields do not make a command."""
        self._made = text
        self.edit.setPlainText(text)
        self.show_error("")
        self._note_edit()

    def show_error(self, text: str) -> None:
        """Say beneath the text how its run ended; "" takes it away."""
        set_property(self.edit, "invalid", bool(text))
        self.error.show_text(text)

    def show_outcome(self, receipt: Receipt) -> None:
        """Say how the command ended."""
        self.show_error(receipt.outcome if receipt.failed else "")
        said = "" if receipt.failed else f"In [{receipt.n}] {'paused' if receipt.err else 'done'}"
        self.note.setText(said)

    def allow_commands(self, why_not: str) -> None:
        """Let the command be sent, or say why not."""
        self._why_not = why_not
        allow(self.run, why_not, possible=bool(self.text().strip()))

    def _note_edit(self) -> None:
        self.allow_commands(self._why_not)
        self.copy.setEnabled(bool(self.text().strip()))
        self.note.setText("changed by hand" if self.is_edited else "")
