"""Processor: a formula over its inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from pydantic import Field

from mamba.data_worker.nodes import Flow, Item, Node, NodeParameters, Rows
from mamba.data_worker.processors.checks import check_numbers, check_same_every
from mamba.data_worker.processors.formula import LONGEST, FormulaProblem, Names, parse_formula
from mamba.errors import GraphInvalid


class ExpressionParameters(NodeParameters):
    """The formula."""

    formula: str = Field(
        min_length=1,
        max_length=LONGEST,
        description="such as 'camera / beam.i0': inputs by name, columns of a row of numbers as input.column",
    )
    units: str = Field("", description="of the result; nobody checks them")


class Expression(Node):
    """A formula over the inputs and their columns.

    Numbers are float32 for images of up to 16 bits and for float32, float64 for all others; the result is what NumPy
    makes of them, truth is 0 or 1. `sum`, `mean`, `std`, `min` and `max` are over each frame.
    """

    takes = ExpressionParameters
    parameters: ExpressionParameters
    inputs = (1, 16)
    joins = True

    def plan(self, inputs: dict[str, Flow]) -> Flow:
        """What NumPy makes of it, tried on no frames at all."""
        every = check_same_every(self.name, inputs)
        for flow in inputs.values():
            check_numbers(self.name, flow)
        self._flows = inputs
        try:
            self._formula = parse_formula(self.parameters.formula)
            found = self._evaluate({name: np.zeros((0, *flow.shape), flow.dtype) for name, flow in inputs.items()}, 0)
        except FormulaProblem as error:
            raise GraphInvalid(f"node {self.name!r}: {error.what}", seen=error.seen, remedy=error.remedy) from None
        like = next((f for f in inputs.values() if f.shape and f.shape == found.shape[1:]), Flow((), ""))
        blocks = max(flow.block_frames for flow in inputs.values())
        return replace(
            like, shape=found.shape[1:], dtype=found.dtype.name, units=self.parameters.units, block_frames=blocks,
            every=every,
        )  # fmt: skip

    def process(self, item: Item) -> Rows:
        """The result for each frame."""
        return self._evaluate(item.arrays, item.count)

    def _evaluate(self, arrays: Mapping[str, Rows], count: int) -> Rows:
        found = self._formula.evaluate(name_values(arrays, self._flows))
        if isinstance(found, float):
            found = np.full(count, found)
        shared = any(np.may_share_memory(found, rows) for rows in arrays.values())
        return found.copy() if shared else np.ascontiguousarray(found)


def name_values(arrays: Mapping[str, Rows], flows: Mapping[str, Flow]) -> Names:
    """Inputs and their columns by the names a formula calls them."""
    names: dict[str, Callable[[], Rows]] = {}
    for name, flow in flows.items():
        names[name] = lambda rows=arrays[name]: widen(rows)  # type: ignore[misc]
        for at, column in enumerate(flow.columns):
            names[f"{name}.{column}"] = lambda rows=arrays[name], at=at: widen(rows[:, at])  # type: ignore[misc]
    return names


def widen(rows: Rows) -> Rows:
    """As floats: unsigned numbers would go round below zero."""
    images = rows.ndim > 2
    narrow = rows.dtype.itemsize <= 2 or rows.dtype == np.float32
    return rows.astype(np.float32 if images and narrow else np.float64, copy=False)
