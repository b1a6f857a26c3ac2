"""Source: what another graph, or a program of anybody's, shares over ZeroMQ (`zmq_republish`).

The wire is described in `mamba.data_worker.shared_rows`. What this reader missed is a gap in the numbers: not sent. A
sender whose actor died and was replaced goes on with the same arm: it is waited for, and what comes again is left out.
"""

from __future__ import annotations

import time

import numpy as np
import zmq
from pydantic import Field, field_validator

from mamba.data_worker.frame import End
from mamba.data_worker.nodes import Flow, Job, NodeParameters, Rows, Source
from mamba.data_worker.ring import LARGEST_SLOT_BYTES
from mamba.data_worker.shared_rows import NotShared, SharedEnd, SharedRows, load
from mamba.data_worker.sources.connection import Connection
from mamba.errors import StreamBroken

_MOST_ROWS = 10_000


class SubscribeParameters(NodeParameters):
    """Where from, and what will come."""

    endpoint: str = Field(pattern=r"^(tcp|ipc)://\S+$", description="address of the zmq_republish node")
    shape: tuple[int, ...] = Field((), max_length=4, description="of one frame's array; () for a number")
    dtype: str = Field("uint16", description="NumPy's name of its type")
    units: str = Field("", description="of the values")
    columns: tuple[str, ...] = Field((), description="names along the last axis, for rows of numbers")
    queue_messages: int = Field(32, ge=1, le=10_000, description="messages held when behind, of up to 8 MiB each")
    connect_s: float = Field(5.0, gt=0, le=300, json_schema_extra={"units": "s"}, description="wait for the sender")
    patience_s: float = Field(
        5.0, ge=0, le=300, json_schema_extra={"units": "s"}, description="how long a sender may be gone and come back"
    )

    @field_validator("dtype")
    @classmethod
    def _known(cls, dtype: str) -> str:
        try:
            kind = np.dtype(dtype)
        except TypeError:
            raise ValueError(f"{dtype!r} is no NumPy type") from None
        if kind.kind not in "uifcb":
            raise ValueError(f"{dtype!r} is no number")
        return kind.newbyteorder("=").name

    @field_validator("shape")
    @classmethod
    def _positive(cls, shape: tuple[int, ...]) -> tuple[int, ...]:
        if any(n <= 0 for n in shape):
            raise ValueError("sizes must be positive")
        return shape


class ZmqSubscribe(Source):
    """What a zmq_republish node of another graph sends, with the numbers it has there."""

    takes = SubscribeParameters

    @property
    def settings(self) -> SubscribeParameters:
        """The parameters."""
        assert isinstance(self.parameters, SubscribeParameters)
        return self.parameters

    def plan(self, inputs: dict[str, Flow]) -> Flow:
        """What was set."""
        told = self.settings
        row_bytes = Flow(told.shape, told.dtype).row_bytes
        block = max(1, min(_MOST_ROWS, LARGEST_SLOT_BYTES // row_bytes))
        return Flow(told.shape, told.dtype, block, units=told.units, columns=told.columns)

    def open(self, job: Job, inputs: dict[str, Flow]) -> None:
        """Subscribe.

        Raises:
            StreamBroken: nobody is there.
        """
        told = self.settings
        self._arm, self._theirs = job.arm, -1
        self._next = 0
        self._rows: SharedRows | None = None
        self._end: SharedEnd | None = None
        self._connection = Connection(
            self.name,
            told.endpoint,
            zmq.SUB,
            queue_messages=told.queue_messages,
            timeout_s=told.connect_s,
            patience_s=told.patience_s,
        )

    def fill(self, out: Rows, timeout_s: float) -> tuple[int, int] | End | None:
        """Copy the rows that are there, as far as their numbers follow each other.

        Raises:
            StreamBroken: the sender is gone, or sends something else than set, or another arm.
        """
        first = count = 0
        while count < len(out):
            rows = self._take(None if count else timeout_s)
            if rows is None:
                break
            if count and rows.first != first + count:
                self._rows = rows
                break
            first = first if count else rows.first
            some = rows.rows[: len(out) - count]
            out[count : count + len(some)] = some
            count += len(some)
            if len(some) < len(rows.rows):
                self._rows = SharedRows(rows.arm, rows.block, rows.first + len(some), rows.rows[len(some) :])
        if count:
            return first, count
        return None if self._end is None else End(self._arm, max(self._end.produced, self._next))

    def _take(self, timeout_s: float | None) -> SharedRows | None:
        """The next rows that are new, without a time-out only what is here already."""
        if self._rows is not None:
            rows, self._rows = self._rows, None
            return rows
        deadline = time.monotonic() + (timeout_s or 0.0)
        while self._end is None:
            parts = (
                self._connection.receive_more()
                if timeout_s is None
                else self._connection.receive(max(0.0, deadline - time.monotonic()))
            )
            if parts is None:
                return None
            try:
                message = load(parts)
            except NotShared as error:
                raise self._refuse("a message that cannot be read", str(error)) from None
            fresh = self._accept(message)
            if fresh is not None:
                return fresh
        return None

    def _accept(self, message: SharedRows | SharedEnd) -> SharedRows | None:
        if self._theirs < 0:
            self._theirs = message.arm
        if message.arm != self._theirs:
            raise self._refuse(f"arm {message.arm} instead of {self._theirs}", f"{self._next} frames had come")
        if isinstance(message, SharedEnd):
            self._end = message
            self._connection.close()  # now: a sender over ipc waits until its readers have left
            return None
        told, rows = self.settings, message.rows
        if rows.shape[1:] != told.shape or rows.dtype.newbyteorder("=").name != told.dtype:
            raise self._refuse(
                f"rows of {rows.shape[1:]} {rows.dtype.name}",
                f"{told.shape} {told.dtype} is set",
                "set shape and dtype",
            )
        again = max(0, self._next - message.first)
        self._next = max(self._next, message.first + len(rows))
        if again >= len(rows):
            return None
        return SharedRows(message.arm, message.block, message.first + again, rows[again:]) if again else message

    def _refuse(self, what: str, seen: str, remedy: str = "") -> StreamBroken:
        return StreamBroken(
            f"node {self.name!r}: {self.settings.endpoint} sent {what}",
            seen=seen,
            remedy=remedy or "check what sends there; arm both graphs again",
        )

    def stop(self) -> None:
        """Leave the sender."""
        connection: Connection | None = getattr(self, "_connection", None)
        if connection is not None:
            connection.close()
