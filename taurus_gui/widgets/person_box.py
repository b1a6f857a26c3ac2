"""The right end of the bar: who is at this window, in which role and proposal, and who is in control."""

from __future__ import annotations

from taurus.external.qt import QtCore, QtWidgets

from taurus_gui.access import Access
from taurus_gui.style import set_property
from taurus_gui.widgets.field import ElidedLabel, allow, make_button
from taurus_gui.widgets.menu_button import MenuButton

_LEAST_NAME_WIDTH = 120
_MAX_HOLDER_CHARS = 16


class PersonBox(QtWidgets.QWidget):
    """Signals: `login_requested()`, `logout_requested()`, `control_requested(str, dict)` with verb and fields."""

    login_requested = QtCore.Signal()
    logout_requested = QtCore.Signal()
    control_requested = QtCore.Signal(str, object)

    def __init__(self) -> None:
        super().__init__()
        self.person = ElidedLabel(least_width=_LEAST_NAME_WIDTH)
        self.details = ElidedLabel("head", least_width=_LEAST_NAME_WIDTH)
        self.login = make_button("Log in…")
        self.logout = make_button("Log out")
        self.control = MenuButton()
        self.take = self.control.add("Take control", lambda: self._ask("take"))
        self.ask = self.control.add("Ask for control", lambda: self._ask("ask"))
        self.release = self.control.add("Release control", lambda: self._ask("release"))
        self.control.choices.addSeparator()
        self.force = self.control.add(
            "Take by force", lambda: self._ask("take", force=True), tip="Take control from its holder, without asking"
        )
        self._lay_out()
        self.login.clicked.connect(lambda *_: self.login_requested.emit())
        self.logout.clicked.connect(lambda *_: self.logout_requested.emit())
        self._is_connected, self._access = False, Access()
        self._refresh()

    def _lay_out(self) -> None:
        names = QtWidgets.QVBoxLayout()
        names.setSpacing(0)
        for label in (self.person, self.details):
            label.setAlignment(QtCore.Qt.AlignRight | QtCore.Qt.AlignVCenter)
            names.addWidget(label)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        layout.addLayout(names)
        for button in (self.login, self.logout, self.control):
            layout.addWidget(button)

    def _ask(self, verb: str, **fields: bool) -> None:
        self.control_requested.emit(verb, fields)

    def show_access(self, access: Access) -> None:
        """Show who is here and who is in control, and offer what can be done about it."""
        self._access = access
        self._refresh()

    def show_connection(self, *, connected: bool) -> None:
        """Without the session host nobody can log in or take control."""
        self._is_connected = connected
        self._refresh()

    def _refresh(self) -> None:
        access = self._access
        nobody = "log in again" if access.is_lost else "nobody logged in"
        self.person.setText(access.person or nobody)
        set_property(self.person, "role", "error" if access.is_lost else "")
        details = " · ".join(filter(None, (access.role if access.is_logged_in else "", access.proposal)))
        self.details.setText(details)
        self.details.setVisible(bool(details))
        # without logins the person has a name only: both are offered at any time
        self.login.setVisible(not access.is_logged_in)
        self.logout.setVisible(access.is_logged_in or not access.required)
        self.logout.setToolTip("" if access.required else "U.logout()")
        for button in (self.login, self.logout):
            button.setEnabled(self._is_connected)
        self._refresh_control()

    def _refresh_control(self) -> None:
        access = self._access
        self.control.setVisible(access.control)
        self.control.show_text(_say_holder(access))
        self.control.setToolTip(_explain_holder(access))
        set_property(self.control, "role", "held" if access.is_holder else "")
        self.control.setEnabled(self._is_connected)
        free, ours, why_not = not access.holder, access.is_holder, access.why_not_hold
        allow(self.take, why_not, possible=free)
        allow(self.ask, why_not, possible=not free and not ours and access.asked_by != access.person)
        allow(self.release, why_not, possible=ours)
        self.force.setVisible(access.role == "expert")
        allow(self.force, why_not, possible=not free and not ours)


def _say_holder(access: Access) -> str:
    holder = "you" if access.is_holder else access.holder or "nobody"
    if len(holder) > _MAX_HOLDER_CHARS:
        holder = f"{holder[:_MAX_HOLDER_CHARS]}…"
    return f"Control: {holder}"


def _explain_holder(access: Access) -> str:
    said = access.why_not_act if not access.why_not_hold else ""
    if access.asked_by and access.asked_by == access.person:
        said = f"{access.holder} was asked, and has not answered yet"
    return said or (f"{access.holder} is in control" if access.holder else "nobody is in control")
