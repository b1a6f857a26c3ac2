"""Processor: neighbouring pixels or channels taken together."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from mamba.data_worker.nodes import Flow, Item, Node, NodeParameters
from mamba.data_worker.processors.checks import check_numbers, take_flow
from mamba.errors import GraphInvalid


class RebinParameters(NodeParameters):
    """How many become one along each axis."""

    factors: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        min_length=1,
        max_length=4,
        description="for each axis of an array: [rows, columns] of an image, [channels] of a spectrum",
        json_schema_extra={"units": "pixel"},
    )
    by: Literal["sum", "mean"] = Field("sum", description="what becomes of those taken together")
    crop: bool = Field(False, description="leave out what is over at the end of an axis, rather than refuse")


class Rebin(Node):
    """Sum or mean of blocks of neighbouring values.

    Sums of whole numbers are exact, in the smallest of 32 or 64 bits that always holds them; means and sums of float32
    are float32 (means of 32-bit and 64-bit numbers float64).
    """

    takes = RebinParameters
    parameters: RebinParameters

    def plan(self, inputs: dict[str, Flow]) -> Flow:
        """Smaller arrays; a spectrum's axis is averaged along."""
        flow = take_flow(inputs)
        check_numbers(self.name, flow)
        factors = self.parameters.factors
        if len(factors) != len(flow.shape) or flow.columns:
            raise GraphInvalid(
                f"node {self.name!r}: it needs a factor for each axis of an image or spectrum",
                seen=f"{len(factors)} factors, "
                + (f"columns {', '.join(flow.columns[:4])}" if flow.columns else f"shape {flow.shape}"),
            )
        for length, factor in zip(flow.shape, factors, strict=True):
            if length < factor or (length % factor and not self.parameters.crop):
                raise GraphInvalid(
                    f"node {self.name!r}: {length} cannot be divided by {factor}",
                    seen=f"shape {flow.shape}, factors {factors}",
                    remedy="choose factors that divide the shape" + ("" if length < factor else ", or set crop"),
                )
        shape = tuple(length // factor for length, factor in zip(flow.shape, factors, strict=True))
        axis = flow.axis and replace(flow.axis, values=_average_axis(flow.axis.values, factors[-1]))
        self._dtype = choose_type(flow.dtype, math.prod(factors), self.parameters.by)
        return replace(flow, shape=shape, dtype=self._dtype, axis=axis)

    def process(self, item: Item) -> NDArray[Any]:
        """Arrays of shape (count, *shape // factors)."""
        wide = np.dtype(self._dtype)
        if self.parameters.by == "mean" and item.data.dtype.kind in "ui" and wide == np.float32:
            wide = np.dtype(np.uint32 if item.data.dtype.kind == "u" else np.int32)  # exact, and quicker than floats
        rows = item.data
        for axis, factor in enumerate(self.parameters.factors, start=1):
            rows = add_neighbours(rows, axis, factor, wide)
        if self.parameters.by == "mean":
            return np.true_divide(rows, math.prod(self.parameters.factors), dtype=self._dtype)
        return rows.astype(self._dtype)  # also a copy, where all factors are 1


def choose_type(dtype: str, count: int, by: str) -> str:
    """NumPy name of the type of a sum or mean of `count` values."""
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return "float64" if kind.itemsize > 4 else "float32"
    if by == "mean":
        return "float32" if kind.itemsize <= 2 and count <= 2**16 else "float64"
    limits = np.iinfo(kind)
    prefix = "uint" if kind.kind == "u" else "int"
    narrow = np.iinfo(f"{prefix}32")
    return f"{prefix}32" if limits.max * count <= narrow.max and limits.min * count >= narrow.min else f"{prefix}64"


def add_neighbours(rows: NDArray[Any], axis: int, factor: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Sums of `factor` neighbours along an axis; what is over at its end is left out."""
    if factor == 1:
        return rows
    length = rows.shape[axis] // factor
    before = (slice(None),) * axis
    whole = rows[(*before, slice(0, length * factor))]
    if axis < rows.ndim - 1 or factor > 16:
        shape = (*rows.shape[:axis], length, factor, *rows.shape[axis + 1 :])
        return np.asarray(np.add.reduce(whole.reshape(shape), axis=axis + 1, dtype=dtype))
    # along the last axis a few strided additions are quicker than many short sums
    total = whole[(*before, slice(0, None, factor))].astype(dtype)
    for shift in range(1, factor):
        np.add(total, whole[(*before, slice(shift, None, factor))], out=total, casting="unsafe")
    return total


def _average_axis(values: tuple[float, ...], factor: int) -> tuple[float, ...]:
    length = len(values) // factor
    return tuple(np.reshape(values[: length * factor], (length, factor)).mean(axis=1).tolist())
