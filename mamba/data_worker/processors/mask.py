"""Processor: bad pixels replaced by a value, or by the median of their neighbours."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from mamba.data_worker.nodes import Flow, Item, Job, Node, NodeParameters
from mamba.data_worker.processors.checks import check_fits, check_images, take_flow
from mamba.data_worker.processors.pictures import AbsoluteFile, read_image
from mamba.errors import DataError, GraphInvalid

_MOST_NEIGHBOURED = 100_000
"""Pixels whose neighbours are looked up, which takes time when the graph is armed."""


class MaskParameters(NodeParameters):
    """Which pixels are bad, and what becomes of them."""

    file: AbsoluteFile | None = Field(None, description="HDF5 file with an image that is not 0 where a pixel is bad")
    dataset: str = Field("/entry/instrument/detector/pixel_mask", min_length=1, description="the image in it")
    pixels: tuple[Annotated[tuple[int, ...], Field(min_length=2, max_length=2)], ...] = Field(
        (), max_length=10_000, description="more of them, each [x, y]", json_schema_extra={"units": "pixel"}
    )
    by: Literal["value", "neighbours"] = Field("value", description="what they are replaced by")
    value: float = Field(0.0, description="for `value`, and where no good pixel is within `reach`; may be .nan")
    reach: int = Field(
        2, ge=1, le=5, description="how far the median looks for a good pixel", json_schema_extra={"units": "pixel"}
    )

    @model_validator(mode="after")
    def _some(self) -> MaskParameters:
        if self.file is None and not self.pixels:
            raise ValueError("name bad pixels: a file, a list, or both")
        return self


class Mask(Node):
    """Replaces bad pixels by a value or their neighbours' median; everything else stays, the type too.

    The median is of the good pixels of the smallest square around a bad one that has any: 3 × 3, 5 × 5 and so on up to
    `reach`. For whole numbers a median between two is rounded to the even one.
    """

    takes = MaskParameters
    parameters: MaskParameters
    bad_pixels = 0

    def plan(self, inputs: dict[str, Flow]) -> Flow:
        """The same images."""
        flow = take_flow(inputs)
        height, width = check_images(self.name, flow)
        for x, y in self.parameters.pixels:
            if not (0 <= x < width and 0 <= y < height):
                raise GraphInvalid(
                    f"node {self.name!r}: pixel [{x}, {y}] is beyond the frame",
                    seen=f"{width} × {height} pixels",
                    remedy="write [x, y], both from 0",
                )
        check_fits(self.name, "value", self.parameters.value, flow.dtype)
        return flow

    def open(self, job: Job, inputs: dict[str, Flow]) -> None:
        """Read the mask and look up the neighbours.

        Raises:
            DataError: the file cannot be used, or names too many pixels.
        """
        shape = take_flow(inputs).shape
        bad = np.zeros(shape, dtype=bool)
        if self.parameters.file is not None:
            bad |= read_image(self.name, self.parameters.file, self.parameters.dataset, shape) != 0
        for x, y in self.parameters.pixels:
            bad[y, x] = True
        self.bad_pixels = int(np.count_nonzero(bad))
        self._filled, self._groups = np.flatnonzero(bad), list[tuple[NDArray[np.int64], NDArray[np.int64]]]()
        if self.parameters.by == "neighbours":
            if self.bad_pixels > _MOST_NEIGHBOURED:
                raise DataError(
                    f"node {self.name!r}: too many bad pixels for their neighbours' median",
                    seen=f"{self.bad_pixels}, at most {_MOST_NEIGHBOURED}",
                    remedy="replace them by a value",
                )
            self._filled, self._groups = find_neighbours(bad, self.parameters.reach)

    def process(self, item: Item) -> NDArray[Any]:
        """Frames with the bad pixels replaced, shape and type as they came."""
        frames = item.data.copy()
        flat = frames.reshape(len(frames), -1)
        if self._filled.size:
            flat[:, self._filled] = self.parameters.value
        for pixels, neighbours in self._groups:
            median = np.median(flat[:, neighbours], axis=-1)
            flat[:, pixels] = np.rint(median) if flat.dtype.kind in "ui" else median
        return frames


def find_neighbours(
    bad: NDArray[np.bool_], reach: int
) -> tuple[NDArray[np.int64], list[tuple[NDArray[np.int64], NDArray[np.int64]]]]:
    """Good neighbours of each bad pixel, as indices into the flat image.

    Returns:
        Those without any within `reach`; and for each number k of neighbours the bad pixels (n,) and theirs (n, k).
    """
    width = bad.shape[1]
    alone: list[int] = []
    groups: dict[int, list[tuple[int, NDArray[np.int64]]]] = {}
    for y, x in np.argwhere(bad).tolist():
        for far in range(1, reach + 1):
            top, left = max(y - far, 0), max(x - far, 0)
            good = np.argwhere(~bad[top : y + far + 1, left : x + far + 1])
            if len(good):
                found = (good[:, 0] + top) * width + good[:, 1] + left
                groups.setdefault(len(found), []).append((y * width + x, found))
                break
        else:
            alone.append(y * width + x)
    return np.array(alone, dtype=np.int64), [
        (np.array([pixel for pixel, _ in group], dtype=np.int64), np.stack([found for _, found in group]))
        for group in groups.values()
    ]
