"""The thread that runs one node inside an actor: takes blocks from its edges, has the node process them, passes on.

Every loop goes the same way: *ready* when its edges stand, work until the end of the arm or a `stop`, *drained* when
nothing more will come from it, and closed by the supervisor's `finish`. A node that raises says so and drains too, so
that the others can be brought home and the account be settled.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import zmq

from mamba.data_worker.carriers import Pollable
from mamba.data_worker.edges import EdgePlan, GivenUp, Port
from mamba.data_worker.frame import Block, End
from mamba.data_worker.nodes import Node
from mamba.data_worker.reports import Reporter, dump_error
from mamba.errors import MambaError, NodeFailed

POLL_S = 0.1
_OBEY_EVERY_S = 0.005
"""At full speed a node does not look for commands between any two blocks."""
CONNECT_S = 15.0
"""For the readers of an edge; some may have to be replaced first."""


@dataclass
class Meter:
    """What a loop has done so far; read by other threads.

    Attributes:
        rows: frame numbers taken in (of a source: given out).
        bytes: their size.
        dropped: frame numbers given up on the edges that leave it.
        last: the last frame number.
        last_time: when that block was made, seconds since 1970.
        busy_since: monotonic time at which `process` was entered; 0 outside.
        drained: nothing more will come through.
    """

    rows: int = 0
    bytes: int = 0
    dropped: int = 0
    last: int = -1
    last_time: float = 0.0
    busy_since: float = 0.0
    drained: bool = False


class NodeLoop(threading.Thread, ABC):
    """Runs one node until `finish`; subclasses say where blocks come from."""

    def __init__(self, node: Node, reporter: Reporter, ports: dict[str, Port]) -> None:
        super().__init__(name=f"node {node.name}", daemon=True)
        self.node, self.reporter, self.ports, self.meter = node, reporter, ports, Meter()
        self.stopped = self.ending = False
        self.wiring = 0
        """Grows when edges come or go: pollers made before are worth nothing."""
        self._account: dict[str, Any] | None = None
        self._finished = False
        self._obeyed = 0.0

    def run(self) -> None:
        """The whole life of the node; whatever it raises is reported."""
        if self._guard(self._live):
            self._guard(self.drain)
        else:
            self._guard(self.give_up)
        self.meter.drained = True
        self.reporter.send("drained", **self.read_meter())
        tends = True
        while not self._finished:
            self.obey(POLL_S)
            tends = tends and self._guard(self.tend)  # whatever it raises: the account is still to come
        self._guard(lambda: self.finish(self._account))
        self.close()

    def learn(self, endpoints: dict[str, str]) -> None:
        """Take in where origins are whose endpoint was not known before, by token; called before it starts."""

    def read_meter(self) -> dict[str, Any]:
        """The meter as plain data, with its edges; from any thread."""
        meter = asdict(self.meter)
        since, made, drained = meter.pop("busy_since"), meter.pop("last_time"), meter.pop("drained")
        queued, credits_ = self.count_blocks()
        edges = [edge for port in self.ports.values() for edge in port.edges]
        return {
            **meter,
            "queued": queued,
            "credits": credits_,
            "lag_s": max(0.0, time.time() - made) if made and not drained else 0.0,
            "busy_s": time.monotonic() - since if since else 0.0,
            "edges": {edge.plan.name: {"sent": edge.sent, "dropped": edge.given_up} for edge in edges},
        }

    def _live(self) -> None:
        self.connect()
        self.reporter.send("ready")
        self.work()

    def _guard(self, step: Callable[[], None]) -> bool:
        try:
            step()
        except MambaError as error:
            self.reporter.send("failed", **dump_error(error))
        except Exception as error:  # noqa: BLE001  # whatever a node raises is its failure, and is reported as that
            failure = NodeFailed(f"node {self.node.name}: {type(error).__name__}", seen=str(error)[:500])
            self.reporter.send("failed", **dump_error(failure))
        else:
            return True
        return False

    def obey(self, timeout_s: float) -> None:
        """Take the supervisor's commands; without time to wait, now and then."""
        now = time.monotonic()
        if not timeout_s and now - self._obeyed < _OBEY_EVERY_S:
            return
        self._obeyed = now
        for command in self.reporter.take(timeout_s):
            if command["typ"] == "end":
                self.ending = True
            elif command["typ"] == "stop":
                self.stopped = True
            elif command["typ"] == "finish":
                self.stopped = self._finished = True
                self._account = command["account"]
            elif command["typ"] == "attach":
                for edge in command["edges"]:
                    plan = EdgePlan(**edge)
                    self.ports[plan.output].attach(plan)
                self.wiring += 1
            elif command["typ"] == "detach":
                for port in self.ports.values():
                    for reader in command["readers"]:
                        port.detach(reader)
                self.wiring += 1

    def tend(self) -> None:
        """Look after the outputs: what was released, what waits, who is gone."""
        for port in self.ports.values():
            if keys := port.collect():
                self.release(keys)

    def tell_lost(self, given_up: list[GivenUp]) -> None:
        """Report what edges gave up."""
        for plan, block in given_up:
            self.meter.dropped += block.count
            if plan.needed:
                reason = f"{plan.policy}: {plan.to} was behind"
                self.reporter.send("lost", first=block.first, count=block.count, to=plan.to, reason=reason)

    def pass_end(self, end: End) -> None:
        """Tell all readers of the end, and wait until they hold nothing that could be lost."""
        for port in self.ports.values():
            port.end(end)
        self.tend()
        while not self.stopped and not all(port.finished for port in self.ports.values()):
            self.obey(0.01)
            self.tend()

    @property
    def ready(self) -> bool:
        """All outputs have room for another block."""
        return all(port.ready for port in self.ports.values())

    def make_poller(self, *more: Pollable) -> zmq.Poller:
        """A poller on the supervisor, the outputs and `more`."""
        poller = zmq.Poller()
        outputs = (each for port in self.ports.values() for each in port.pollables)
        for each in (self.reporter.socket, *outputs, *more):
            poller.register(each, zmq.POLLIN)
        return poller

    def await_readers(self) -> None:
        """Wait until somebody reads every edge.

        Raises:
            NodeFailed: nobody came in time.
        """
        deadline = time.monotonic() + CONNECT_S
        while not self.stopped and not all(port.connected for port in self.ports.values()):
            self.obey(0.01)
            self.tend()
            if time.monotonic() > deadline:
                edges = [edge for port in self.ports.values() for edge in port.edges if not edge.link.connected]
                names = ", ".join(edge.plan.to for edge in edges)
                raise NodeFailed(
                    f"node {self.node.name}: nobody reads its edges to {names}", seen=f"waited {CONNECT_S:g} s"
                )

    def count(self, block: Block, nbytes: int) -> None:
        """Keep the meter."""
        self.meter.rows += block.count
        self.meter.bytes += nbytes
        self.meter.last, self.meter.last_time = block.last, block.time

    @abstractmethod
    def count_blocks(self) -> tuple[int, int]:
        """Blocks that are here and not given back, and how many more may come (of a source: be sent); any thread."""

    @abstractmethod
    def release(self, keys: list[Any]) -> None:
        """All readers of an output are through with what was put under `keys`."""

    @abstractmethod
    def connect(self) -> None:
        """Make the inputs."""

    @abstractmethod
    def work(self) -> None:
        """Process until the end of the arm or a stop."""

    def drain(self) -> None:
        """Make safe what came."""

    def give_up(self) -> None:
        """The node failed: keep nobody waiting for it."""

    def finish(self, account: dict[str, Any] | None) -> None:
        """Act on the account; None: there is none, the console is gone."""

    def close(self) -> None:
        """Close all edges; idempotent."""
        for port in self.ports.values():
            port.close()
        self.reporter.close()
