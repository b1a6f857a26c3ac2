"""Regions of a frame: what a person draws, and which pixels that is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from mamba.data_worker.nodes import NodeParameters
from mamba.errors import GraphInvalid


class Region(NodeParameters):
    """Part of a frame: the rectangle of columns x … x+width-1 and rows y … y+height-1, or the ellipse inside it."""

    name: str = Field(pattern=r"^[A-Za-z_]\w{0,31}$", description="of its column")
    x: int = Field(ge=0, description="leftmost column", json_schema_extra={"units": "pixel"})
    y: int = Field(ge=0, description="first row", json_schema_extra={"units": "pixel"})
    width: int = Field(gt=0, description="number of columns", json_schema_extra={"units": "pixel"})
    height: int = Field(gt=0, description="number of rows", json_schema_extra={"units": "pixel"})
    shape: Literal["rectangle", "ellipse"] = Field(
        "rectangle", description="an ellipse has the pixels whose centres are inside it"
    )

    @property
    def area(self) -> int:
        """Pixels of the rectangle."""
        return self.width * self.height

    def find_runs(self, frame_width: int) -> NDArray[np.int64]:
        """First pixel of each row and the one after its last, as indices into the flat frame; shape (height, 2).

        A row of an ellipse may be empty; not all of them are.
        """
        half = np.full(self.height, self.width / 2)
        if self.shape == "ellipse":
            down = (np.arange(self.height) + 0.5) * 2 / self.height - 1
            half *= np.sqrt(1 - down**2)
        # pixel n is inside when |n + ½ − width/2| ≤ half; the little more is for the rounding of the root
        first = np.ceil(self.width / 2 - half - 0.5 - 1e-9).astype(np.int64)
        runs = np.stack([first, np.maximum(self.width - first, first)], axis=1)
        return runs + ((np.arange(self.height) + self.y) * frame_width + self.x)[:, None]


def check_inside(node: str, regions: Sequence[Region], *, height: int, width: int) -> None:
    """See that every region lies inside the frame.

    Raises:
        GraphInvalid: one does not.
    """
    for region in regions:
        if region.x + region.width > width or region.y + region.height > height:
            raise GraphInvalid(
                f"node {node!r}: region {region.name!r} reaches beyond the frame",
                seen=f"x {region.x}+{region.width}, y {region.y}+{region.height} in {width} × {height} pixels",
                remedy="move it inside, or change the camera's size",
            )
