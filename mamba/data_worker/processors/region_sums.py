"""Processor: sums over regions of each frame, in the quickest of three ways.

*Slices*: large rectangles one after the other. *Gathered*: the pixels of small ones and of ellipses all at once.
*Running*: one running sum over the whole frame; a row of a region is then a difference of two numbers, whatever its
length. CPU time measured on 1024² uint16 in blocks of four, µs per frame:

================  ======  ========  =======
regions           slices  gathered  running
================  ======  ========  =======
300 of 10²        290     50        730
300 of 30²        520     700       760
1000 of 20²       1610    1560      830
1000 of 100²      7220    23860     1530
================  ======  ========  =======
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from mamba.data_worker.nodes import Flow, Item, Job, Node, NodeParameters
from mamba.data_worker.processors.checks import check_images, take_flow
from mamba.data_worker.processors.regions import Region, check_inside

_LONGEST = 65537
"""Pixels of 16 bits that a 32-bit sum can hold: 65537 × 65535 < 2³²."""
_SMALL = 512
"""Pixels below which gathering a rectangle is quicker than the two sums of a slice."""


class RegionSumsParameters(NodeParameters):
    """The regions, in the order of the columns."""

    regions: Annotated[tuple[Region, ...], Field(min_length=1, max_length=1024)] = Field(description="one column each")

    @model_validator(mode="after")
    def _distinct(self) -> RegionSumsParameters:
        names = [region.name for region in self.regions]
        if len(set(names)) < len(names):
            repeated = {name for name in names if names.count(name) > 1}
            raise ValueError(f"region {min(repeated)!r} stands twice")
        return self


class RegionSums(Node):
    """One column per region: the sum of its pixels, exact in 64 bits for whole numbers, float64 for others."""

    takes = RegionSumsParameters
    parameters: RegionSumsParameters

    def plan(self, inputs: dict[str, Flow]) -> Flow:
        """One row of sums per frame; every region must lie inside the frame."""
        frames = take_flow(inputs)
        height, width = check_images(self.name, frames)
        check_inside(self.name, self.parameters.regions, height=height, width=width)
        columns = tuple(region.name for region in self.parameters.regions)
        self._dtype = np.dtype({"u": "uint64", "i": "int64", "f": "float64"}[np.dtype(frames.dtype).kind])
        return Flow((len(columns),), self._dtype.name, frames.block_frames, frames.units, columns, every=frames.every)

    def open(self, job: Job, inputs: dict[str, Flow]) -> None:
        """Choose the way, and look up pixels and rows."""
        flow, regions = take_flow(inputs), self.parameters.regions
        height, width = flow.shape
        narrow = np.dtype(flow.dtype)
        self._narrow = narrow.kind == "u" and narrow.itemsize <= 2 and max(height, width) <= _LONGEST
        runs = [region.find_runs(width) for region in regions]
        self._sliced: list[tuple[int, Region]] = []
        self._gathered: list[int] = []
        self._running: NDArray[np.uint32] | None = None
        if self._narrow and estimate_apart_us(regions) > estimate_running_us(regions, height * width):
            self._running = np.zeros(height * width + 1, dtype=np.uint32)
            self._runs = np.concatenate(runs).T.copy()
            self._starts = np.cumsum([0, *(region.height for region in regions)])[:-1]
            return
        for column, region in enumerate(regions):
            if is_sliced(region):
                self._sliced.append((column, region))
            else:
                self._gathered.append(column)
        pixels = [np.concatenate([np.arange(*run) for run in runs[column]]) for column in self._gathered]
        self._pixels = np.concatenate(pixels) if pixels else np.empty(0, dtype=np.int64)
        self._starts = np.cumsum([0, *map(len, pixels)])[:-1]

    def process(self, item: Item) -> NDArray[Any]:
        """Sums of shape (count, regions)."""
        frames = item.data.reshape(item.count, -1)
        if self._running is not None:
            return np.stack([self._sum_running(frame, self._running) for frame in frames])
        sums = np.empty((item.count, len(self.parameters.regions)), dtype=self._dtype)
        for column, region in self._sliced:
            part = item.data[:, region.y : region.y + region.height, region.x : region.x + region.width]
            sums[:, column] = self._sum_slice(part)
        if self._gathered:
            for row, frame in zip(sums, frames, strict=True):
                row[self._gathered] = np.add.reduceat(frame[self._pixels], self._starts, dtype=self._dtype)
        return sums

    def _sum_slice(self, part: NDArray[Any]) -> NDArray[Any]:
        if self._narrow:
            # 32-bit sums down the columns run in vector instructions; 64 bits only for the few that remain
            down = np.add.reduce(part, axis=1, dtype=np.uint32)
            return np.asarray(np.add.reduce(down, axis=1, dtype=self._dtype))
        return np.asarray(np.add.reduce(part, axis=(1, 2), dtype=self._dtype))

    def _sum_running(self, frame: NDArray[Any], running: NDArray[np.uint32]) -> NDArray[Any]:
        np.copyto(running[1:], frame)
        # it goes round at 2³²; the difference of two is right all the same, since no row's sum does
        np.cumsum(running[1:], out=running[1:])
        rows = running[self._runs[1]] - running[self._runs[0]]
        return np.asarray(np.add.reduceat(rows, self._starts, dtype=self._dtype))


def is_sliced(region: Region) -> bool:
    """A slice is the quicker way for it, alone."""
    return region.shape == "rectangle" and region.area >= _SMALL


def estimate_apart_us(regions: tuple[Region, ...]) -> float:
    """CPU time per frame when each is summed by slice or gathered; fitted to the table above."""
    return sum(0.9 + 0.0004 * region.area if is_sliced(region) else 0.0025 * region.area for region in regions)


def estimate_running_us(regions: tuple[Region, ...], pixels: int) -> float:
    """CPU time per frame of the running sum; fitted to the table above."""
    return 0.0007 * pixels + 0.007 * sum(region.height for region in regions)
