"""Source: a detector's frame stream, its frame numbers checked."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from mamba.data_worker.frame import DataFormat
from mamba.data_worker.nodes import Item, Node
from mamba.errors import StreamBroken


class StreamSource(Node):
    """Passes on the blocks of one arm; refuses those of another, and a stream that lost a block."""

    output = "frames"

    def __init__(self, name: str, parameters: Any) -> None:
        super().__init__(name, parameters)
        self._arm: int | None = None
        self._next = 0

    def plan(self, inputs: dict[str, DataFormat]) -> DataFormat | None:
        """What the detector sends goes out as it is."""
        return inputs["detector"]

    def process(self, item: Item) -> NDArray[Any]:
        """Check the block's numbers; the frames stay where they are.

        Raises:
            StreamBroken: a block of another arm, or not the next one.
        """
        block = item.block
        self._arm = block.arm if self._arm is None else self._arm
        if block.arm != self._arm or block.block != self._next:
            raise StreamBroken(
                f"stream of arm {self._arm}: a block is missing",
                seen=f"block {block.block} of arm {block.arm} instead of block {self._next}",
                remedy="arm the detector again",
            )
        self._next += 1
        return item.data
