"""The threads that run sources: one forwards the slots of a detector's ring, one has its node fill slots of our own."""

from __future__ import annotations

import time
from abc import abstractmethod
from typing import Any

import zmq

from mamba.data_worker.edges import Port
from mamba.data_worker.frame import Block, End
from mamba.data_worker.ledger import RangeSet
from mamba.data_worker.loops import POLL_S, NodeLoop
from mamba.data_worker.nodes import Node, Source
from mamba.data_worker.reports import Reporter, dump_error
from mamba.data_worker.sources.stream import BlockOrder
from mamba.data_worker.stream import FrameReceiver
from mamba.errors import NodeFailed, StreamBroken

_REPORT_EVERY_S = 0.05


class _Arrivals:
    """Which frames came, and which came again; told to the supervisor now and then."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._all, self._fresh = RangeSet(), RangeSet()
        self._first_at = self._reported = 0.0

    def add(self, first: int, count: int) -> None:
        """Take note of a block."""
        self._first_at = self._first_at or time.monotonic()
        again = count - self._all.add(first, count)
        self._fresh.add(first, count)
        if again:
            self._reporter.send("repeated", count=again)

    def report(self, *, at_once: bool = False) -> None:
        """Tell what is new, when it is time."""
        now = time.monotonic()
        if not (at_once or now - self._reported > _REPORT_EVERY_S):
            return
        self._reported = now
        if len(self._fresh):
            self._reporter.send("received", ranges=list(self._fresh), age_s=now - self._first_at)
            self._fresh = RangeSet()


class SourceLoop(NodeLoop):
    """Brings frames in until their end, whatever ends them; subclasses say from where."""

    def __init__(self, node: Node, reporter: Reporter, port: Port, arm: int) -> None:
        super().__init__(node, reporter, {"out": port})
        self._port, self._arm = port, arm
        self._arrivals = _Arrivals(reporter)

    def connect(self) -> None:
        """What sends the frames is connected already; the readers come by themselves."""
        self.await_readers()

    def work(self) -> None:
        """Take what comes until the end."""
        end: End | None = None
        try:
            while end is None and not (self.stopped or self.ending):
                end = self.turn()
                self._arrivals.report()
            if end is not None:
                self.reporter.send("ended", produced=end.produced)
        except StreamBroken as error:
            self.reporter.send("broken", **dump_error(error))
        self._arrivals.report(at_once=True)
        # whatever ended the stream: what came of it goes its way to the file
        self.pass_end(end or End(self._arm, 0))

    def count_blocks(self) -> tuple[int, int]:
        """Blocks that were sent and are not back, and free slots."""
        held = self._port.held
        return held, max(0, self._port.form.slots - held)

    @abstractmethod
    def turn(self) -> End | None:
        """Obey, tend, and take what is there within `POLL_S`; the end when it came."""


class StreamLoop(SourceLoop):
    """Runs a stream source: forwards the slots of the detector's ring and gives each back when all readers have.

    Args:
        resumes: the source before this one was killed; the detector sends again what that one had not released.
    """

    def __init__(
        self, node: Node, reporter: Reporter, port: Port, arm: int, receiver: FrameReceiver, *, resumes: bool = False
    ) -> None:
        super().__init__(node, reporter, port, arm)
        self._receiver, self._order = receiver, BlockOrder(resumes=resumes)
        self._wired = -1
        self._pollers: dict[bool, zmq.Poller] = {}  # by whether more can be forwarded

    def turn(self) -> End | None:
        """Forward what the detector has sent."""
        if self._wired != self.wiring:
            self._pollers = {True: self.make_poller(*self._receiver.link.pollables), False: self.make_poller()}
            self._wired = self.wiring
        ready = self.ready
        if not (ready and self._receiver.link.pace.rest()):
            self._pollers[ready].poll(round(POLL_S * 1000))
        self.obey(0)
        self.tend()
        return self._forward_all()

    def _forward_all(self) -> End | None:
        while self.ready and (item := self._receiver.receive(0)) is not None:
            if isinstance(item, End):
                return item
            self._order.check(item)
            self._arrivals.add(item.first, item.count)
            self.count(item, item.count * self._receiver.format.frame_bytes)
            self.tell_lost(self._port.forward(item))
        return None

    def release(self, keys: list[Block]) -> None:
        """The detector may fill the slots again."""
        self._receiver.release(*keys)

    def close(self) -> None:
        """Leave the detector too."""
        self._receiver.close()
        super().close()


class FillLoop(SourceLoop):
    """Runs any other source: has it fill slots, and sends them."""

    def __init__(self, node: Source, reporter: Reporter, port: Port, arm: int) -> None:
        super().__init__(node, reporter, port, arm)
        self._source = node

    def turn(self) -> End | None:
        """Fill the next slot, when there is one."""
        self.obey(0 if self.ready else 0.005)
        self.tend()
        return self._fill() if self.ready else None

    def _fill(self) -> End | None:
        slot, rows = self._port.reserve()
        found = self._source.fill(rows, POLL_S)
        if found is None or isinstance(found, End):
            self._port.give_back(slot)
            return found
        first, count = found
        if not 0 < count <= len(rows):
            raise NodeFailed(
                f"node {self.node.name}: fill() says {count} frames in a block of {len(rows)}",
                remedy="mend the node: it returns (first, count) of what it put into `out`",
            )
        block = Block(self._arm, 0, first, count, time=time.time())
        self._arrivals.add(first, count)
        self.count(block, rows[:count].nbytes)
        self.tell_lost(self._port.commit(block, slot, rows))
        return None

    def release(self, keys: list[Any]) -> None:
        """The port keeps its own slots."""

    def give_up(self) -> None:
        """Close what was opened, and let the readers go home."""
        self._source.stop()
        self.pass_end(End(self._arm, 0))

    def drain(self) -> None:
        """Close what was opened."""
        self._source.stop()
