"""The thread that runs a processor or a sink.

A block that came is held until everything that was made of it is safe: for a sink that keeps, until the flush after
it; for a processor, until all readers of its outputs have released theirs. Then it is released to its origin. An
origin that is killed comes back and sends again what was not released; numbers that were taken are not taken twice.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mamba.data_worker.edges import EdgePlan, InEdge, Port
from mamba.data_worker.frame import Block, End
from mamba.data_worker.joining import Joiner, Outcome, Part
from mamba.data_worker.ledger import RangeSet
from mamba.data_worker.link import RESUME_WITHIN_S
from mamba.data_worker.loops import CONNECT_S, POLL_S, NodeLoop
from mamba.data_worker.nodes import ACKNOWLEDGE_EVERY_S, Flow, Item, Node, Result, Rows, Sink, number_rows
from mamba.data_worker.reports import Reporter
from mamba.data_worker.time_joining import TimeJoiner
from mamba.errors import NodeFailed, StreamBroken

_IDLE_S = 0.02
"""A sink to which nothing comes for so long flushes: its origin may be waiting for the slots."""
_RETRY_S = 0.05


@dataclass(eq=False)
class Taken:
    """A block that came in, and how many things still need it."""

    edge: InEdge
    block: Block
    uses: int = 1


class Input:
    """One input of a node: the edge, which is made anew when its origin was killed, and what was taken from it."""

    def __init__(self, plan: EdgePlan) -> None:
        self.plan, self.ended, self._left = plan, False, False
        self.edge: InEdge | None = None
        self._held: list[Taken] = []
        self._seen = RangeSet()
        self._lost_at = self._tried_at = 0.0

    @property
    def held(self) -> int:
        """Blocks that were taken and not released."""
        return len(self._held)

    def connect(self, timeout_s: float = CONNECT_S) -> None:
        """Connect to the origin."""
        self.edge = InEdge.connect(self.plan.endpoint, token=self.plan.token, timeout_s=timeout_s)
        self.edge.link.pace.slots = self.plan.limit(self.edge.format.slots)  # more would be dropped while it rests

    def connect_or_wait(self) -> None:
        """Connect to the origin; one that is not there may have died too, and `receive` goes on looking for it."""
        try:
            self.connect()
        except StreamBroken:
            self._lost_at = time.monotonic()

    def receive(self) -> Taken | End | None:
        """The next block, the end, or None; looks for a new origin when the old one is gone.

        Raises:
            StreamBroken: no new origin came in time.
        """
        if self.edge is None and not self._reconnect():
            return None
        assert self.edge is not None
        try:
            item = self.edge.receive(0)
        except StreamBroken:
            self._lose()
            return None
        if isinstance(item, End):
            self.ended = True
            return item
        return None if item is None else self._hold(self.edge, item)

    def _lose(self) -> None:
        assert self.edge is not None
        self.edge.close()
        self.edge, self._lost_at = None, time.monotonic()

    def _hold(self, edge: InEdge, block: Block) -> Taken | None:
        """Take a block; one that is in work already, from an origin that died, is from now on the new origin's."""
        for old in self._held:
            if old.edge is not edge and (old.block.first, old.block.count) == (block.first, block.count):
                old.edge, old.block = edge, block
                return None
        taken = Taken(edge, block)
        self._held.append(taken)
        return taken

    def look_back(self) -> Taken | None:
        """After the end: a block that an origin in the place of a killed one sends again, or None."""
        if self._left:
            return None
        if self.edge is not None:
            self.edge.link.notice_loss()
            if self.edge.link.lost:
                self._lose()
        try:
            found = self.receive()
        except StreamBroken:
            self._lost_at = time.monotonic()  # it was through, and nobody will come
            return None
        return found if isinstance(found, Taken) else None

    def _reconnect(self) -> bool:
        now = time.monotonic()
        if now - self._tried_at < _RETRY_S:
            return False
        self._tried_at = now
        try:
            self.connect(timeout_s=1.0)
        except StreamBroken:
            if now - self._lost_at > RESUME_WITHIN_S:
                raise
            return False
        return True

    def find_new(self, block: Block) -> list[tuple[int, int]]:
        """Numbers of the block that are for this reader and did not come before, as (first, count); now they came."""
        gaps = self._seen.gaps(block.first, block.last + 1)
        new = [(first, end - first) for gap in gaps for first, end in self.plan.share.cut(*gap)]
        self._seen.add(block.first, block.count)
        return new

    def release(self, *taken: Taken) -> None:
        """Give blocks back to their origin, if that is still the one they came from."""
        for each in taken:
            self._held.remove(each)
        if self.edge is not None:
            self.edge.release(*(each.block for each in taken if each.edge is self.edge))

    def close(self) -> None:
        """Leave the origin for good: what was taken is not given back; idempotent."""
        if self.edge is not None:
            self.edge.close()
        self.edge, self._left = None, True


