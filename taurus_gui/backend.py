"""The one link between windows and Mamba: requests out and replies in (DEALER), notices in (SUB), as Qt signals.

ZeroMQ announces through file descriptors; a QSocketNotifier wakes the event loop, which then reads for at most 20 ms,
so that a flood of notices never freezes the window; a timer reads what is left. What is sent, received and asked anew
after a restart or a gap is decided in `mamba.wire.following`, as for programs without windows.

*Token*: what a login gave; it lives here and in the host's memory only, and goes along with every request.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from taurus.external.qt import QtCore

from mamba.errors import MambaError, NotLoggedIn, WireError
from mamba.runtime import RuntimeDirectory
from mamba.wire.connection import make_frame
from mamba.wire.following import Following, Item, Lost, Reached, Refused, State
from mamba.wire.messages import Reply, load_reply

OnReply = Callable[[Reply], None]
"""Called once with the reply, or with an error reply of code `connection-lost`."""

_BUDGET_S = 0.02
_TICK_MS = 50
_FAREWELL_S = 0.5


class Backend(QtCore.QObject):
    """Talks to the session host of one runtime directory; all of it in the Qt thread.

    Signals: `noticed(dict)` per notice; `state_loaded(dict)` per answer to `state`; `connection_changed(bool)`;
    `login_lost()`: the host knows the token no more, and it is dropped.
    """

    noticed = QtCore.Signal(object)
    state_loaded = QtCore.Signal(object)
    connection_changed = QtCore.Signal(bool)
    login_lost = QtCore.Signal()

    def __init__(self, runtime: RuntimeDirectory, parent: QtCore.QObject | None = None) -> None:
        super().__init__(parent)
        self.runtime = runtime
        self.is_connected = False
        self._closed = False
        self._watchers: list[QtCore.QSocketNotifier] = []
        self._following = Following(runtime.rpc, runtime.notify, self._take, on_open=self._watch)
        self._timer = QtCore.QTimer(self)
        self._timer.timeout.connect(self._drain)
        self._timer.start(_TICK_MS)

    @property
    def token(self) -> str:
        """What `auth/login` returned; "" while nobody is logged in here."""
        return self._following.token

    @token.setter
    def token(self, token: str) -> None:
        """Send this one along from now on."""
        self._following.token = token

    def _watch(self, descriptor: int) -> None:
        watcher = QtCore.QSocketNotifier(descriptor, QtCore.QSocketNotifier.Read, self)
        watcher.activated.connect(lambda *_: self._drain())
        self._watchers.append(watcher)

    def ask(self, typ: str, on_reply: OnReply, **fields: Any) -> None:
        """Send a request; `on_reply` is called once, later, always from the event loop."""
        try:
            frame = make_frame(typ, fields, token=self.token)
            self._following.connection.ask(frame, partial(self._take_answer, self.token, on_reply))
        except WireError as error:
            self._answer(on_reply, error)
        QtCore.QTimer.singleShot(0, self._drain)

    def _take_answer(self, token: str, on_reply: OnReply, answer: bytes | MambaError) -> None:
        def check_token(reply: Reply) -> None:
            on_reply(reply)
            if token == self.token:
                self._check_token(reply)

        self._answer(check_token, answer)

    def _check_token(self, reply: Reply) -> None:
        if reply.err == NotLoggedIn.code and self.token:
            self.token = ""
            self.login_lost.emit()
            self.load_state()

    def _answer(self, on_reply: OnReply, answer: bytes | MambaError) -> None:
        if self._closed:
            return
        try:
            if isinstance(answer, MambaError):
                raise answer
            reply = load_reply(answer)
        except MambaError as error:
            QtCore.QTimer.singleShot(0, partial(self._fail, on_reply, Reply(error.code, desc=str(error))))
        else:
            on_reply(reply)

    def _fail(self, on_reply: OnReply, reply: Reply) -> None:
        if not self._closed:
            on_reply(reply)

    def load_state(self) -> None:
        """Ask for everything a late joiner needs; `state_loaded` follows."""
        self._following.load_state()

    def _drain(self) -> None:
        if not self._closed:
            self._following.process(budget_s=_BUDGET_S)

    def _take(self, item: Item) -> None:
        if self._closed:
            return
        if isinstance(item, dict):
            self.noticed.emit(item)
        elif isinstance(item, State):
            self.state_loaded.emit(item.content)
        elif isinstance(item, Refused):
            self._check_token(item.reply)
        elif isinstance(item, (Reached, Lost)):
            self.is_connected = isinstance(item, Reached)
            self.connection_changed.emit(self.is_connected)

    def close(self) -> None:
        """Leave, and log out whoever is logged in here: no signal and no reply comes after this."""
        self._closed = True
        self._timer.stop()
        for watcher in self._watchers:
            watcher.setEnabled(False)
        self._log_out()
        self._following.close()

    def _log_out(self) -> None:
        """A login that nobody can use any more would keep its person in control."""
        connection, answers = self._following.connection, list[bytes | MambaError]()
        if not self.token or not connection.is_connected:
            return
        connection.ask(make_frame("auth/logout", {}, token=self.token), answers.append)
        deadline = time.monotonic() + _FAREWELL_S
        while not answers and time.monotonic() < deadline:
            connection.wait(deadline - time.monotonic())
            connection.process()
