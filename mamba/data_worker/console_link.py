"""From sinks in actors to the console: one Unix socket per arm, for what is shown, fed back or told.

`ConsoleSender` connects in a sink, `ConsoleReceiver` binds in the console process and hands over in a thread of its
own. Nothing here holds a graph: what finds no room is not sent, and the numbers in the messages show it.

A message is one part: a uint32 with the length of the head, the head as JSON, and for some kinds an array's bytes (C
order; the head has `shape` and `dtype`). One part, because the console's thread waits for Python's lock after each part
that it receives, up to 5 ms when somebody computes there. Kinds, the head's `kind`:

=========  ===========================================================================================================
begin      `node, shape, dtype, units, columns`: a feedback node is ready
rows       `node, first, count, time`, and the rows: values of frames `first` to `first + count - 1`
preview    `node, device, arm, number, full_shape, step, time`, and the picture
document   `node, name, doc`: a bluesky document
end        `node`: nothing more comes of a feedback node
=========  ===========================================================================================================
"""

from __future__ import annotations

import json
import logging
import struct
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import zmq
from numpy.typing import NDArray

from mamba.errors import NodeFailed
from mamba.wire.private import bind_privately

_QUEUE_MESSAGES = 10_000
_LINGER_MS = 1000
_STOP = "inproc://stop"
_LENGTH = struct.Struct("<I")

Head = dict[str, Any]
Take = Callable[[Head, NDArray[Any] | None], None]
"""Takes the head of a message and its array; in the receiver's thread."""

log = logging.getLogger(__name__)


class ConsoleSender:
    """A sink's end; belongs to its thread.

    Args:
        node: name of the node, in every message.
        endpoint: `Job.console`.

    Raises:
        NodeFailed: the console gave no endpoint.
    """

    def __init__(self, node: str, endpoint: str) -> None:
        if not endpoint:
            raise NodeFailed(
                f"node {node!r}: has no console to send to",
                seen="the graph was armed without one",
                remedy="arm it from a console, or take this node out",
            )
        self._node, self.unsent = node, 0
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(1)
        self._socket = self._context.socket(zmq.PUSH)
        self._socket.set(zmq.SNDHWM, _QUEUE_MESSAGES)
        self._socket.set(zmq.LINGER, _LINGER_MS)
        self._socket.connect(endpoint)

    def send(self, kind: str, head: Head, array: NDArray[Any] | None = None) -> bool:
        """Send, or count among `unsent` when the console is too far behind; never blocks."""
        told = json.dumps({"kind": kind, "node": self._node, **head}).encode()
        data = b"" if array is None else array.tobytes()
        try:
            self._socket.send(b"".join((_LENGTH.pack(len(told)), told, data)), flags=zmq.NOBLOCK)
        except zmq.Again:
            self.unsent += 1
            return False
        return True

    def close(self) -> None:
        """Close after what was sent is delivered, at most 1 s; idempotent."""
        if not self._socket.closed:
            self._socket.close()
            self._context.term()


class ConsoleReceiver(threading.Thread):
    """The console's end of one arm.

    Args:
        folder: the arm's own folder, 0700; the socket file lies in it.
        takers: who takes which kind of message; a kind without a taker is passed over.

    Attributes:
        endpoint: for `Job.console`.
    """

    def __init__(self, folder: Path, takers: Mapping[str, Take]) -> None:
        super().__init__(name="mdw console", daemon=True)
        self.endpoint = f"ipc://{folder}/console"
        self._takers = takers
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(1)
        self._socket = self._context.socket(zmq.PULL)
        self._socket.set(zmq.RCVHWM, _QUEUE_MESSAGES)
        bind_privately(self._socket, self.endpoint)
        self._socket.bind(_STOP)

    def run(self) -> None:
        """Hand over until `close`; then what is here already."""
        while message := self._socket.recv():
            self._hand_over(message)
        while self._socket.poll(0):
            self._hand_over(self._socket.recv())

    def _hand_over(self, message: bytes) -> None:
        try:
            (length,) = _LENGTH.unpack_from(message)
            head = json.loads(message[_LENGTH.size : _LENGTH.size + length])
            take = self._takers.get(head["kind"])
            if take is None:
                return
            array = None
            if len(message) > _LENGTH.size + length:
                shape = (head["count"], *head["shape"]) if head["kind"] == "rows" else head["shape"]
                array = np.frombuffer(message, head["dtype"], offset=_LENGTH.size + length).reshape(shape)
            take(head, array)
        except Exception:  # whoever takes it must not end it for the others
            log.exception("a message from the data worker could not be taken: %r", message[:200])

    def close(self) -> None:
        """Hand over what has come, and end; to be called once all sinks have closed. Idempotent."""
        if self._socket.closed:
            return
        if self.is_alive():
            with self._context.socket(zmq.PUSH) as stop:
                stop.connect(_STOP)
                stop.send(b"")
                self.join()
        self._socket.close(0)
        self._context.term()
