"""Edges between the nodes of a graph: one interface, whatever carries the blocks.

`OutEdge.put` at the origin, `InEdge.receive` and `release` at the reader. Between processes of one host a block of
frames is a descriptor: every reader looks at the same slot of the detector's ring, and the slot goes back to the
detector when all of them have released it. A table's rows are small and travel in the message. Credits are slots: a
branch that may drop can never hold more than its share of them.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mamba.data_worker.frame import Block, BlockType, DataFormat, End
from mamba.data_worker.graph import Policy
from mamba.data_worker.link import LinkSender
from mamba.data_worker.nodes import Flow
from mamba.data_worker.stream import FrameReceiver

_FEWEST_SLOTS, _MOST_SLOTS = 4, 64
_MESSAGES_BYTES = 32 * 2**20

InEdge = FrameReceiver
"""The reader's end: `receive`, `frames`, `release`; over TCP it copies into a ring of its own."""


@dataclass(frozen=True)
class EdgePlan:
    """What both ends of an edge have to know; `counted`: a block lost here is missing in the file."""

    origin: str
    output: str
    to: str
    input: str
    policy: Policy
    endpoint: str
    token: str
    counted: bool

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.origin} → {self.to}"


def format_messages(flow: Flow) -> DataFormat:
    """How a flow travels inside the messages of an edge."""
    block_bytes = max(1, flow.block_frames * flow.row_bytes)
    slots = min(_MOST_SLOTS, max(_FEWEST_SLOTS, _MESSAGES_BYTES // block_bytes))
    return DataFormat(flow.shape, flow.dtype, "zmq", flow.block_frames, slots)


class OutEdge:
    """The origin's end of an edge.

    Args:
        plan: the edge.
        form: what it carries. With a ring the blocks' slots are the ring's; else the edge numbers its own.
    """

    def __init__(self, plan: EdgePlan, form: DataFormat) -> None:
        self.plan = plan
        self._link = LinkSender(plan.endpoint, replace(form, token=plan.token))
        self._shares_ring = form.transport == "ring"
        self._free = deque(range(form.slots))
        self._share = {"wait": form.slots, "drop": max(1, form.slots // 4), "latest": 1}[plan.policy]
        self._waiting: tuple[Block, NDArray[np.generic] | None] | None = None
        self._end: End | None = None

    @property
    def link(self) -> LinkSender:
        """The connection, for a poller."""
        return self._link

    @property
    def ready(self) -> bool:
        """Another `put` would find room, or needs none."""
        return self.plan.policy != "wait" or self._has_room

    @property
    def _has_room(self) -> bool:
        return self._link.connected and self._link.under_way < self._share

    @property
    def finished(self) -> bool:
        """The end was sent, or nobody is there to take it."""
        return self._link.broken or (self._end is None and self._waiting is None)

    def put(self, block: Block, rows: NDArray[np.generic] | None = None) -> Block | None:
        """Hand over a block; returns the block that was given up for it, None when nothing was.

        With `wait`, put only when `ready`.
        """
        if self._has_room:
            self._send(block, rows)
            return None
        if self.plan.policy == "latest":
            old, self._waiting = self._waiting, (block, rows)
            return old[0] if old else None
        return block

    def _send(self, block: Block, rows: NDArray[np.generic] | None) -> None:
        if self._shares_ring:
            self._link.send(block)
            return
        assert rows is not None
        own = replace(block, slot=self._free.popleft(), type=BlockType.POINTS)
        self._link.send(own, rows.tobytes())

    def collect(self) -> list[Block]:
        """Take what the reader released; sends what waited for that."""
        released = self._link.collect(0.0)
        if not self._shares_ring:
            self._free.extend(block.slot for block in released)
        if self._waiting is not None and self._has_room:
            (block, rows), self._waiting = self._waiting, None
            self._send(block, rows)
        if self._end is not None and self._waiting is None and self._link.connected:
            self._link.send_end(self._end)
            self._end = None
        return released

    def end(self, end: End) -> None:
        """Say that the arm is over, after everything that waits."""
        self._end = end
        self.collect()

    def close(self) -> None:
        """Close; idempotent."""
        self._link.close()
