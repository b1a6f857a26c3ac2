"""Dialogs that ask for one line: why a run is aborted, who logs in."""

from __future__ import annotations

from taurus.external.qt import QtCore, QtWidgets

from taurus_gui.widgets.field import make_button, make_label


class AskText(QtWidgets.QDialog):
    """One question, one field. Signal: `answered(str)` with the text, which is never empty."""

    answered = QtCore.Signal(str)

    def __init__(self, parent: QtWidgets.QWidget, *, title: str, question: str, action: str, role: str = "run") -> None:
        super().__init__(parent)
        self.setWindowTitle(title)
        self.setMinimumWidth(420)
        self.setAttribute(QtCore.Qt.WA_DeleteOnClose)
        self.edit = QtWidgets.QLineEdit()
        self.edit.setAccessibleName(question)
        self.confirm = make_button(action, role)
        self.confirm.setDefault(True)
        self.confirm.setEnabled(False)
        self.cancel = make_button("Cancel")
        self.cancel.setAutoDefault(False)
        buttons = QtWidgets.QHBoxLayout()
        buttons.addStretch(1)
        buttons.addWidget(self.cancel)
        buttons.addWidget(self.confirm)
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(16, 14, 16, 14)
        layout.setSpacing(10)
        layout.addWidget(make_label(question))
        layout.addWidget(self.edit)
        layout.addLayout(buttons)
        self.edit.textChanged.connect(lambda text: self.confirm.setEnabled(bool(text.strip())))
        self.confirm.clicked.connect(lambda *_: self._answer())
        self.cancel.clicked.connect(lambda *_: self.reject())

    def _answer(self) -> None:
        self.answered.emit(self.edit.text().strip())
        self.accept()
