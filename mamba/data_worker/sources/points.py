"""Source: points of a fly controller, in blocks: a row of numbers each, such as encoder positions and counter values.

The controller speaks the conversation of `mamba.data_worker.frame` with blocks of type POINTS over transport `zmq`. It
is lossless: credits hold a controller that can wait, and one that cannot counts what it gave up; that is a gap in the
numbers, and not sent. `LinkSender` is the controller's end, for a server in Python; any language that has ZeroMQ can
speak it.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field, field_validator

from mamba.data_worker.frame import Block, BlockType, End
from mamba.data_worker.link import LinkReceiver
from mamba.data_worker.nodes import Flow, Job, NodeParameters, Rows, Source
from mamba.data_worker.sources.stream import BlockOrder
from mamba.errors import StreamBroken


class PointsParameters(NodeParameters):
    """Where the controller is, and what a point of it is."""

    endpoint: str = Field(pattern=r"^(tcp|ipc)://\S+$", description="where the controller sends")
    token: str = Field("", description="what it wants to be shown, as it tells when it is armed")
    columns: tuple[str, ...] = Field(min_length=1, max_length=4096, description="names of a point's values, in order")
    dtype: Literal["float64", "float32", "int64", "int32", "uint32", "uint64"] = Field(
        "float64", description="of values"
    )
    units: str = Field("", description="of all values")
    block_points: int = Field(
        10_000, ge=1, le=1_000_000, json_schema_extra={"units": "points"}, description="most points that go on together"
    )
    connect_s: float = Field(
        5.0, gt=0, le=300, json_schema_extra={"units": "s"}, description="wait for the controller to answer"
    )

    @field_validator("columns")
    @classmethod
    def _distinct(cls, columns: tuple[str, ...]) -> tuple[str, ...]:
        repeated = {name for name in columns if columns.count(name) > 1}
        if repeated:
            raise ValueError(f"column {min(repeated)!r} stands twice")
        return columns


class PointsSource(Source):
    """Points of a fly controller, a row of numbers each, as it numbers them; what is there goes on at once.

    Measured on two cores that the controller shares, points of ten float64 in blocks of 1,000: 5 million a second, of
    100,000 a second in blocks of 2,000: 2% of a core.
    """

    takes = PointsParameters

    @property
    def settings(self) -> PointsParameters:
        """The parameters."""
        assert isinstance(self.parameters, PointsParameters)
        return self.parameters

    def plan(self, inputs: dict[str, Flow]) -> Flow:
        """One row of numbers per point."""
        told = self.settings
        return Flow((len(told.columns),), told.dtype, told.block_points, units=told.units, columns=told.columns)

    def open(self, job: Job, inputs: dict[str, Flow]) -> None:
        """Connect, and compare what the controller says it sends with what is set.

        Raises:
            StreamBroken: nobody is there or answers, or it sends something else.
        """
        told = self.settings
        self._arm, self._order, self._next = job.arm, BlockOrder(), 0
        self._waiting: tuple[int, Rows] | None = None
        self._end: End | None = None
        self._failure: StreamBroken | None = None
        self._link = LinkReceiver(told.endpoint, token=told.token, timeout_s=told.connect_s)
        form = self._link.format
        said = (form.shape, form.dtype, form.transport)
        if said != ((len(told.columns),), told.dtype, "zmq") or form.block_frames > told.block_points:
            self._link.close()
            raise StreamBroken(
                f"node {self.name!r}: the controller at {told.endpoint} sends other points than set",
                seen=f"{form.shape} {form.dtype} over {form.transport} in blocks of {form.block_frames}",
                remedy=f"set columns, dtype and block_points to it (now {len(told.columns)} columns of {told.dtype})",
            )
        # half a block may come now and the rest with the next call, which has another `out`
        self._landing = np.empty((form.block_frames, *form.shape), form.dtype)

    def fill(self, out: Rows, timeout_s: float) -> tuple[int, int] | End | None:
        """Take the blocks that are there, as far as their numbers follow each other and fit.

        Raises:
            StreamBroken: the controller is gone before its end, or lost a block.
        """
        first, count = 0, 0
        if self._waiting is not None:
            (first, rows), self._waiting = self._waiting, None
            count = len(rows)
            out[:count] = rows
        while count + self._link.format.block_frames <= len(out):
            block = self._take(0.0 if count else timeout_s)
            if block is None:
                break
            if count and block.first != first + count:
                self._waiting = block.first, self._landing[: block.count].copy()
                break
            out[count : count + block.count] = self._landing[: block.count]
            first, count = (first if count else block.first), count + block.count
        if count:
            return first, count
        if self._failure is not None:
            raise self._failure
        return None if self._end is None else End(self._arm, self._end.produced)

    def _take(self, timeout_s: float) -> Block | None:
        """The next block, its points landed; what came before a failure is passed on before it is raised."""
        if self._end is not None or self._failure is not None:
            return None
        try:
            item = self._link.receive(timeout_s, self._find_room)
            if isinstance(item, Block):
                self._check(item)
                self._link.release(item)
                return item
            self._end = item
        except StreamBroken as error:
            self._failure = error
        return None

    def _find_room(self, block: Block) -> memoryview:
        # a block that says more than it may gets a buffer that its message does not fit
        return self._landing[: block.count].reshape(-1).view(np.uint8).data

    def _check(self, block: Block) -> None:
        self._order.check(block)
        if block.type is not BlockType.POINTS or block.first < self._next or not block.count:
            raise StreamBroken(
                f"node {self.name!r}: the controller sent a block that does not follow the format",
                seen=f"{block.count} of type {block.type.name}, from number {block.first}; {self._next} was next",
                remedy="points have type POINTS, and their numbers only grow",
            )
        self._next = block.last + 1

    def stop(self) -> None:
        """Leave the controller."""
        link: LinkReceiver | None = getattr(self, "_link", None)
        if link is not None:
            link.close()
