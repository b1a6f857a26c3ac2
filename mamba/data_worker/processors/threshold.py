"""Processor: values outside two limits replaced."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from mamba.data_worker.nodes import Flow, Item, Node, NodeParameters
from mamba.data_worker.processors.images import check_fits, check_numbers, take_flow


class ThresholdParameters(NodeParameters):
    """The limits, in the units of what comes in, and what replaces values beyond them."""

    low: float | None = Field(None, allow_inf_nan=False, description="values below this become `below`")
    high: float | None = Field(None, allow_inf_nan=False, description="values above this become `above`")
    below: float = Field(0.0, description="for values too low, such as noise; may be .nan")
    above: float | None = Field(None, description="for values too high; without, `high` itself; may be .nan")

    @model_validator(mode="after")
    def _ordered(self) -> ThresholdParameters:
        if self.low is None and self.high is None:
            raise ValueError("give low, high or both")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError("low is above high")
        return self


class Threshold(Node):
    """Replaces values below `low` and above `high`; those in between, and NaN, stay. The type stays too."""

    takes = ThresholdParameters
    parameters: ThresholdParameters

    def plan(self, inputs: dict[str, Flow]) -> Flow:
        """The same flow; what replaces must fit its type."""
        flow = take_flow(inputs)
        check_numbers(self.name, flow)
        if self.parameters.low is not None:
            check_fits(self.name, "below", self.parameters.below, flow.dtype)
        if self.parameters.high is not None:
            check_fits(self.name, "above", self._above, flow.dtype)
        return flow

    @property
    def _above(self) -> float:
        above, high = self.parameters.above, self.parameters.high
        assert high is not None
        return high if above is None else above

    def process(self, item: Item) -> NDArray[Any]:
        """Values within the limits, shape and type as they came."""
        kept, low, high = item.data, self.parameters.low, self.parameters.high
        if low is not None:
            kept = np.where(item.data < low, item.data.dtype.type(self.parameters.below), kept)
        if high is not None:
            kept = np.where(item.data > high, item.data.dtype.type(self._above), kept)
        return kept
