"""What nodes tell the supervisor, and what it tells them: JSON over one Unix socket per arm, never pickle.

Node to supervisor (`node` names itself in the socket's identity):

=========  =====================================================================================
ready      all its edges stand
received   `ranges`, `age_s` since the first block: frames a source saw
repeated   `count`: frames a source saw again
ended      `produced`: a source has the end of the arm
lost       `first, count, to, reason`: given up on the way to the node `to`, and not seen by it
written    `ranges`: acknowledged by a sink
paired     `paired`, `alone`: `[input, first, count]` of what a join by time stamp paired, and of what had no partner
cut        `why`: an edge broke, and nobody came in the place of its other side
broken     as `failed`: the detector's stream ended early; what came of it goes on to the file
failed     `code, what, seen, remedy`: an error of this node
drained    nothing more will come from it but `closed`; with its meter and the counts of its edges
closed     `datasets`: a sink's file is closed
meters     from a group (its name and a slash): `nodes`, `cpu_percent`, `memory_bytes`
=========  =====================================================================================

Supervisor to node: `end` (the source takes nothing more, the others what is on its way), `stop` (at once), and when all
are drained `finish` (`account`: the ledger). `attach` (`edges`: their plans) and `detach` (`readers`: nodes) when the
graph changes while it runs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import zmq
from zmq.utils.monitor import recv_monitor_message

from mamba import errors
from mamba.data_worker.carriers import Socket, open_socket
from mamba.errors import MambaError, NodeFailed

Report = dict[str, Any]
"""One message of the table."""


class Reporter:
    """A node's end; belongs to its thread."""

    def __init__(self, endpoint: str, node: str) -> None:
        self._context: zmq.Context[Socket] = zmq.Context(1)
        self.socket, self.monitor = open_socket(self._context, zmq.DEALER)
        self.socket.set(zmq.IDENTITY, node.encode())
        self.socket.connect(endpoint)
        self._orphan = False

    def send(self, typ: str, **fields: Any) -> None:
        """Tell the supervisor; never blocks."""
        self.socket.send(json.dumps({"typ": typ, **fields}).encode(), flags=zmq.NOBLOCK)

    def take(self, timeout_s: float) -> list[Report]:
        """Commands that came within `timeout_s`; when the supervisor is gone: to stop, and to finish by itself."""
        commands = []
        if self.socket.poll(round(timeout_s * 1000)):
            while self.socket.poll(0):
                commands.append(json.loads(self.socket.recv()))
        while self.monitor.poll(0):
            self._orphan |= recv_monitor_message(self.monitor)["event"] == zmq.EVENT_DISCONNECTED
        if self._orphan and not commands:
            return [{"typ": "stop", "reason": "the console is gone"}, {"typ": "finish", "account": None}]
        return commands

    def close(self, *, delivers: bool = True) -> None:
        """Close, when it `delivers` after what was sent has arrived, or a second; idempotent."""
        if not self.socket.closed:
            self.socket.disable_monitor()
            self.monitor.close(0)
            self.socket.close(None if delivers else 0)
            self._context.term()


class Collector:
    """The supervisor's end, for all nodes; made by another thread, it belongs to the supervisor's."""

    def __init__(self, endpoint: str) -> None:
        self._context: zmq.Context[Socket] = zmq.Context(1)
        self._socket, self._monitor = open_socket(self._context, zmq.ROUTER)
        self._socket.set(zmq.ROUTER_MANDATORY, 1)
        self._socket.set(zmq.ROUTER_HANDOVER, 1)
        self._socket.bind(endpoint)

    def take(self, timeout_s: float) -> Iterator[tuple[str, Report]]:
        """(node, report) of all that came; waits at most `timeout_s` for the first."""
        if self._socket.poll(round(timeout_s * 1000)):
            while self._socket.poll(0):
                identity, body = self._socket.recv_multipart()
                yield identity.decode(), json.loads(body)

    def post(self, node: str, message: Report) -> bool:
        """Tell a node; False: it is not there. Never blocks."""
        try:
            self._socket.send_multipart([node.encode(), json.dumps(message).encode()], flags=zmq.NOBLOCK)
        except zmq.ZMQError as error:
            if error.errno not in (zmq.EHOSTUNREACH, zmq.EAGAIN):
                raise
            return False
        return True

    def notice_loss(self) -> bool:
        """Whether a connection was lost since the last time; `post` tells whose."""
        lost = False
        while self._monitor.poll(0):
            lost |= recv_monitor_message(self._monitor)["event"] == zmq.EVENT_DISCONNECTED
        return lost

    def close(self) -> None:
        """Close; what was not sent yet is not sent any more."""
        self._socket.disable_monitor()
        self._monitor.close(0)
        self._socket.close(0)
        self._context.term()


def dump_error(error: MambaError) -> Report:
    """An error as fields of a report."""
    return {"code": error.code, "what": error.what, "seen": error.seen, "remedy": error.remedy}


def load_error(report: Report) -> MambaError:
    """The error in a report; of the class whose code it has."""
    classes = {cls.code: cls for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, MambaError)}
    cls = classes.get(report["code"], NodeFailed)
    return cls(report["what"], seen=report["seen"], remedy=report["remedy"])
