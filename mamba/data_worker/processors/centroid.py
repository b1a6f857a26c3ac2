"""Processor: where the beam is on each image, and how wide."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from mamba.data_worker.nodes import Flow, Item, Node, NodeParameters
from mamba.data_worker.processors.checks import check_images, take_flow
from mamba.data_worker.processors.regions import Region, check_inside

COLUMNS = ("x", "y", "sigma_x", "sigma_y")


class CentroidParameters(NodeParameters):
    """What counts as background, and where to look."""

    background: Literal["none", "value", "border"] = Field(
        "border", description="border: the median of the outermost pixels, frame by frame"
    )
    value: float = Field(0.0, allow_inf_nan=False, description="the background, for `value`")
    least: float = Field(
        0.0,
        ge=0,
        allow_inf_nan=False,
        description="pixels that are not above the background by more than this are left out",
    )
    region: Region | None = Field(None, description="only in this rectangle")
    pixel_size: float = Field(1.0, gt=0, allow_inf_nan=False, description="multiplies the result")
    units: str = Field("pixel", description="of the pixel size")


class Centroid(Node):
    """Centre of mass and root mean square widths of what is above the background, in each image.

    Columns x, y, sigma_x, sigma_y, counted from the middle of the frame's first pixel. All are NaN where nothing is
    above the background, or a pixel is NaN. 0.3 ms of CPU time per frame of 512² uint16.
    """

    takes = CentroidParameters
    parameters: CentroidParameters

    def plan(self, inputs: dict[str, Flow]) -> Flow:
        """A row of four numbers."""
        flow = take_flow(inputs)
        height, width = check_images(self.name, flow)
        if self.parameters.region is not None:
            check_inside(self.name, [self.parameters.region], height=height, width=width)
        return Flow((4,), "float64", flow.block_frames, self.parameters.units, COLUMNS, every=flow.every)

    def process(self, item: Item) -> NDArray[Any]:
        """Centres and widths of shape (count, 4), float64."""
        region = self.parameters.region
        left, top = (region.x, region.y) if region else (0, 0)
        found = np.empty((item.count, 4))
        for row, frame in zip(found, item.data, strict=True):
            part = frame[top : top + region.height, left : left + region.width] if region else frame
            row[:] = self._find(part)
        found[:, :2] += left, top
        return found * self.parameters.pixel_size

    def _find(self, frame: NDArray[Any]) -> tuple[float, float, float, float]:
        wide = np.float64 if frame.dtype.itemsize > 4 else np.float32
        net = frame - wide(self._estimate_background(frame))
        net *= net > self.parameters.least  # quicker than to write zeros where it is not
        x, sigma_x = describe_profile(net.sum(axis=0, dtype=np.float64))
        y, sigma_y = describe_profile(net.sum(axis=1, dtype=np.float64))
        return x, y, sigma_x, sigma_y

    def _estimate_background(self, frame: NDArray[Any]) -> float:
        if self.parameters.background == "border":
            border = [frame[0], frame[-1], frame[1:-1, 0], frame[1:-1, -1]]
            return float(np.median(np.concatenate(border)))
        return self.parameters.value if self.parameters.background == "value" else 0.0


def describe_profile(profile: NDArray[np.float64]) -> tuple[float, float]:
    """Mean and standard deviation of a distribution over 0, 1, 2, …; NaN when it has no sum."""
    total = profile.sum()
    if not total > 0:
        return np.nan, np.nan
    places = np.arange(len(profile))
    mean = float(places @ profile / total)
    return mean, float(np.sqrt((places - mean) ** 2 @ profile / total))
