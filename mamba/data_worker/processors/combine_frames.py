"""Processor: n frames in a row become one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from mamba.data_worker.nodes import Flow, Item, NodeParameters
from mamba.data_worker.processors.checks import check_numbers, take_flow
from mamba.data_worker.processors.groups import GroupNode, count_block
from mamba.data_worker.processors.rebin import choose_type


class CombineFramesParameters(NodeParameters):
    """How many, and how."""

    frames: int = Field(ge=2, le=10_000_000, description="how many become one", json_schema_extra={"units": "frames"})
    by: Literal["sum", "mean", "min", "max"] = Field("mean", description="what becomes of them, pixel by pixel")
    incomplete: Literal["give", "leave_out"] = Field(
        "give",
        description="a group in which frames are missing, as the last one may: give what there is, or leave it out",
    )


class CombineFrames(GroupNode):
    """n frames become one: array i is the sum, mean, smallest or largest of frames n·i to n·i + n − 1.

    A mean is of those that came; a sum in which frames are missing is smaller. Sums of whole numbers are exact.
    """

    takes = CombineFramesParameters
    parameters: CombineFramesParameters

    def plan(self, inputs: dict[str, Flow]) -> Flow:
        """The same arrays, each of which stands for n times as many frames."""
        flow = take_flow(inputs)
        check_numbers(self.name, flow)
        n, by = self.parameters.frames, self.parameters.by
        self.start_groups(n)
        self._sum_type = "float64" if np.dtype(flow.dtype).kind == "f" else choose_type(flow.dtype, n, "sum")
        self._dtype = choose_type(flow.dtype, n, by) if by in ("sum", "mean") else flow.dtype
        self._held: NDArray[Any] = np.empty(0)
        return replace(flow, dtype=self._dtype, block_frames=count_block(flow.block_frames, n), every=flow.every * n)

    def add(self, item: Item, part: slice, *, begins: bool) -> None:
        """Sum or compare, pixel by pixel."""
        rows, by = item.data[part], self.parameters.by
        if by in ("sum", "mean"):
            total = np.add.reduce(rows, axis=0, dtype=self._sum_type)
            self._held = total if begins else np.add(self._held, total)
        else:
            reduce = np.minimum if by == "min" else np.maximum
            extreme = reduce.reduce(rows, axis=0)
            self._held = extreme if begins else reduce(self._held, extreme)

    def give(self, count: int) -> NDArray[Any] | None:
        """The sum or extreme as it is, the mean of those that came."""
        if count < self.parameters.frames and self.parameters.incomplete == "leave_out":
            return None
        held = np.true_divide(self._held, count) if self.parameters.by == "mean" else self._held
        return np.asarray(held, dtype=self._dtype)
