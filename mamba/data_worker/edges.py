"""Edges between the nodes of a graph: one interface, whatever carries the blocks.

A *port* is one output of a node with all edges that leave it; at the reader's end stands an `InEdge` with `receive`,
`frames` and `release`. On one Ray node a block of frames is a descriptor: all readers look at the same slot, of the
detector's ring or of the node's own, and the slot is free again when all of them have released it. Small rows travel
in the message, and so does all that goes to another Ray node, over TCP. Credits are slots: a branch that may drop can
never hold more than its share of them.

A reader releases a block when everything that was made of it is safe, in the file or with the readers further on. So a
slot of the detector stays until its frames are acknowledged, and whoever dies on the way finds them again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mamba.data_worker.carriers import Pollable
from mamba.data_worker.frame import Block, BlockType, DataFormat, End
from mamba.data_worker.graph import Policy
from mamba.data_worker.link import LinkSender
from mamba.data_worker.nodes import Flow, Rows
from mamba.data_worker.ring import Ring
from mamba.data_worker.shares import WHOLE, Share
from mamba.data_worker.stream import FrameReceiver
from mamba.data_worker.zmtp import Payload

_IN_MESSAGE_BYTES = 64 * 2**10
"""Largest block that travels in a message; above, copying it once into a ring is cheaper."""

GivenUp = tuple["EdgePlan", Block]
"""A block that an edge lost."""

InEdge = FrameReceiver
"""The reader's end: `receive`, `frames`, `release`; what comes in messages it copies into a ring of its own."""


