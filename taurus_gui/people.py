"""Who is at this window and who is in control: logging in and out, and what the host tells about both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from taurus.external.qt import QtCore

from mamba.wire.messages import Reply
from taurus_gui.access import Access
from taurus_gui.backend import Backend

OnAnswer = Callable[[Reply], None]
"""Called once with the host's answer."""

_NOBODY = {"person": "", "role": "observer", "proposal": ""}


class People(QtCore.QObject):
    """Keeps `access` right. Signals: `changed()`; `told(str)`: a sentence for the person at the window."""

    changed = QtCore.Signal()
    told = QtCore.Signal(str)

    def __init__(self, backend: Backend, origin: str, parent: QtCore.QObject | None = None) -> None:
        super().__init__(parent)
        self._backend, self._origin = backend, origin
        self.access = Access()
        backend.state_loaded.connect(self._take_state)
        backend.noticed.connect(self._take_notice)
        backend.login_lost.connect(self._note_loss)

    def log_in(self, person: str, password: str, proposal: str, *, on_answer: OnAnswer) -> None:
        """Ask for a login; the password is in the request and nowhere else."""

        def take(reply: Reply) -> None:
            if reply.ok:
                self._backend.token = str(reply.value.get("token") or "")
                self._set(self.access.see_person(reply.value))
            on_answer(reply)

        fields = {"person": person, "proposal": proposal, **({"password": password} if password else {})}
        self._backend.ask("auth/login", take, origin=self._origin, **fields)

    def log_out(self, on_answer: OnAnswer) -> None:
        """Ask for the end of this window's login."""

        def take(reply: Reply) -> None:
            if reply.ok:
                self._backend.token = ""
                self._set(self.access.see_person(_NOBODY))
            on_answer(reply)

        self._backend.ask("auth/logout", take, origin=self._origin)

    def ask_control(self, verb: str, on_answer: OnAnswer, **fields: Any) -> None:
        """Ask `control/take`, `control/ask`, `control/give`, `control/keep` or `control/release`."""
        self._backend.ask(f"control/{verb}", on_answer, origin=self._origin, **fields)

    def _set(self, access: Access) -> None:
        if access != self.access:
            self.access = access
            self.changed.emit()

    def _take_state(self, state: dict[str, Any]) -> None:
        access = replace(self.access, required=bool(state.get("login"))).see_control(state.get("control") or {})
        if not access.required:
            access = replace(access, person=str(state.get("person") or ""), role="expert", is_lost=False)
        elif not self._backend.token:
            access = access.see_person(_NOBODY)
        self._set(access)
        self._ask_who()

    def _ask_who(self) -> None:
        token = self._backend.token

        def take(reply: Reply) -> None:
            if reply.ok and token == self._backend.token:  # else somebody has logged in or out meanwhile
                self._set(self.access.see_person(reply.value))

        self._backend.ask("auth/whoami", take)

    def _take_notice(self, notice: dict[str, Any]) -> None:
        typ, access = notice["typ"], self.access
        if typ == "session/person" and not access.required:
            self._set(access.see_person({**notice, "role": "expert"}))
        elif typ == "control/changed":
            self._tell_declined(str(notice.get("declined") or ""), str(notice.get("person") or ""))
            self._set(access.see_control({**notice, "enabled": True}))
        elif typ == "control/asked":
            self._set(replace(access, asked_by=str(notice.get("by") or ""), until=notice.get("until")))

    def _tell_declined(self, asked_by: str, holder: str) -> None:
        if asked_by and asked_by == self.access.person:
            self.told.emit(f"{holder} keeps control")

    def _note_loss(self) -> None:
        self._set(replace(self.access.see_person(_NOBODY), is_lost=True))
