"""Who measures, in which proposal; with the password where people have to log in."""

from __future__ import annotations

from taurus.external.qt import QtCore, QtWidgets

from mamba.wire.messages import Reply
from taurus_gui.style import set_property
from taurus_gui.widgets.field import ErrorLine, make_button, make_label


class Login(QtWidgets.QDialog):
    """Asks for person, password and proposal; closes once the host has accepted them.

    Signal: `answered(str, str, str)`: person, password, proposal. The password leaves its field at that moment.
    """

    answered = QtCore.Signal(str, str, str)

    def __init__(self, parent: QtWidgets.QWidget, *, with_password: bool) -> None:
        super().__init__(parent)
        self.setWindowTitle("Log in")
        self.setMinimumWidth(420)
        self.setAttribute(QtCore.Qt.WA_DeleteOnClose)
        self._with_password = with_password
        self.edit, self.password, self.proposal = (QtWidgets.QLineEdit() for _ in range(3))
        self.password.setEchoMode(QtWidgets.QLineEdit.Password)
        self.proposal.setPlaceholderText("optional")
        self.error = ErrorLine()
        self.confirm = make_button("Log in", "run")
        self.confirm.setDefault(True)
        self.cancel = make_button("Cancel")
        self.cancel.setAutoDefault(False)
        self._lay_out()
        self._is_waiting = False
        for edit in (self.edit, self.password):
            edit.textChanged.connect(lambda *_: self._offer())
        self.confirm.clicked.connect(lambda *_: self._answer())
        self.cancel.clicked.connect(lambda *_: self.reject())
        self._offer()

    def _lay_out(self) -> None:
        name = "Name" if self._with_password else "Your name, as it shall stand in the data"
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(16, 14, 16, 14)
        layout.setSpacing(4)
        for title, edit in ((name, self.edit), ("Password", self.password), ("Proposal", self.proposal)):
            edit.setAccessibleName(title)
            if edit is self.password and not self._with_password:
                continue
            layout.addWidget(make_label(title))
            layout.addWidget(edit)
            layout.addSpacing(4)
        layout.addWidget(self.error)
        buttons = QtWidgets.QHBoxLayout()
        buttons.addStretch(1)
        buttons.addWidget(self.cancel)
        buttons.addWidget(self.confirm)
        layout.addSpacing(4)
        layout.addLayout(buttons)

    def _offer(self) -> None:
        complete = bool(self.edit.text().strip()) and (not self._with_password or bool(self.password.text()))
        self.confirm.setEnabled(complete and not self._is_waiting)

    def _answer(self) -> None:
        person, password, proposal = self.edit.text().strip(), self.password.text(), self.proposal.text().strip()
        self._is_waiting = True
        self.error.show_text("")
        self.password.setText("")  # and not clear(), which could be undone
        self._offer()
        self.answered.emit(person, password, proposal)

    def show_reply(self, reply: Reply) -> None:
        """Close when the login was accepted, else say why not and let it be tried again."""
        self._is_waiting = False
        if reply.ok:
            self.accept()
            return
        self.error.show_text(reply.desc or reply.err)
        wrong = self.password if self._with_password else self.edit
        set_property(wrong, "invalid", True)
        wrong.setFocus()
        self._offer()
