"""Commands of this window on their way: sent by the backend link, followed by notices, reported to who sent them.

A command's end is told by the notice `cmd/done`; after a gap or a new connection by the history in `state`, else by
`cmd/status`. So whoever sent a command hears exactly once how it ended.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from taurus.external.qt import QtCore

from mamba.wire.messages import Reply
from taurus_gui.backend import Backend
from taurus_gui.receipt import Receipt, read_receipt, say_waiting

OnOutcome = Callable[[Receipt], None]
"""Called once, when the command is done or refused."""

_STEPS = ("refused", "waiting", "running", "done")


class Commander(QtCore.QObject):
    """Sends commands and keeps the receipts of all commands, whoever sent them.

    Signal: `receipt_changed(Receipt)`, at every step of every command.
    """

    receipt_changed = QtCore.Signal(object)

    def __init__(self, backend: Backend, parent: QtCore.QObject | None = None) -> None:
        super().__init__(parent)
        self._backend = backend
        self._waiting_for: dict[str, list[OnOutcome]] = {}
        self._waits: dict[str, str] = {}
        self.receipts: dict[str, Receipt] = {}
        backend.noticed.connect(self._take_notice)
        backend.state_loaded.connect(self._take_state)

    def send(self, text: str, *, origin: str, on_outcome: OnOutcome) -> None:
        """Inject `text` as one cell; `origin` says which panel, as the console shows it."""

        def take_reply(reply: Reply) -> None:
            if not reply.ok:
                refused = Receipt("", text, origin=origin, state="refused", err=reply.err, desc=reply.desc)
                self.receipt_changed.emit(refused)
                on_outcome(refused)
                return
            self._expect(str(reply.value["id"]), text, origin, on_outcome)

        self._backend.ask("cmd", take_reply, cmd=text, wait=False, origin=origin)

    def _expect(self, command_id: str, text: str, origin: str, on_outcome: OnOutcome) -> None:
        known = self.receipts.get(command_id)
        if known is not None and known.done:  # its notice was faster than the reply
            on_outcome(known)
            return
        self._waiting_for.setdefault(command_id, []).append(on_outcome)
        if known is None:
            self._keep(Receipt(command_id, text, origin=origin, waits_for=self._waits.get(command_id, "")))

    def _keep(self, receipt: Receipt) -> None:
        known = self.receipts.get(receipt.id)
        if known is not None and _STEPS.index(known.state) > _STEPS.index(receipt.state):
            return  # told late: what came in between was faster
        if receipt.state == "waiting":
            self._waits.setdefault(receipt.id, receipt.waits_for)
        else:
            self._waits.pop(receipt.id, None)
        self.receipts[receipt.id] = receipt
        self.receipt_changed.emit(receipt)
        if receipt.done:
            for on_outcome in self._waiting_for.pop(receipt.id, ()):
                on_outcome(receipt)

    def _take_notice(self, notice: dict[str, Any]) -> None:
        if notice["typ"] in ("cmd/running", "cmd/done"):
            self._keep(read_receipt(notice))
        if notice["typ"] == "cmd/running":
            for command_id in list(self._waits):
                self._note_waiting(command_id, say_waiting({"running": notice}))
        elif notice["typ"] == "cmd/waiting":
            self._note_waiting(str(notice.get("id") or ""), say_waiting(notice))

    def _note_waiting(self, command_id: str, waits_for: str) -> None:
        self._waits[command_id] = waits_for  # its notice may be faster than the reply that tells the id
        known = self.receipts.get(command_id)
        if known is not None and known.state == "waiting":
            self._keep(replace(known, waits_for=waits_for))

    def _take_state(self, state: dict[str, Any]) -> None:
        for fields in state.get("history") or ():
            receipt = read_receipt(fields)
            if self.receipts.get(receipt.id) != receipt:
                self._keep(receipt)
        running = state.get("running")
        if isinstance(running, dict) and running.get("id"):
            self._keep(read_receipt({**running, "state": "running"}))
        self._waits.clear()
        for fields in state.get("waiting") or ():
            self._keep(read_receipt({"running": running, **fields, "state": "waiting"}))
        for command_id in list(self._waiting_for):
            self._backend.ask("cmd/status", self._make_status_reader(command_id), id=command_id)

    def _make_status_reader(self, command_id: str) -> Callable[[Reply], None]:
        def take_reply(reply: Reply) -> None:
            known = self.receipts[command_id]
            if reply.ok:
                self._keep(read_receipt(reply.value))
            elif reply.err == "unknown-command":  # a new host: what became of it is in the transcript
                self._keep(
                    replace(known, state="done", err="connection-lost", desc=f"lost with its host; {reply.desc}")
                )

        return take_reply
