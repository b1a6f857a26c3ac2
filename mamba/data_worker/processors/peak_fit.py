"""Processor: centre, width and height of one peak in each spectrum or profile."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from mamba.data_worker.nodes import Flow, Item, Node, NodeParameters
from mamba.data_worker.processors.checks import check_numbers, take_flow
from mamba.data_worker.processors.peaks import fit_peaks
from mamba.data_worker.processors.rebin import choose_type
from mamba.errors import GraphInvalid

COLUMNS = ("centre", "fwhm", "height", "background", "residual")
_FEWEST = 6
"""Points that a fit of five numbers needs."""


class PeakFitParameters(NodeParameters):
    """Which peak."""

    shape: Literal["gauss", "lorentz"] = Field("gauss", description="of the peak")
    background: Literal["level", "line"] = Field("level", description="below it")
    profile: Literal["x", "y"] = Field(
        "x", description="of images: sums of the columns (x) or of the rows (y) are fitted"
    )
    low: float | None = Field(None, allow_inf_nan=False, description="fit from here, in units of the axis")
    high: float | None = Field(None, allow_inf_nan=False, description="fit up to here, in units of the axis")

    @model_validator(mode="after")
    def _ordered(self) -> PeakFitParameters:
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise ValueError("low is not below high")
        return self


class PeakFit(Node):
    """Fits one peak to each spectrum, or to a profile of each image.

    Columns centre and fwhm, in units of the axis, else channels or pixels; height, background and residual, of values.
    A row is NaN where the fit did not converge or found no peak inside the range.
    """

    takes = PeakFitParameters
    parameters: PeakFitParameters

    def plan(self, inputs: dict[str, Flow]) -> Flow:
        """A row of five numbers."""
        flow = take_flow(inputs)
        check_numbers(self.name, flow)
        if len(flow.shape) not in (1, 2) or flow.columns:
            raise GraphInvalid(f"node {self.name!r}: it takes spectra or images", seen=f"shape {flow.shape}")
        self._sum_over = {1: None, 2: 1 if self.parameters.profile == "x" else 2}[len(flow.shape)]
        wide = choose_type(flow.dtype, max(flow.shape), "sum")  # quicker than float64, and exact
        self._sum_type = wide if np.dtype(wide).kind != "f" else "float64"
        length = flow.shape[0] if self._sum_over == 2 else flow.shape[-1]
        known = flow.axis if flow.axis and self._sum_over is None else None
        x = np.array(known.values) if known else np.arange(length, dtype=np.float64)
        low, high = self.parameters.low, self.parameters.high
        self._inside = (x >= (-np.inf if low is None else low)) & (x <= (np.inf if high is None else high))
        self._x = x[self._inside]
        if self._x.size < _FEWEST:
            raise GraphInvalid(
                f"node {self.name!r}: too few points to fit a peak",
                seen=f"{self._x.size} of {length} between {x.min():g} and {x.max():g}",
                remedy=f"widen low and high: it needs {_FEWEST}",
            )
        return Flow((len(COLUMNS),), "float64", flow.block_frames, columns=COLUMNS, every=flow.every)

    def process(self, item: Item) -> NDArray[Any]:
        """Results of shape (count, 5), float64."""
        rows = item.data
        if self._sum_over is not None:
            rows = np.add.reduce(rows, axis=self._sum_over, dtype=self._sum_type)
        sloping = self.parameters.background == "line"
        values = rows[:, self._inside].astype(np.float64)
        return fit_peaks(self._x, values, shape=self.parameters.shape, sloping=sloping)
