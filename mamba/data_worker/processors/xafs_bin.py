"""Processor: absorption of points measured on the fly, on a grid of energies."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from mamba.data_worker.nodes import Axis, Flow, Item, NodeParameters
from mamba.data_worker.processors.checks import check_same_every
from mamba.data_worker.processors.expression import name_values
from mamba.data_worker.processors.formula import LONGEST, Formula, FormulaProblem, parse_formula
from mamba.data_worker.processors.groups import GroupNode, count_block
from mamba.errors import GraphInvalid

_MOST_POINTS = 100_000


class Piece(NodeParameters):
    """Part of the grid: start, start + step, … up to stop."""

    start: float = Field(gt=0, description="first energy", json_schema_extra={"units": "keV"})
    stop: float = Field(gt=0, description="last energy, when steps meet it", json_schema_extra={"units": "keV"})
    step: float = Field(gt=0, description="between them", json_schema_extra={"units": "keV"})

    @model_validator(mode="after")
    def _rises(self) -> Piece:
        if not self.start < self.stop:
            raise ValueError("start is not below stop")
        if (self.stop - self.start) / self.step > _MOST_POINTS:
            raise ValueError(f"more than {_MOST_POINTS} points")
        return self

    def list_points(self) -> list[float]:
        """Its energies."""
        count = int((self.stop - self.start) / self.step + 1e-6) + 1
        return [self.start + n * self.step for n in range(count)]


class XafsBinParameters(NodeParameters):
    """Where energy and intensities come from, and the grid."""

    energy: str = Field(min_length=1, max_length=LONGEST, description="formula of the energy, such as 'points.energy'")
    i0: str = Field(min_length=1, max_length=LONGEST, description="formula of the intensity before the sample")
    i1: str = Field(min_length=1, max_length=LONGEST, description="formula of that behind it, or of the fluorescence")
    mode: Literal["transmission", "fluorescence"] = Field("transmission", description="−ln(i1/i0), or i1/i0")
    pieces: tuple[Piece, ...] = Field((), max_length=20, description="the grid, piece after piece, rising")
    points: tuple[float, ...] = Field(
        (), max_length=_MOST_POINTS, description="instead: its energies one by one", json_schema_extra={"units": "keV"}
    )
    every: int = Field(
        100, ge=1, le=10_000_000, description="give a spectrum after so many", json_schema_extra={"units": "frames"}
    )
    of: Literal["all", "group"] = Field(
        "all", description="what a spectrum is of: all points so far, or only the last `every`, such as one pass"
    )

    @model_validator(mode="after")
    def _grid(self) -> XafsBinParameters:
        if bool(self.pieces) == bool(self.points):
            raise ValueError("give the grid as pieces or as points")
        if len(self.list_points()) < 2 or not (np.diff(self.list_points()) > 0).all():
            raise ValueError("the grid does not rise from point to point")
        return self

    def list_points(self) -> list[float]:
        """Energies of the grid, keV; a piece that begins where the one before ends does not repeat it."""
        if self.points:
            return list(self.points)
        found: list[float] = []
        for piece in self.pieces:
            more = piece.list_points()
            found += more[1:] if found and abs(found[-1] - more[0]) < 1e-3 * piece.step else more
        return found


class XafsBin(GroupNode):
    """Points become a spectrum of µ on a grid of energies.

    In each bin it is the sum of i1 over the sum of i0, so that bright points count more. A bin reaches half way to its
    neighbours. NaN where no point came, or i1 has no logarithm. Points whose i0 is not above zero, or whose numbers
    are not finite, are left out, as are those beyond the grid. When its actor dies, it begins anew.
    """

    takes = XafsBinParameters
    parameters: XafsBinParameters
    inputs = (1, 16)
    joins = True

    def plan(self, inputs: dict[str, Flow]) -> Flow:
        """A spectrum with its energies, one for every so many points."""
        standing = check_same_every(self.name, inputs)
        self._flows = inputs
        self._formulas = [self._read(key, inputs) for key in ("energy", "i0", "i1")]
        points = np.array(self.parameters.list_points())
        middles = (points[1:] + points[:-1]) / 2
        self._edges = np.concatenate([[2 * points[0] - middles[0]], middles, [2 * points[-1] - middles[-1]]])
        self._sums = np.zeros((2, len(points)))
        every = self.parameters.every
        self.start_groups(every)
        axis = Axis("energy", "keV", tuple(points.tolist()))
        blocks = count_block(max(flow.block_frames for flow in inputs.values()), every)
        return Flow((len(points),), "float64", blocks, axis=axis, every=standing * every)

    def _read(self, key: str, inputs: dict[str, Flow]) -> Formula:
        try:
            formula = parse_formula(getattr(self.parameters, key))
            empty = {name: np.empty((0, *flow.shape), dtype=flow.dtype) for name, flow in inputs.items()}
            found = formula.evaluate(name_values(empty, inputs))
        except FormulaProblem as error:
            raise GraphInvalid(
                f"node {self.name!r}: {key}: {error.what}", seen=error.seen, remedy=error.remedy
            ) from None
        if np.ndim(found) != 1:
            remedy = "name one column, as input.column"
            raise GraphInvalid(
                f"node {self.name!r}: {key} is not one number per frame", seen=formula.text, remedy=remedy
            )
        return formula

    def add(self, item: Item, part: slice, *, begins: bool) -> None:
        """Add points to their bins."""
        if begins and self.parameters.of == "group":
            self._sums[:] = 0
        names = name_values({name: rows[part] for name, rows in item.arrays.items()}, self._flows)
        energy, i0, i1 = (np.asarray(formula.evaluate(names)) for formula in self._formulas)
        bins = np.searchsorted(self._edges, energy, side="right") - 1
        count = self._sums.shape[1]
        good = (bins >= 0) & (bins < count) & (i0 > 0) & np.isfinite(i0) & np.isfinite(i1)
        for sums, values in zip(self._sums, (i0, i1), strict=True):
            sums += np.bincount(bins[good], weights=values[good], minlength=count)

    def give(self, count: int) -> NDArray[Any]:
        """The spectrum as it stands."""
        i0, i1 = self._sums
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = np.where(i0 > 0, i1 / i0, np.nan)
            if self.parameters.mode == "fluorescence":
                return ratio
            return np.where(ratio > 0, -np.log(ratio), np.nan)
