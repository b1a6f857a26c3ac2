"""Processor: the rows of one detector under the numbers of another's, where their time stamps are close."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import numpy as np
from pydantic import Field

from mamba.data_worker.nodes import Flow, Item, Node, NodeParameters, Rows, TimeRule
from mamba.data_worker.processors.checks import check_same_every
from mamba.errors import GraphInvalid, find_nearest

_TIME = "time"
"""The column that holds a row's own time stamp, such as that of a Tango event."""

_Seconds = Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)]


class MatchTimesParameters(NodeParameters):
    """What fits."""

    reference: str = Field(min_length=1, description="the input whose frame numbers the pairs get")
    tolerance_s: _Seconds = Field(
        description="the most by which two time stamps may differ; below half of the shorter period only one fits",
        json_schema_extra={"units": "s"},
    )
    period_s: dict[str, _Seconds] = Field(
        default_factory=dict,
        description="by input: from frame to frame; for inputs whose rows have no column 'time' and come in blocks",
        json_schema_extra={"units": "s"},
    )


class MatchTimes(Node):
    """Two detectors joined by time stamp: gives the rows of the second under the frame numbers of the reference.

    The time stamp of a row is its column `time`, seconds since 1970 in float64, where it has one. Without, it is that
    of the block in which it came, when the detector had handed the block over; rows before the last of a block are
    `period_s` earlier each. A frame without a partner is named in the ledger, of either input. Several detectors take
    a node each, with the same reference; what they give can then be joined by number.
    """

    takes = MatchTimesParameters
    parameters: MatchTimesParameters
    inputs = (2, 2)
    joins = True
    skips = True

    def plan(self, inputs: dict[str, Flow]) -> Flow:
        """The rows of the input that is not the reference."""
        told = self.parameters
        for name in (told.reference, *told.period_s):
            if name not in inputs:
                raise GraphInvalid(f"node {self.name!r}: no input {name!r}", remedy=find_nearest(name, list(inputs)))
        check_same_every(self.name, inputs)
        (other,) = set(inputs) - {told.reference}
        columns = {name: flow.columns.index(_TIME) for name, flow in inputs.items() if _TIME in flow.columns}
        for name, flow in inputs.items():
            self._check_stamps(name, flow, named=name in columns)
        self.time_rule = TimeRule(told.reference, other, told.tolerance_s, columns, told.period_s)
        return replace(inputs[other], block_frames=min(flow.block_frames for flow in inputs.values()))

    def _check_stamps(self, name: str, flow: Flow, *, named: bool) -> None:
        if named and np.dtype(flow.dtype) != np.float64:
            raise GraphInvalid(
                f"node {self.name!r}: the time stamps of {name!r} are not float64",
                seen=flow.dtype,
                remedy="have its source give float64: other types cannot hold seconds since 1970",
            )
        if not named and flow.block_frames > 1 and name not in self.parameters.period_s:
            raise GraphInvalid(
                f"node {self.name!r}: up to {flow.block_frames} frames of {name!r} share one time stamp",
                remedy=f"say how far apart they are (period_s: {{{name}: 0.01}}), or give its rows a column 'time'",
            )

    def process(self, item: Item) -> Rows:
        """The other's rows."""
        assert self.time_rule is not None
        return item.arrays[self.time_rule.other].copy()
