"""Processor: n frames in a row become one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from mamba.data_worker.nodes import Flow, Item, Node, NodeParameters, Numbered
from mamba.data_worker.processors.images import check_numbers, take_flow
from mamba.data_worker.processors.rebin import choose_type


class CombineFramesParameters(NodeParameters):
    """How many, and how."""

    frames: int = Field(ge=2, le=10_000_000, description="how many become one", json_schema_extra={"units": "frames"})
    by: Literal["sum", "mean", "min", "max"] = Field("mean", description="what becomes of them, pixel by pixel")
    incomplete: Literal["give", "leave_out"] = Field(
        "give",
        description="a group in which frames are missing, as the last one may: give what there is, or leave it out",
    )


class CombineFrames(Node):
    """Array i is the sum, mean, smallest or largest of frames n·i to n·i + n − 1.

    A mean is of those that came; a sum in which frames are missing is smaller. Sums of whole numbers are exact.
    """

    takes = CombineFramesParameters
    parameters: CombineFramesParameters
    remembers = True

    def plan(self, inputs: dict[str, Flow]) -> Flow:
        """The same arrays, each of which stands for n times as many frames."""
        flow = take_flow(inputs)
        check_numbers(self.name, flow)
        n, by = self.parameters.frames, self.parameters.by
        self._sum_type = "float64" if np.dtype(flow.dtype).kind == "f" else choose_type(flow.dtype, n, "sum")
        dtype = choose_type(flow.dtype, n, by) if by in ("sum", "mean") else flow.dtype
        self._group, self._count, self._next = -1, 0, 0
        self._held: NDArray[Any] = np.empty(0)
        self._done: list[tuple[int, NDArray[Any]]] = []
        # with a gap: a group that ends there, and those of two items
        most = 2 * (flow.block_frames // n + 1) + 1
        self._flow = replace(flow, dtype=dtype, block_frames=most, every=flow.every * n)
        return self._flow

    def process(self, item: Item) -> Numbered | None:
        """Groups that are complete, or will not be because of a gap."""
        n = self.parameters.frames
        number = max(item.first, self._next)  # what came before came again
        while number <= item.last:
            group = number // n
            if group != self._group:
                self._close()
                self._group = group
            stop = min((group + 1) * n, item.last + 1)
            self._add(item.data[number - item.first : stop - item.first])
            if self._count == n:
                self._close()
            number = stop
        self._next = max(self._next, item.last + 1)
        return self._give()

    def _add(self, rows: NDArray[Any]) -> None:
        by = self.parameters.by
        if by in ("sum", "mean"):
            total = np.add.reduce(rows, axis=0, dtype=self._sum_type)
            self._held = total if not self._count else np.add(self._held, total)
        else:
            reduce = np.minimum if by == "min" else np.maximum
            extreme = reduce.reduce(rows, axis=0)
            self._held = extreme if not self._count else reduce(self._held, extreme)
        self._count += len(rows)

    def _close(self) -> None:
        """Have done with the group at hand."""
        count, self._count = self._count, 0
        if not count or (count < self.parameters.frames and self.parameters.incomplete == "leave_out"):
            return
        held = np.true_divide(self._held, count) if self.parameters.by == "mean" else self._held
        self._done.append((self._group, np.asarray(held, dtype=self._flow.dtype)))

    def _give(self) -> Numbered | None:
        """The groups up to a gap; what is behind it follows with the next item, or at the end."""
        if not self._done:
            return None
        first = self._done[0][0]
        run = [rows for at, (group, rows) in enumerate(self._done) if group == first + at]
        del self._done[: len(run)]
        return Numbered(first, np.stack(run))

    def end(self) -> Numbered | None:
        """The last group, when frames are missing at its end."""
        self._close()
        return self._give()
