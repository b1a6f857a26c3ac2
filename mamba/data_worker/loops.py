"""The thread that runs one node inside an actor: takes blocks from its edges, has the node process them, passes on.

Every loop goes the same way: *ready* when its edges stand, work until the end of the arm or a `stop`, *drained* when
nothing more will come from it, and closed by the supervisor's `finish`. A node that raises says so and drains too, so
that the others can be brought home and the account be settled.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from dataclasses import asdict, replace
from typing import Any

import zmq

from mamba.data_worker.edges import EdgePlan, InEdge, OutEdge
from mamba.data_worker.frame import Block, End
from mamba.data_worker.ledger import RangeSet
from mamba.data_worker.nodes import ACKNOWLEDGE_EVERY_S, Item, Node, Numbered, Result, Sink
from mamba.data_worker.reports import Reporter, dump_error
from mamba.data_worker.sources.stream import BlockOrder
from mamba.data_worker.stream import FrameReceiver
from mamba.errors import MambaError, NodeFailed, StreamBroken

_POLL_S = 0.1
_REPORT_EVERY_S = 0.05
_CONNECT_S = 10.0


def number_rows(result: Result, first: int) -> dict[str, Numbered]:
    """What a node gave, by output, with numbers: those of the item that begins with `first` where it gave none."""
    given = result if isinstance(result, dict) else {} if result is None else {"out": result}
    return {name: rows if isinstance(rows, Numbered) else Numbered(first, rows) for name, rows in given.items()}


class NodeLoop(threading.Thread, ABC):
    """Runs one node until `finish`; subclasses say where blocks come from."""

    def __init__(self, node: Node, reporter: Reporter, outs: list[OutEdge]) -> None:
        super().__init__(name=f"node {node.name}", daemon=True)
        self.node, self.reporter, self.outs = node, reporter, outs
        self._stopped = self._ending = False
        self._account: dict[str, Any] | None = None
        self._finished = False

    def run(self) -> None:
        """The whole life of the node; whatever it raises is reported."""
        self._guard(self._live)
        self._guard(self._drain)
        self.reporter.send("drained")
        while not self._finished:
            self._obey(_POLL_S)
            self._tend()
        self._guard(self._finish)
        self.close()

    def _live(self) -> None:
        self.connect()
        self.reporter.send("ready")
        self.work()

    def _guard(self, step: Any) -> None:
        try:
            step()
        except MambaError as error:
            self.reporter.send("failed", **dump_error(error))
        except Exception as error:  # noqa: BLE001  # whatever a node raises is its failure, and is reported as that
            failure = NodeFailed(f"node {self.node.name}: {type(error).__name__}", seen=str(error)[:500])
            self.reporter.send("failed", **dump_error(failure))

    def _obey(self, timeout_s: float) -> None:
        for command in self.reporter.take(timeout_s):
            if command["typ"] == "end":
                self._ending = True
            elif command["typ"] == "stop":
                self._stopped = True
            elif command["typ"] == "finish":
                self._stopped = self._finished = True
                self._account = command["account"]

    def _tend(self) -> None:
        """Look after the outputs: what was released, what waits, who is gone."""
        for out in self.outs:
            self.release(out, out.collect())

    def _await_stop(self, why: str) -> None:
        """An edge is cut. Its other side tells the cause or is dead; the supervisor will say stop."""
        self.reporter.send("cut", why=why)
        while not self._stopped:
            self._obey(_POLL_S)

    def _pass_end(self, end: End) -> None:
        for out in self.outs:
            out.end(end)
        while not self._stopped and not all(out.finished for out in self.outs):
            self._obey(0.01)
            self._tend()

    def release(self, out: OutEdge, blocks: list[Block]) -> None:
        """A reader released these."""

    @abstractmethod
    def connect(self) -> None:
        """Make the inputs."""

    @abstractmethod
    def work(self) -> None:
        """Process until the end of the arm or a stop."""

    def _drain(self) -> None:
        """Make safe what came."""

    def _finish(self) -> None:
        """Act on the account."""

    def close(self) -> None:
        """Close all edges; idempotent."""
        for out in self.outs:
            out.close()
        self.reporter.close()


class SourceLoop(NodeLoop):
    """Runs the source: forwards the slots of the detector's ring and gives each back when all readers have."""

    def __init__(self, node: Node, reporter: Reporter, outs: list[OutEdge], receiver: FrameReceiver) -> None:
        super().__init__(node, reporter, outs)
        self._receiver = receiver
        self._held: dict[int, int] = {}  # block → readers that still look at it
        self._blocks: dict[int, Block] = {}
        self._fresh, self._order = RangeSet(), BlockOrder()
        self._first_at = self._reported = 0.0

    def connect(self) -> None:
        """The detector is connected already; its readers come by themselves."""
        deadline = time.monotonic() + _CONNECT_S
        while not self._stopped and not all(out.link.connected for out in self.outs):
            self._obey(0.01)
            self._tend()
            if time.monotonic() > deadline:
                raise NodeFailed(f"node {self.node.name}: nobody reads its edges", seen=f"waited {_CONNECT_S:g} s")

    def work(self) -> None:
        """Forward until the end."""
        poller = zmq.Poller()
        sockets = [self.reporter.socket, self._receiver.link.socket, self._receiver.link.monitor]
        for out in self.outs:
            sockets += [out.link.socket, out.link.monitor]
        for socket in sockets:
            poller.register(socket, zmq.POLLIN)
        end = End(0, 0)
        try:
            while not (self._stopped or self._ending) and (found := self._forward_all(poller)) is None:
                if time.monotonic() - self._reported > _REPORT_EVERY_S:
                    self._report()
            if not (self._stopped or self._ending) and found is not None:
                end = found
                self.reporter.send("ended", produced=end.produced)
        except StreamBroken as error:
            self.reporter.send("broken", **dump_error(error))
        self._report()
        # whatever ended the stream: what came of it goes its way to the file
        self._pass_end(end)

    def _forward_all(self, poller: zmq.Poller) -> End | None:
        poller.poll(round(_POLL_S * 1000))
        self._obey(0)
        self._tend()
        while (item := self._receiver.receive(0)) is not None:
            if isinstance(item, End):
                return item
            self._forward(item)
        return None

    def _forward(self, block: Block) -> None:
        self._first_at = self._first_at or time.monotonic()
        self._order.check(block)
        duplicates = block.count - self._fresh.add(block.first, block.count)
        if duplicates:
            self.reporter.send("repeated", count=duplicates)
        self._held[block.block], self._blocks[block.block] = len(self.outs), block
        for out in self.outs:
            given_up = out.put(block)
            if given_up is not None:
                self._give_up(out, given_up)

    def _give_up(self, out: OutEdge, block: Block) -> None:
        if out.plan.counted:
            reason = f"{out.plan.policy}: {out.plan.to} was behind"
            self.reporter.send("lost", first=block.first, count=block.count, reason=reason)
        self.release(out, [block])

    def release(self, out: OutEdge, blocks: list[Block]) -> None:
        """Count down; the last reader frees the slot."""
        for block in blocks:
            self._held[block.block] -= 1
            if not self._held[block.block]:
                del self._held[block.block]
                self._receiver.release(self._blocks.pop(block.block))

    def _report(self) -> None:
        self._reported = time.monotonic()
        if len(self._fresh):
            self.reporter.send("received", ranges=list(self._fresh), age_s=self._reported - self._first_at)
            self._fresh = RangeSet()

    def _drain(self) -> None:
        self._report()

    def close(self) -> None:
        """Leave the detector too."""
        self._receiver.close()
        super().close()


