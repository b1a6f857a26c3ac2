"""Processor: one channel of stacked images, such as one threshold of a DECTRIS detector."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from numpy.typing import NDArray
from pydantic import Field

from mamba.data_worker.nodes import Flow, Item, Node, NodeParameters
from mamba.data_worker.processors.checks import take_flow
from mamba.errors import GraphInvalid


class ChannelParameters(NodeParameters):
    """Which one."""

    index: int = Field(ge=0, le=1023, description="place along the first axis, from 0")


class Channel(Node):
    """One channel of stacked images, (channels, height, width), so that other kinds can take it."""

    takes = ChannelParameters
    parameters: ChannelParameters

    def plan(self, inputs: dict[str, Flow]) -> Flow:
        """What is stacked, without the first axis."""
        flow = take_flow(inputs)
        if len(flow.shape) < 2 or self.parameters.index >= flow.shape[0]:
            raise GraphInvalid(
                f"node {self.name!r}: there is no channel {self.parameters.index}",
                seen=f"shape {flow.shape}",
                remedy="it takes stacked images; the first channel is 0",
            )
        return replace(flow, shape=flow.shape[1:])

    def process(self, item: Item) -> NDArray[Any]:
        """Shape (count, *shape without the first axis)."""
        return item.data[:, self.parameters.index].copy()
