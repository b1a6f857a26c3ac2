"""Processor: a few numbers of each frame, such as its sum."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from mamba.data_worker.nodes import Flow, Item, Node, NodeParameters
from mamba.data_worker.processors.checks import check_numbers, refuse_twice, take_flow
from mamba.errors import GraphInvalid


class FrameValuesParameters(NodeParameters):
    """Which numbers."""

    of: tuple[Literal["sum", "mean", "min", "max", "std"], ...] = Field(
        ("sum", "mean", "max"), min_length=1, description="one column each"
    )

    _distinct = field_validator("of")(refuse_twice)


class FrameValues(Node):
    """Sum, mean, extremes or spread of each frame: a row of float64.

    Sums of whole numbers are exact below 2⁵³; `std` divides by the number of pixels.
    A NaN in a frame makes its sum, mean, smallest, largest and spread NaN.
    """

    takes = FrameValuesParameters
    parameters: FrameValuesParameters

    def plan(self, inputs: dict[str, Flow]) -> Flow:
        """A row with a column for each number."""
        flow = take_flow(inputs)
        check_numbers(self.name, flow)
        if not flow.shape:
            raise GraphInvalid(f"node {self.name!r}: it takes images or spectra", seen="one number per frame")
        columns = tuple(self.parameters.of)
        return Flow((len(columns),), "float64", flow.block_frames, flow.units, columns, every=flow.every)

    def process(self, item: Item) -> NDArray[Any]:
        """Numbers of shape (count, columns), float64."""
        frames = item.data.reshape(item.count, -1)
        wide = {"u": np.uint64, "i": np.int64, "f": np.float64}[frames.dtype.kind]
        values = np.empty((item.count, len(self.parameters.of)))
        for column, name in enumerate(self.parameters.of):
            if name == "sum":
                values[:, column] = np.add.reduce(frames, axis=1, dtype=wide)
            elif name == "mean":
                values[:, column] = np.add.reduce(frames, axis=1, dtype=wide) / frames.shape[1]
            elif name == "std":
                values[:, column] = np.std(frames, axis=1, dtype=np.float64)
            else:
                values[:, column] = (np.min if name == "min" else np.max)(frames, axis=1)
        return values