class StepLoop(NodeLoop):
    """Runs a processor or a sink."""

    def __init__(self, node: Node, reporter: Reporter, outs: list[OutEdge], ins: list[EdgePlan]) -> None:
        super().__init__(node, reporter, outs)
        self._plans = ins
        self._ins: dict[str, InEdge] = {}
        self._open: set[str] = set()
        self._flushed = time.monotonic()

    def connect(self) -> None:
        """Connect to the origins of all inputs."""
        for plan in self._plans:
            self._ins[plan.input] = InEdge.connect(plan.endpoint, token=plan.token, timeout_s=_CONNECT_S)
        self._open = set(self._ins)

    def work(self) -> None:
        """Process until every input has ended."""
        watching, waiting = zmq.Poller(), zmq.Poller()
        sockets = [self.reporter.socket]
        for out in self.outs:
            sockets += [out.link.socket, out.link.monitor]
        for socket in sockets:
            watching.register(socket, zmq.POLLIN)
            waiting.register(socket, zmq.POLLIN)
        for edge in self._ins.values():
            watching.register(edge.link.socket, zmq.POLLIN)
            watching.register(edge.link.monitor, zmq.POLLIN)
        end: End | None = None
        try:
            while not self._stopped and self._open:
                ready = all(out.ready for out in self.outs)
                (watching if ready else waiting).poll(round(_POLL_S * 1000))
                self._obey(0)
                self._tend()
                end = self._take_round() or end
                self._flush_in_time()
        except StreamBroken as error:
            self._await_stop(error.what)
        if end is not None and not self._stopped:
            self._pass_end(end)

    def _take_round(self) -> End | None:
        """One block of each input: none can starve another."""
        end = None
        for name in sorted(self._open):
            if not all(out.ready for out in self.outs):
                break
            item = self._ins[name].receive(0)
            if isinstance(item, End):
                self._open.discard(name)
                end = item
            elif item is not None:
                self._process(name, item)
        return end

    def _process(self, name: str, block: Block) -> None:
        edge = self._ins[name]
        result = self.node.process(Item(block.first, {name: edge.frames(block)}, block.time))
        edge.release(block)
        for output, (first, rows) in number_rows(result, block.first).items():
            for out in self.outs:
                if out.plan.output == output:
                    out.put(replace(block, first=first, count=len(rows)), rows)

    def _flush_in_time(self) -> None:
        if isinstance(self.node, Sink) and time.monotonic() - self._flushed > ACKNOWLEDGE_EVERY_S:
            self._drain()

    def _drain(self) -> None:
        if isinstance(self.node, Sink):
            ranges = self.node.flush()
            self._flushed = time.monotonic()
            if ranges:
                self.reporter.send("written", ranges=ranges)

    def _finish(self) -> None:
        if isinstance(self.node, Sink):
            account = self._account or {"produced": 0, "written": 0, "missing": [], "duplicates": 0, "reason": "lost"}
            kept = self.node.close(account)
            self.reporter.send("closed", datasets={n: {**asdict(i), "file": str(i.file)} for n, i in kept.items()})

    def close(self) -> None:
        """Leave the origins too."""
        for edge in self._ins.values():
            edge.close()
        super().close()