@dataclass(frozen=True)
class EdgePlan:
    """What both ends of an edge have to know.

    Attributes:
        origin, output: the node it leaves, and by which output.
        to, input: the node it enters, and as what.
        policy: what happens when the reader is behind.
        endpoint, token: of the link.
        credits: how many blocks may be under way on the way from the source to here.
        needed: a file depends on the reader; without it the graph goes on when the reader is gone.
        complete: no edge from the source to here drops anything.
        share: which rows the reader takes, where several writers share a flow.
    """

    origin: str
    output: str
    to: str
    input: str
    policy: Policy
    endpoint: str
    token: str
    credits: int
    needed: bool = True
    complete: bool = True
    share: Share = WHOLE

    def __post_init__(self) -> None:
        """From JSON it comes as a list."""
        object.__setattr__(self, "share", Share(*self.share))

    @property
    def remote(self) -> bool:
        """The reader has no shared memory with the origin: blocks travel in messages, over TCP."""
        return self.endpoint.startswith("tcp:")

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.origin} → {self.to}"

    def limit(self, slots: int) -> int:
        """How many of `slots` blocks the reader may hold at once: all, or so few that it never holds up the others."""
        return {"wait": slots, "drop": max(1, slots // 4), "latest": 1}[self.policy]


def format_port(flow: Flow, credits_: int) -> tuple[DataFormat, Ring | None]:
    """How a flow travels between processes, and the ring it needs for that.

    Raises:
        DataError: /dev/shm has no room for the ring.
    """
    form = DataFormat(flow.shape, flow.dtype, "zmq", flow.block_frames, credits_)
    if form.slot_bytes <= _IN_MESSAGE_BYTES:
        return form, None
    ring = Ring.create(slots=credits_, slot_bytes=form.slot_bytes)
    return replace(form, transport="ring", ring=ring.name), ring


class OutEdge:
    """The origin's end of one edge."""

    def __init__(self, plan: EdgePlan, form: DataFormat) -> None:
        self.plan = plan
        self.sent = self.given_up = 0
        told = replace(form, token=plan.token)
        if plan.remote:
            told = replace(told, transport="zmq", ring="")
        self.link = LinkSender(plan.endpoint, told, resends=plan.policy == "wait")
        self._share = plan.limit(form.slots)
        self._waiting: tuple[Block, Payload | None] | None = None
        self._end: End | None = None

    @property
    def _left(self) -> bool:
        """The reader is gone, and nobody misses it."""
        return self.link.broken and not (self.plan.needed and self.plan.policy == "wait")

    @property
    def ready(self) -> bool:
        """Another `put` would find room, or needs none."""
        return self.plan.policy != "wait" or self._left or self._has_room

    @property
    def _has_room(self) -> bool:
        # what must not be lost is kept for a reader that comes, or comes back
        there = not self.link.broken if self.plan.policy == "wait" else self.link.connected
        return there and self.link.under_way < self._share

    @property
    def finished(self) -> bool:
        """The reader has the end and holds nothing any more, or nobody is there to take it."""
        if self.link.broken:
            return True
        return self._end is None and self._waiting is None and not (self.plan.policy == "wait" and self.link.under_way)

    def put(self, block: Block, payload: Payload | None = None) -> Block | None:
        """Hand over a block; returns the block that was given up for it, None when nothing was.

        With `wait`, put only when `ready`.
        """
        if self._has_room:
            self._send(block, payload)
            return None
        given_up: Block | None = block
        if self.plan.policy == "latest" and not self.link.broken:
            old, self._waiting = self._waiting, (block, payload)
            given_up = old[0] if old else None
        self.given_up += given_up.count if given_up else 0
        return given_up

    def _send(self, block: Block, payload: Payload | None) -> None:
        self.link.send(block, payload)
        self.sent += block.count

    def collect(self) -> list[Block]:
        """Take what the reader released; sends what waited for that."""
        released = self.link.collect(0.0)
        if self._waiting is not None and (self._has_room or self.link.broken):
            (block, payload), self._waiting = self._waiting, None
            if self.link.broken:
                self.given_up += block.count
                released.append(block)
            else:
                self._send(block, payload)
        if self._end is not None and self._waiting is None and self.link.connected:
            self.link.send_end(self._end)
            self._end = None
        return released

    def end(self, end: End) -> None:
        """Say that the arm is over, after everything that waits: with the next `collect`."""
        self._end = end

    def abandon(self) -> list[Block]:
        """Close with a reader in the middle of its work; returns what it had in hand, or would have got."""
        left = self.link.take_back()
        if self._waiting is not None:
            left.append(self._waiting[0])
        self.close()
        return left

    def close(self) -> None:
        """Close; idempotent."""
        self.link.close()


@dataclass
class _Held:
    """A block that readers still look at."""

    key: Any
    slot: int | None
    readers: int = 0


class Port:
    """One output of a node, with the edges that leave it.

    Args:
        plans: the edges.
        form: what it carries.
        ring: where rows are put before they leave; None: they travel in messages, or `form` names the detector's ring
            and the blocks' slots are that ring's.
        forwards: the detector's ring, as it is here.
    """

    def __init__(
        self, plans: Iterable[EdgePlan], form: DataFormat, ring: Ring | None = None, forwards: Ring | None = None
    ) -> None:
        self.form, self._ring, self._slots = form, ring, ring or forwards
        self.edges = [OutEdge(plan, form) for plan in plans]
        self._forwards = form.transport == "ring" and ring is None
        self._views: list[Rows] = [] if ring is None else form.view_slots(ring)
        self._free = deque(range(form.slots))
        self._held: dict[int, _Held] = {}
        self._through: list[Any] = []
        self._end: End | None = None
        self._number = 0

    @property
    def pollables(self) -> list[Pollable]:
        """For a poller."""
        return [each for edge in self.edges for each in edge.link.pollables]

    @property
    def held(self) -> int:
        """Blocks that readers still look at."""
        return len(self._held)

    @property
    def ready(self) -> bool:
        """Another `put` would find room on every edge."""
        return (self._forwards or bool(self._free)) and all(edge.ready for edge in self.edges)

    @property
    def connected(self) -> bool:
        """All readers are there."""
        return all(edge.link.connected for edge in self.edges)

    @property
    def finished(self) -> bool:
        """All readers have the end, and hold nothing that must not be lost."""
        return all(edge.finished for edge in self.edges)

    def forward(self, block: Block) -> list[GivenUp]:
        """Hand on a block of the detector's ring; `collect` gives it back when all readers are through."""
        return self._offer(block, None, _Held(block, None))

    def put(self, block: Block, rows: Rows, key: Any) -> list[GivenUp]:
        """Hand over rows, shape (block.count, *form.shape); `collect` gives `key` back when all readers are through."""
        slot = self._free.popleft()
        payload: Payload | None = None
        if self._ring is None:
            payload = np.ascontiguousarray(rows, dtype=self.form.dtype).tobytes()
        else:
            np.copyto(self._views[slot][: block.count], rows, casting="same_kind")
        return self._offer(self._number_block(block, slot), payload, _Held(key, slot))

    def reserve(self) -> tuple[int, Rows]:
        """A slot to fill in place, shape (block_frames, *form.shape); `commit` or `give_back` it."""
        slot = self._free.popleft()
        if self._ring is None:
            return slot, np.empty((self.form.block_frames, *self.form.shape), self.form.dtype)
        return slot, self._views[slot]

    def give_back(self, slot: int) -> None:
        """Nothing came for it."""
        self._free.appendleft(slot)

    def commit(self, block: Block, slot: int, rows: Rows) -> list[GivenUp]:
        """Hand over a reserved slot that holds `rows`."""
        payload = rows[: block.count].tobytes() if self._ring is None else None
        return self._offer(self._number_block(block, slot), payload, _Held(None, slot))

    def _number_block(self, block: Block, slot: int) -> Block:
        self._number += 1
        return Block(block.arm, self._number, block.first, block.count, slot, BlockType.POINTS, block.time)

    def _offer(self, block: Block, payload: Payload | None, held: _Held) -> list[GivenUp]:
        takers = [edge for edge in self.edges if edge.plan.share.takes(block)]
        held.readers = len(takers)
        self._held[block.block] = held
        lost = []
        for edge in takers:
            given_up = edge.put(block, self._take_out(block) if edge.plan.remote and payload is None else payload)
            if given_up is not None:
                lost.append((edge.plan, given_up))
        for _, given_up in lost:
            self._let_go(given_up)
        return lost

    def _take_out(self, block: Block) -> memoryview:
        """The bytes of a block in its slot, which stays as it is until the block is released."""
        assert self._slots is not None
        return self._slots.slot(block.slot)[: block.count * self.form.frame_bytes]

    def _let_go(self, block: Block) -> None:
        held = self._held[block.block]
        held.readers -= 1
        if held.readers:
            return
        del self._held[block.block]
        if held.slot is not None:
            self._free.append(held.slot)
        if held.key is not None:
            self._through.append(held.key)

    def collect(self) -> list[Any]:
        """Take what readers released; returns the keys of blocks that all of them are through with."""
        for edge in self.edges:
            for block in edge.collect():
                self._let_go(block)
        through, self._through = self._through, []
        return through

    def end(self, end: End) -> None:
        """Say that the arm is over, after everything that waits: with the next `collect`."""
        self._end = end
        for edge in self.edges:
            edge.end(end)

    def attach(self, plan: EdgePlan) -> None:
        """Give what comes from now on to another reader, too."""
        edge = OutEdge(plan, self.form)
        if self._end is not None:
            edge.end(self._end)
        self.edges.append(edge)

    def detach(self, reader: str) -> None:
        """Leave a reader; what it still had in hand is let go."""
        for edge in [each for each in self.edges if each.plan.to == reader]:
            self.edges.remove(edge)
            for block in edge.abandon():
                self._let_go(block)

    def close(self) -> None:
        """Close the edges and free the ring; idempotent."""
        for edge in self.edges:
            edge.close()
        self._views = []
        if self._ring is not None:
            self._ring.close()
