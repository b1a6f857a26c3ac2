"""A ZeroMQ socket on which somebody else's messages come, and that knows when their sender is gone.

No heartbeats here: a detector's firmware may speak an older ZeroMQ that does not answer them. TCP's keep-alive finds a
host that vanished, within about half a minute; a process that dies is seen at once.
"""

from __future__ import annotations

import time
from typing import Any

import zmq
from zmq.utils.monitor import recv_monitor_message

from mamba.errors import StreamBroken

Socket = zmq.Socket[bytes]
Part = memoryview
"""One part of a message; keeps its memory for as long as it is held."""

_EVENTS = zmq.EVENT_DISCONNECTED | zmq.EVENT_HANDSHAKE_SUCCEEDED
_KEEPALIVE_IDLE_S, _KEEPALIVE_INTERVAL_S, _KEEPALIVE_COUNT = 10, 5, 4
LARGEST_MESSAGE_BYTES = 512 * 2**20


class Connection:
    """Connects to one sender; belongs to one thread at a time.

    Args:
        node: name of the node, for errors.
        endpoint: where the sender is bound.
        kind: `zmq.PULL` or `zmq.SUB` (which then subscribes to everything).
        queue_messages: how many messages may wait here; more wait at the sender, or are lost with `zmq.SUB`.
        timeout_s: for the connection.
        patience_s: how long a sender may be gone before the stream counts as broken.

    Raises:
        StreamBroken: not an endpoint, or nobody is there within `timeout_s`.

    Attributes:
        patience_s: may be changed at any time.
    """

    def __init__(
        self,
        node: str,
        endpoint: str,
        kind: int,
        *,
        queue_messages: int,
        timeout_s: float,
        patience_s: float = 0.0,
    ) -> None:
        self.node, self.endpoint, self.patience_s = node, endpoint, patience_s
        self._lost_at: float | None = None
        self._context: zmq.Context[Socket] = zmq.Context(1)
        self.socket = self._context.socket(kind)
        self.socket.set(zmq.LINGER, 0)
        self.socket.set(zmq.RCVHWM, queue_messages)
        self.socket.set(zmq.MAXMSGSIZE, LARGEST_MESSAGE_BYTES)
        self.socket.set(zmq.TCP_KEEPALIVE, 1)
        self.socket.set(zmq.TCP_KEEPALIVE_IDLE, _KEEPALIVE_IDLE_S)
        self.socket.set(zmq.TCP_KEEPALIVE_INTVL, _KEEPALIVE_INTERVAL_S)
        self.socket.set(zmq.TCP_KEEPALIVE_CNT, _KEEPALIVE_COUNT)
        if kind == zmq.SUB:
            self.socket.set(zmq.SUBSCRIBE, b"")
        monitor: Any = self.socket.get_monitor_socket(_EVENTS)
        self._monitor: Socket = monitor
        try:
            self.socket.connect(endpoint)
        except zmq.ZMQError as error:
            self.close()
            raise StreamBroken(f"node {node!r}: {endpoint} is not an endpoint", seen=str(error)) from None
        self._await(timeout_s)

    def _await(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while self._monitor.poll(max(0, round((deadline - time.monotonic()) * 1000))):
            if recv_monitor_message(self._monitor)["event"] == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                return
        self.close()
        raise StreamBroken(
            f"node {self.node!r}: nobody sends at {self.endpoint}",
            seen=f"no connection within {timeout_s:g} s",
            remedy="check the address, and that the sender's stream is switched on",
        )

    def receive(self, timeout_s: float) -> list[Part] | None:
        """The parts of the next message; None when nothing came within `timeout_s`.

        Raises:
            StreamBroken: the sender is gone and everything it sent was taken.
        """
        if not self.socket.poll(0) and not self._wait(timeout_s):
            return None
        return self.receive_more()

    def receive_more(self) -> list[Part] | None:
        """The parts of a message that is here already; None when none is, whatever became of the sender."""
        if not self.socket.poll(0):
            return None
        return [part.buffer for part in self.socket.recv_multipart(copy=False)]

    def _wait(self, timeout_s: float) -> bool:
        poller = zmq.Poller()
        poller.register(self.socket, zmq.POLLIN)
        poller.register(self._monitor, zmq.POLLIN)
        patience_s = 0.0 if self._lost_at is None else self._lost_at + self.patience_s - time.monotonic()
        poller.poll(round(1000 * (timeout_s if self._lost_at is None else max(0.0, min(timeout_s, patience_s)))))
        while self._monitor.poll(0):
            gone = recv_monitor_message(self._monitor)["event"] == zmq.EVENT_DISCONNECTED
            self._lost_at = time.monotonic() if gone else None
        if self.socket.poll(0):
            return True
        if self._lost_at is not None and time.monotonic() >= self._lost_at + self.patience_s:
            raise StreamBroken(
                f"node {self.node!r}: the sender at {self.endpoint} is gone before its end",
                seen=f"waited {self.patience_s:g} s for it to come back" if self.patience_s else "",
                remedy="look at the sender; what came is safe",
            )
        return False

    def close(self) -> None:
        """Close; does nothing the second time."""
        if not self.socket.closed:
            self.socket.disable_monitor()
            self._monitor.close(0)
            self.socket.close(0)
            self._context.term()
