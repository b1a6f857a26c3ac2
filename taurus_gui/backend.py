"""The one link between windows and Mamba: requests out and replies in (DEALER), notices in (SUB), as Qt signals.

ZeroMQ announces through file descriptors; a QSocketNotifier wakes the event loop, which then reads for at most 20 ms,
so that a flood of notices never freezes the window; a timer reads what is left. After a restart of the session host,
and after a gap in the notices, everything is asked anew with one `state` request.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import zmq
from taurus.external.qt import QtCore
from zmq.utils.monitor import parse_monitor_message

from mamba.errors import ConnectionLost, WireError
from mamba.runtime import RuntimeDirectory
from mamba.wire.messages import Reply, dump_request, load_reply, make_error
from mamba.wire.subscriber import Gap, Subscriber
from mamba.wire.values import encode

OnReply = Callable[[Reply], None]
"""Called once with the reply, or with an error reply of code `connection-lost`."""

_BUDGET_S = 0.02
_TICK_MS = 50
_RECONNECT_MS, _RECONNECT_MAX_MS = 100, 1000


class Backend(QtCore.QObject):
    """Talks to the session host of one runtime directory; all of it in the Qt thread.

    Signals: `noticed(dict)` per notice; `state_loaded(dict)` per answer to `state`; `connection_changed(bool)`.
    """

    noticed = QtCore.Signal(object)
    state_loaded = QtCore.Signal(object)
    connection_changed = QtCore.Signal(bool)

    def __init__(self, runtime: RuntimeDirectory, parent: QtCore.QObject | None = None) -> None:
        super().__init__(parent)
        self.runtime = runtime
        self.is_connected = False
        self._state_wanted = False
        self._closed = False
        self._numbers = itertools.count(1)
        self._pending: dict[bytes, OnReply] = {}
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._requests = self._context.socket(zmq.DEALER)
        self._requests.linger = 0
        # Without a host nothing is queued: a command that was given up must not run when the next host comes.
        self._requests.immediate = True
        self._requests.reconnect_ivl, self._requests.reconnect_ivl_max = _RECONNECT_MS, _RECONNECT_MAX_MS
        self._monitor = self._requests.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED)
        self._notices = Subscriber(runtime.notify, on_gap=self._note_gap)
        self._requests.connect(runtime.rpc)
        self._watchers = [self._watch(s.fileno()) for s in (self._requests, self._monitor, self._notices)]
        self._timer = QtCore.QTimer(self)
        self._timer.timeout.connect(self._drain)
        self._timer.start(_TICK_MS)

    def _watch(self, descriptor: int) -> QtCore.QSocketNotifier:
        watcher = QtCore.QSocketNotifier(descriptor, QtCore.QSocketNotifier.Read, self)
        watcher.activated.connect(lambda *_: self._drain())
        return watcher

    def ask(self, typ: str, on_reply: OnReply, **fields: Any) -> None:
        """Send a request; `on_reply` is called once, later, always from the event loop."""
        number = str(next(self._numbers)).encode()
        self._pending[number] = on_reply
        try:
            self._requests.send_multipart([number, b"", dump_request(typ, encode(fields))], zmq.NOBLOCK)
        except zmq.Again:
            self._give_up([number])

    def load_state(self) -> None:
        """Ask for everything a late joiner needs; `state_loaded` follows."""
        if not self._state_wanted:
            self._state_wanted = True
            self.ask("state", self._take_state)

    def _take_state(self, reply: Reply) -> None:
        self._state_wanted = False
        if reply.ok:
            self._notices.expect(reply.value.get("seq") or {})
            self.state_loaded.emit(reply.value)

    def _note_gap(self, _gap: Gap) -> None:
        self.load_state()

    def _drain(self) -> None:
        deadline = time.monotonic() + _BUDGET_S
        self._read_monitor()
        while not self._closed and time.monotonic() < deadline:
            try:
                frames = self._requests.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                break
            self._take_reply(frames)
        if self._closed:  # whoever got a reply may have closed the window
            return
        for notice in self._notices.drain(max(0.001, deadline - time.monotonic())):
            self.noticed.emit(notice)
            if self._closed:
                return
            if notice.get("typ") == "session/started":
                self.load_state()

    def _take_reply(self, frames: list[bytes]) -> None:
        on_reply = self._pending.pop(frames[0], None)
        if on_reply is None:
            return
        try:
            reply = load_reply(frames[-1])
        except WireError as error:
            reply = Reply(error.code, desc=str(error))
        on_reply(reply)

    def _read_monitor(self) -> None:
        while not self._closed and self._monitor.poll(0):
            event = parse_monitor_message(self._monitor.recv_multipart())["event"]
            self._set_connected(event == zmq.EVENT_HANDSHAKE_SUCCEEDED)

    def _set_connected(self, connected: bool) -> None:  # noqa: FBT001  # one state, set in one place
        if connected == self.is_connected:
            return
        self.is_connected = connected
        if not connected:
            self._state_wanted = False
            self._give_up(list(self._pending))
        self.connection_changed.emit(connected)
        if connected:
            self.load_state()

    def _give_up(self, numbers: list[bytes]) -> None:
        error = ConnectionLost(
            "session host: no connection",
            seen=str(self.runtime.path),
            remedy="start it with 'mambactl up'; the window connects by itself",
        )
        rep = make_error(error)
        reply = Reply(rep["err"], desc=rep["desc"])
        for number in numbers:
            on_reply = self._pending.pop(number, None)
            if on_reply is not None:
                QtCore.QTimer.singleShot(0, partial(on_reply, reply))

    def close(self) -> None:
        """Leave: no signal and no reply comes after this."""
        self._closed = True
        self._timer.stop()
        for watcher in self._watchers:
            watcher.setEnabled(False)
        self._pending.clear()
        self._requests.disable_monitor()
        self._monitor.close()
        self._requests.close()
        self._notices.close()
        self._context.term()
