"""Processor: mean, spread or extremes of the last n arrays."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from pydantic import Field, field_validator

from mamba.data_worker.nodes import Flow, Item, Node, NodeParameters
from mamba.data_worker.processors.checks import check_numbers, refuse_twice, take_flow
from mamba.errors import GraphInvalid

_MOST_BYTES = 256 * 2**20
_CHUNK_BYTES = 8 * 2**20
"""What is reduced at once: `std` makes a copy as large as all windows together."""
_REDUCE: dict[str, Any] = {
    "mean": functools.partial(np.mean, dtype=np.float64),
    "std": functools.partial(np.std, dtype=np.float64),
    "min": np.min,
    "max": np.max,
}


class RollingParameters(NodeParameters):
    """Over how many, and what of them."""

    last: int = Field(ge=2, le=10_000, description="how many are looked at", json_schema_extra={"units": "frames"})
    of: tuple[Literal["mean", "std", "min", "max"], ...] = Field(
        ("mean", "std"), min_length=1, description="for a row of numbers a column each; for images and spectra one only"
    )

    _distinct = field_validator("of")(refuse_twice)


class Rolling(Node):
    """Mean, spread and extremes of the last n: of an array and those before it, in float64.

    The first ones have fewer before them. Frames that never came are not counted: it is the last n that came. `std`
    divides by their number.
    """

    takes = RollingParameters
    parameters: RollingParameters
    remembers = True

    def plan(self, inputs: dict[str, Flow]) -> Flow:
        """Columns such as `i0_mean`, or arrays of the same shape."""
        flow = take_flow(inputs)
        check_numbers(self.name, flow)
        last, of = self.parameters.last, self.parameters.of
        if last * flow.row_bytes > _MOST_BYTES:
            raise GraphInvalid(
                f"node {self.name!r}: the last {last} do not fit in its memory",
                seen=f"{last * flow.row_bytes / 2**20:.0f} MiB, at most {_MOST_BYTES >> 20}",
                remedy="take fewer, or rebin first",
            )
        self._before: NDArray[Any] = np.empty((0, *flow.shape), dtype=flow.dtype)
        self._as_columns = not flow.shape or bool(flow.columns)
        if self._as_columns:
            names = tuple(f"{column}_{name}" for name in of for column in flow.columns) or tuple(of)
            return Flow((len(names),), "float64", flow.block_frames, flow.units, names, every=flow.every)
        if len(of) > 1:
            raise GraphInvalid(f"node {self.name!r}: of images and spectra it gives one of {', '.join(of)}")
        return replace(flow, dtype="float64")

    def process(self, item: Item) -> NDArray[Any]:
        """Statistics with the numbers of the item."""
        last = self.parameters.last
        rows = np.concatenate([self._before, item.data])
        before = len(self._before)
        found = [self._reduce(name, rows, before) for name in self.parameters.of]
        self._before = rows[-(last - 1) :].copy()
        return (
            np.concatenate([np.reshape(part, (item.count, -1)) for part in found], axis=1)
            if self._as_columns
            else found[0]
        )

    def _reduce(self, name: str, rows: NDArray[Any], before: int) -> NDArray[Any]:
        reduce, last = _REDUCE[name], self.parameters.last
        out = np.empty((len(rows) - before, *rows.shape[1:]))
        few = range(before, min(last - 1, len(rows)))
        for end in few:
            out[end - before] = reduce(rows[: end + 1], axis=0)
        if len(rows) >= last:
            windows, full = sliding_window_view(rows, last, axis=0), out[len(few) :]
            step = max(_CHUNK_BYTES // (windows[0].size * 8), 1)
            for start in range(0, len(full), step):
                full[start : start + step] = reduce(windows[start : start + step], axis=-1)
        return out
