"""From sinks in actors to the console: one Unix socket per arm, for what is shown, fed back or told.

`ConsoleSender` connects in a sink, `ConsoleReceiver` binds in the console process and hands over in a thread of its
own. Nothing here holds a graph: what finds no room is not sent, and the numbers in the messages show it.

A message has two or three parts: kind, head as JSON, and for some kinds an array's bytes (C order; the head has `shape`
and `dtype`). Kinds:

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
        told = {"node": self._node, **head}
        parts: list[Any] = [kind.encode(), json.dumps(told).encode()]
        if array is not None:
            parts.append(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
        try:
            self._socket.send_multipart(parts, flags=zmq.NOBLOCK)
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
        self._stop_in, self._stop_out = self._context.socket(zmq.PAIR), self._context.socket(zmq.PAIR)
        self._stop_in.bind(_STOP)
        self._stop_out.connect(_STOP)

    def run(self) -> None:
        """Hand over until `close`; then what is here already."""
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        poller.register(self._stop_in, zmq.POLLIN)
        while self._stop_in not in (ready := dict(poller.poll())):
            if self._socket in ready:
                self._hand_over(self._socket.recv_multipart())
        while self._socket.poll(0):
            self._hand_over(self._socket.recv_multipart())

    def _hand_over(self, parts: list[bytes]) -> None:
        kind = parts[0].decode(errors="replace")
        take = self._takers.get(kind)
        if take is None:
            return
        try:
            head = json.loads(parts[1])
            array = None
            if len(parts) > 2:
                shape = (head["count"], *head["shape"]) if kind == "rows" else head["shape"]
                array = np.frombuffer(parts[2], head["dtype"]).reshape(shape)
            take(head, array)
        except Exception:  # whoever takes it must not end it for the others
            log.exception("a message of kind %s from the data worker could not be taken", kind)

    def close(self) -> None:
        """Hand over what has come, and end; to be called once all sinks have closed. Idempotent."""
        if self._socket.closed:
            return
        if self.is_alive():
            self._stop_out.send(b"")
            self.join()
        for socket in (self._socket, self._stop_in, self._stop_out):
            socket.close(0)
        self._context.term()
