"""Source: a detector's frame stream, its frame numbers checked."""

from __future__ import annotations

from mamba.data_worker.frame import Block
from mamba.data_worker.nodes import Flow, Item, Node
from mamba.errors import GraphInvalid, StreamBroken


class StreamSource(Node):
    """Passes on the blocks of one arm; refuses those of another, and a stream that lost a block."""

    inputs = (0, 0)

    def plan(self, inputs: dict[str, Flow]) -> Flow:
        """What the detector sends goes out as it is."""
        if "detector" not in inputs:
            raise GraphInvalid(
                f"node {self.name!r}: no detector sends to it",
                remedy="arm the graph with the camera's DataEndpoint and DataFormat, or use another kind of source",
            )
        return inputs["detector"]

    def process(self, item: Item) -> None:
        """Not used: the frames stay where they are."""


class BlockOrder:
    """Checks that a stream loses no block.

    Args:
        resumes: a receiver before this one took some of the blocks; those that it had released do not come again.
    """

    def __init__(self, *, resumes: bool = False) -> None:
        self._resumes = resumes
        self._arm: int | None = None
        self._next = 0

    def check(self, block: Block) -> None:
        """Take the next block's numbers.

        Raises:
            StreamBroken: a block of another arm, or not the next one.
        """
        self._arm = block.arm if self._arm is None else self._arm
        right = block.block >= self._next if self._resumes else block.block == self._next
        if block.arm != self._arm or not right:
            raise StreamBroken(
                f"stream of arm {self._arm}: a block is missing",
                seen=f"block {block.block} of arm {block.arm} instead of block {self._next}",
                remedy="arm the detector again",
            )
        self._next = block.block + 1