class StepLoop(NodeLoop):
    """Runs a processor or a sink."""

    def __init__(
        self, node: Node, reporter: Reporter, ports: dict[str, Port], ins: list[EdgePlan], flows: dict[str, Flow]
    ) -> None:
        super().__init__(node, reporter, ports)
        self._inputs = {plan.input: Input(plan) for plan in ins}
        self._flows = flows
        self._joiner = _make_joiner(node, ins) if node.joins else None
        self._keeps = isinstance(node, Sink) and node.keeps
        self._unsafe: list[tuple[Input, Taken]] = []
        self._flushed = self._came = time.monotonic()
        self._took = False
        """The last round found something; at speed there is mostly more."""
        self._watched: tuple[int, tuple[InEdge, ...]] = (0, ())
        self._poller = self.make_poller()

    def learn(self, endpoints: dict[str, str]) -> None:
        """Where origins on other Ray nodes are."""
        for each in self._inputs.values():
            if each.plan.token in endpoints:
                each.plan = replace(each.plan, endpoint=endpoints[each.plan.token])

    def count_blocks(self) -> tuple[int, int]:
        """Of all inputs together; and of the one to which the fewest may still come."""
        inputs = list(self._inputs.values())
        return sum(each.held for each in inputs), min(
            max(0, each.plan.limit(each.plan.credits) - each.held) for each in inputs
        )

    def connect(self) -> None:
        """Connect to the origins of all inputs, or begin to look for those that are being replaced at this moment."""
        for each in self._inputs.values():
            each.connect_or_wait()

    @property
    def _open(self) -> list[str]:
        return [name for name, each in self._inputs.items() if not each.ended]

    def work(self) -> None:
        """Process until every input has ended."""
        end: End | None = None
        try:
            while not self.stopped and self._open:
                self._wait()
                self.obey(0)
                self.tend()
                end = self._take_round() or end
                if self._joiner is not None:
                    self._process_joined(self._joiner.look())
            if self.stopped:
                return
            self._put(self.node.end(), 0, time.time(), [])
            self._make_safe()
        except StreamBroken as error:
            self.reporter.send("cut", why=error.what)
            while not self.stopped:
                self.obey(POLL_S)
        if end is not None and not self.stopped:
            self.pass_end(end)

    def tend(self) -> None:
        """Look after the outputs, and after origins that were replaced when this node had their end already."""
        super().tend()
        for name, each in self._inputs.items():
            if each.ended and (taken := each.look_back()) is not None:
                self._take(name, each, taken)
        self._flush_in_time()

    def _wait(self) -> None:
        if self._took and any(each.edge is not None and each.edge.link.pace.quick for each in self._inputs.values()):
            return
        edges = [each.edge for each in self._inputs.values() if not each.ended] if self.ready else []
        there = tuple(edge for edge in edges if edge is not None)
        if self._watched != (self.wiring, there):
            pollables = [each for edge in there for each in edge.link.pollables]
            self._watched, self._poller = (self.wiring, there), self.make_poller(*pollables)
        if any(edge.link.pace.rest() for edge in there):
            return
        pressed = bool(self._unsafe) or len(there) < len(edges)
        self._poller.poll(round((_IDLE_S if pressed else POLL_S) * 1000))

    def _take_round(self) -> End | None:
        """One block of each input: none can starve another."""
        end, self._took = None, False
        for name in self._open:
            if not self.ready:
                break
            each = self._inputs[name]
            item = each.receive()
            if isinstance(item, End):
                end = item
                if self._joiner is not None:
                    self._process_joined(self._joiner.end(name))
            elif item is not None:
                self._took = True
                self._take(name, each, item)
        return end

    def _take(self, name: str, each: Input, taken: Taken) -> None:
        block, rows = taken.block, taken.edge.frames(taken.block)
        self._came = time.monotonic()
        self.count(block, rows.nbytes)
        for first, count in each.find_new(block):
            part = rows[first - block.first :][:count]
            if self._joiner is None:
                self._process(first, {name: part}, block.time, [(each, taken)])
            else:
                taken.uses += 1
                later = block.last + 1 - first - count
                whole = Part(name, first, part, time=block.time, key=(each, taken), later=later)
                self._process_joined(self._joiner.add(whole))
        self._let_go(each, taken)

    def _process_joined(self, outcome: Outcome) -> None:
        if outcome.paired or outcome.alone:
            self.reporter.send("paired", paired=outcome.paired, alone=outcome.alone)
        for joined in outcome.joined:
            self._process(joined.first, joined.arrays, joined.time, joined.keys)
        for first, count, missed in outcome.lost:
            assert self._joiner is not None
            self.meter.dropped += count
            why = self._joiner.explain(missed)
            self.reporter.send("lost", first=first, count=count, to=self.node.name, reason=why)
        for each, taken in outcome.through:
            self._let_go(each, taken)

    def _process(self, first: int, arrays: dict[str, Rows], made: float, keys: list[tuple[Input, Taken]]) -> None:
        self.meter.busy_since = time.monotonic()
        result = self.node.process(Item(first, arrays, made))
        self.meter.busy_since = 0.0
        self._put(result, first, made, keys)

    def _put(self, result: Result, number: int, made: float, keys: list[tuple[Input, Taken]]) -> None:
        for output, (first, rows) in number_rows(result, number).items():
            port = self.ports.get(output)
            self._check_rows(output, rows)
            if port is None or not len(rows):
                continue
            step = port.form.block_frames
            for at in range(0, len(rows), step):
                part = rows[at : at + step]
                if not self._await_room(port):
                    return
                for _, taken in keys:
                    taken.uses += 1
                self.tell_lost(port.put(Block(0, 0, first + at, len(part), time=made), part, keys))

    def _await_room(self, port: Port) -> bool:
        while not port.ready and not self.stopped:
            self.obey(0.005)
            self.tend()
        return port.ready

    def _check_rows(self, output: str, rows: Rows) -> None:
        flow = self._flows.get(output)
        if flow is None:
            raise NodeFailed(f"node {self.node.name}: it has no output {output!r}", seen=", ".join(self._flows))
        rows = np.asarray(rows)
        if rows.shape[1:] != flow.shape or not np.can_cast(rows.dtype, flow.dtype, "same_kind"):
            raise NodeFailed(
                f"node {self.node.name}: process() gave rows of another form than it planned",
                seen=f"{rows.shape[1:]} {rows.dtype}, planned {flow.shape} {flow.dtype}",
                remedy="mend the node: shape is (count, *flow.shape)",
            )

    def release(self, keys: list[list[tuple[Input, Taken]]]) -> None:
        """All readers are through with what was made of these blocks."""
        for key in keys:
            for each, taken in key:
                self._let_go(each, taken)

    def _let_go(self, each: Input, taken: Taken) -> None:
        taken.uses -= 1
        if taken.uses:
            return
        if self._keeps:
            self._unsafe.append((each, taken))
            if each.held * 2 >= each.plan.credits:
                self._make_safe()
        else:
            each.release(taken)

    def _flush_in_time(self) -> None:
        now = time.monotonic()
        late = now - self._flushed > ACKNOWLEDGE_EVERY_S
        # a sink that keeps nothing may hold something back all the same, such as the newest picture
        shows = isinstance(self.node, Sink) and not self._keeps
        if (shows and late) or (self._unsafe and (late or now - self._came > _IDLE_S)):
            self._make_safe()

    def _make_safe(self) -> None:
        if isinstance(self.node, Sink):
            ranges = self.node.flush()
            self._flushed = time.monotonic()
            if ranges:
                self.reporter.send("written", ranges=ranges)
        for each in self._inputs.values():
            each.release(*(taken for origin, taken in self._unsafe if origin is each))
        self._unsafe = []

    def drain(self) -> None:
        """Flush."""
        self._make_safe()

    def give_up(self) -> None:
        """Leave the origins, so that none waits for this node; say what is safe."""
        try:
            if isinstance(self.node, Sink) and (ranges := self.node.flush()):
                self.reporter.send("written", ranges=ranges)
        finally:
            self._unsafe = []  # nobody waits for them any more, and nothing is flushed for their sake
            for each in self._inputs.values():
                each.close()
        self.pass_end(End(0, 0))

    def finish(self, account: dict[str, Any] | None) -> None:
        """Close the file with the account."""
        if isinstance(self.node, Sink):
            nothing = {"produced": 0, "written": 0, "missing": [], "duplicates": 0, "reason": "lost"}
            kept = self.node.close(account or nothing)
            self.reporter.send("closed", datasets={name: info.dump() for name, info in kept.items()})

    def close(self) -> None:
        """Leave the origins too."""
        for each in self._inputs.values():
            each.close()
        super().close()


def _make_joiner(node: Node, ins: list[EdgePlan]) -> Joiner | TimeJoiner:
    """By number, or by time stamp where the node has a rule for that."""
    credits_ = min(plan.credits for plan in ins)
    if node.time_rule is not None:
        return TimeJoiner(node.time_rule, credits_)
    return Joiner({plan.input: plan.complete for plan in ins}, credits_)
