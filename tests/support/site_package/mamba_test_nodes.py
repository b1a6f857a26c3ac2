"""Nodes of a package that a site would install: used by tests of whole graphs, in the actors."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from mamba.data_worker.frame import End
from mamba.data_worker.nodes import Flow, Item, Job, Node, NodeParameters, Rows, Sink, Source

_LEAK = []


class MisbehavingParameters(NodeParameters):
    """What goes wrong, and at which frame."""

    how: Literal["raise", "shape", "hang", "leak", "die", "slow"]
    at: int = Field(40, ge=0)
    seconds: float = Field(0.0, ge=0)
    once: str = Field("", description="a file that is made when it happens; it does not happen again")


class Misbehaving(Node):
    """The mean of each frame, until something goes wrong."""

    takes = MisbehavingParameters

    def plan(self, inputs: dict[str, Flow]) -> Flow:
        """One number per frame."""
        (flow,) = inputs.values()
        return Flow((), "float64", flow.block_frames)

    def process(self, item: Item) -> Rows:
        """The mean, or something else."""
        parameters = self.parameters
        assert isinstance(parameters, MisbehavingParameters)
        if item.last >= parameters.at and not (parameters.once and Path(parameters.once).exists()):
            if parameters.once:
                Path(parameters.once).touch()
            self._misbehave(parameters)
            if parameters.how == "shape":
                return np.zeros((item.count, 3))
        return item.data.mean(axis=(1, 2))

    def _misbehave(self, parameters: MisbehavingParameters) -> None:
        if parameters.how == "raise":
            raise RuntimeError("the site's correction does not converge")
        if parameters.how == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if parameters.how == "leak":
            _LEAK.append(np.ones(48 * 2**20, dtype=np.uint8))
        if parameters.how in ("hang", "slow"):
            time.sleep(parameters.seconds)  # what a hanging library does


class Doubled(Node):
    """Frames times two, as float32."""

    def plan(self, inputs: dict[str, Flow]) -> Flow:
        """The same shape."""
        (flow,) = inputs.values()
        return Flow(flow.shape, "float32", flow.block_frames, units="counts")

    def process(self, item: Item) -> Rows:
        """Twice as much."""
        return item.data.astype(np.float32) * 2


class Difference(Node):
    """First input minus second, frame by frame."""

    inputs = (2, 2)
    joins = True

    def plan(self, inputs: dict[str, Flow]) -> Flow:
        """As the first."""
        first, _ = inputs.values()
        return Flow(first.shape, "float32", first.block_frames)

    def process(self, item: Item) -> Rows:
        """The difference."""
        first, second = item.arrays.values()
        return first.astype(np.float32) - second


class CountingParameters(NodeParameters):
    """How many."""

    rows: int = Field(100, gt=0)


class Counting(Source):
    """Rows (n, n²), seven at a time."""

    takes = CountingParameters

    def plan(self, inputs: dict[str, Flow]) -> Flow:
        """Two columns."""
        return Flow((2,), "int64", 7, columns=("n", "square"))

    def open(self, job: Job, inputs: dict[str, Flow]) -> None:
        """Begin at zero."""
        self._next = 0

    def fill(self, out: Rows, timeout_s: float) -> tuple[int, int] | End | None:
        """The next seven."""
        assert isinstance(self.parameters, CountingParameters)
        first, rows = self._next, self.parameters.rows
        if first == rows:
            return End(1, rows)
        count = min(len(out), rows - first)
        numbers = np.arange(first, first + count)
        out[:count, 0], out[:count, 1] = numbers, numbers**2
        self._next += count
        return first, count


class StampedParameters(NodeParameters):
    """What times the rows have."""

    rows: int = Field(100, gt=0)
    late_s: float = Field(0.0, description="of all rows")
    astray: tuple[int, ...] = Field((), description="rows that lie half a second later still")
    pace_s: float = Field(0.0, ge=0, description="between two blocks")


class Stamped(Source):
    """Rows (time, n), five at a time: row n is of second n since 1970."""

    takes = StampedParameters
    parameters: StampedParameters

    def plan(self, inputs: dict[str, Flow]) -> Flow:
        """Two columns."""
        return Flow((2,), "float64", 5, columns=("time", "n"))

    def open(self, job: Job, inputs: dict[str, Flow]) -> None:
        """Begin at zero."""
        self._next = 0

    def fill(self, out: Rows, timeout_s: float) -> tuple[int, int] | End | None:
        """The next five."""
        told, first = self.parameters, self._next
        if first == told.rows:
            return End(1, told.rows)
        time.sleep(told.pace_s)  # what a detector does
        count = min(len(out), told.rows - first)
        numbers = np.arange(first, first + count)
        out[:count, 0], out[:count, 1] = numbers + told.late_s + 0.5 * np.isin(numbers, told.astray), numbers
        self._next += count
        return first, count


class ScreenParameters(NodeParameters):
    """How slow it is."""

    seconds: float = Field(0.0, ge=0)
    log: str = ""


class Screen(Sink):
    """Shows frames to nobody, slowly; writes down which."""

    takes = ScreenParameters
    keeps = False

    def plan(self, inputs: dict[str, Flow]) -> None:
        """Anything."""

    def process(self, item: Item) -> None:
        """Takes its time."""
        assert isinstance(self.parameters, ScreenParameters)
        time.sleep(self.parameters.seconds)  # a slow screen
        if self.parameters.log:
            with Path(self.parameters.log).open("a") as log:
                log.write(f"{item.first} {item.count}\n")
