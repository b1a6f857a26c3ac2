"""Processor: sums over rectangular regions of each frame."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from mamba.data_worker.nodes import Flow, Item, Node, NodeParameters
from mamba.errors import GraphInvalid

_TALLEST = 65537
"""Rows a 32-bit sum of 16-bit pixels can hold: 65537 × 65535 < 2³²."""


class Region(NodeParameters):
    """A rectangle in pixels: columns x … x+width-1, rows y … y+height-1."""

    name: str = Field(pattern=r"^[A-Za-z_]\w{0,31}$")
    x: int = Field(ge=0)
    y: int = Field(ge=0)
    width: int = Field(gt=0)
    height: int = Field(gt=0)


class RegionSumsParameters(NodeParameters):
    """The regions, in the order of the columns."""

    regions: Annotated[tuple[Region, ...], Field(min_length=1, max_length=1024)]

    @model_validator(mode="after")
    def _distinct(self) -> RegionSumsParameters:
        names = [region.name for region in self.regions]
        repeated = {name for name in names if names.count(name) > 1}
        if repeated:
            raise ValueError(f"region {min(repeated)!r} stands twice")
        return self


class RegionSums(Node):
    """One column per region: the sum of its pixels in counts, exact in unsigned 64 bits."""

    takes = RegionSumsParameters

    @property
    def regions(self) -> tuple[Region, ...]:
        """The regions, in the order of the columns."""
        assert isinstance(self.parameters, RegionSumsParameters)
        return self.parameters.regions

    def plan(self, inputs: dict[str, Flow]) -> Flow:
        """One row of sums per frame; every region must lie inside the frame."""
        frames = next(iter(inputs.values()))
        if len(frames.shape) != 2:
            raise GraphInvalid(f"node {self.name!r}: it sums regions of images", seen=f"shape {frames.shape}")
        height, width = frames.shape
        if np.dtype(frames.dtype).kind != "u" or np.dtype(frames.dtype).itemsize > 2:
            raise GraphInvalid(
                f"node {self.name!r}: cannot sum pixels of this type",
                seen=frames.dtype,
                remedy="it adds uint8 and uint16",
            )
        for region in self.regions:
            if region.x + region.width > width or region.y + region.height > height or region.height > _TALLEST:
                raise GraphInvalid(
                    f"node {self.name!r}: region {region.name!r} reaches beyond the frame",
                    seen=f"x {region.x}+{region.width}, y {region.y}+{region.height} in {width} × {height} pixels",
                    remedy="move it inside, or change the camera's size",
                )
        columns = tuple(region.name for region in self.regions)
        return Flow((len(columns),), "uint64", frames.block_frames, units="counts", columns=columns)

    def process(self, item: Item) -> NDArray[Any]:
        """Sums of shape (count, regions), uint64."""
        sums = np.empty((item.count, len(self.regions)), dtype=np.uint64)
        for column, region in enumerate(self.regions):
            part = item.data[:, region.y : region.y + region.height, region.x : region.x + region.width]
            # 32-bit sums down the columns run in vector instructions; 64 bits only for the few that remain
            down = np.add.reduce(part, axis=1, dtype=np.uint32)
            sums[:, column] = np.add.reduce(down, axis=1, dtype=np.uint64)
        return sums
