"""Processor: dark and flat correction."""

from __future__ import annotations

import logging
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from mamba.data_worker.nodes import Flow, Item, Job, Node, NodeParameters
from mamba.data_worker.processors.checks import check_images, take_flow
from mamba.data_worker.processors.pictures import Picture, load_picture
from mamba.errors import DataError

log = logging.getLogger(__name__)


class DarkFlatParameters(NodeParameters):
    """Which dark and flat, and what becomes of pixels whose flat says nothing."""

    dark: Picture = Field(Picture(value=0.0), description="what the detector gives without beam")
    flat: Picture | None = Field(None, description="what it gives with beam and without sample; none: dark only")
    result: Literal["transmission", "counts"] = Field(
        "transmission",
        description="transmission: divided by the flat; counts: by the flat over its mean, so that counts stay counts",
    )
    bad_value: float = Field(0.0, description="given to pixels whose flat is not above the dark; may be .nan")
    most_bad: float = Field(
        0.05, ge=0, le=1, description="largest share of such pixels", json_schema_extra={"units": "fraction"}
    )


class DarkFlat(Node):
    """(frame − dark)/(flat − dark) in float32, or frame − dark without a flat.

    Pixels whose flat is not above the dark get `bad_value`; `bad_pixels` counts them, and the log tells.
    """

    takes = DarkFlatParameters
    parameters: DarkFlatParameters
    bad_pixels = 0

    def plan(self, inputs: dict[str, Flow]) -> Flow:
        """Images of the same shape, float32."""
        flow = take_flow(inputs)
        check_images(self.name, flow)
        relative = self.parameters.flat is not None and self.parameters.result == "transmission"
        return Flow(flow.shape, "float32", flow.block_frames, units="" if relative else flow.units, every=flow.every)

    def open(self, job: Job, inputs: dict[str, Flow]) -> None:
        """Read dark and flat.

        Raises:
            DataError: one cannot be used, or more pixels than `most_bad` have no flat.
        """
        shape = take_flow(inputs).shape
        dark = load_picture(self.name, self.parameters.dark, shape)
        self._dark = dark.astype(np.float32)
        self._gain: NDArray[np.float32] | None = None
        self._bad = np.empty(0, dtype=np.int64)
        if self.parameters.flat is not None:
            self._set_gain(load_picture(self.name, self.parameters.flat, shape) - dark)

    def _set_gain(self, net: NDArray[np.float64]) -> None:
        usable = net > 0
        self._bad = np.flatnonzero(~usable)
        self.bad_pixels = self._bad.size
        if self.bad_pixels > self.parameters.most_bad * net.size:
            raise DataError(
                f"node {self.name!r}: the flat cannot be used",
                seen=f"{self.bad_pixels} of {net.size} pixels are not above the dark",
                remedy="was the shutter open? Take the flat again, or raise most_bad",
            )
        if self.bad_pixels:
            log.warning(
                "node %r: %d pixels have no flat and become %g", self.name, self.bad_pixels, self.parameters.bad_value
            )
        scale = net[usable].mean() if self.parameters.result == "counts" and usable.any() else 1.0
        gain = np.zeros(net.shape)
        np.divide(scale, net, out=gain, where=usable)
        self._gain = gain.astype(np.float32)

    def process(self, item: Item) -> NDArray[Any]:
        """Corrected frames, shape (count, height, width), float32."""
        frames = item.data
        corrected = np.empty(frames.shape, dtype=np.float32)
        exact = np.can_cast(frames.dtype, np.float32, "safe")
        for frame, out in zip(frames, corrected, strict=True):  # one after the other stays in the processor's cache
            if exact:  # converting first is quicker by a third
                np.copyto(out, frame)
                out -= self._dark
            else:
                np.subtract(frame, self._dark, out=out, casting="same_kind")
            if self._gain is not None:
                out *= self._gain
                out.ravel()[self._bad] = self.parameters.bad_value
        return corrected
