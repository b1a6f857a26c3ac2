"""Sink: shares a flow with whoever subscribes, another graph or a program of anybody's, over ZeroMQ.

The wire is described in `mamba.data_worker.shared_rows`. What a reader loses is seen in the numbers it gets: with
`drop` a reader that is behind by more than `queue_mib` misses whole blocks, and the graph goes on; with `wait` it holds
the graph, and after `wait_s` the graph fails. Who comes late gets what comes from then on; `readers` says how many
must be there before anything is sent.
"""

from __future__ import annotations

import logging
import time
from typing import Any, Literal
from urllib.parse import urlsplit

import numpy as np
import zmq
from pydantic import Field, model_validator

from mamba.data_worker.ledger import DatasetInfo
from mamba.data_worker.nodes import Flow, Item, Job, NodeParameters, Sink
from mamba.data_worker.shared_rows import dump_end, dump_rows
from mamba.errors import NodeFailed

_LOOPBACK = ("127.0.0.1", "[::1]", "::1", "localhost")
_END_MS = 2000
"""For readers to take the end and leave, and again for what waits to be sent."""
_END_AGAIN_S = 0.1

log = logging.getLogger(__name__)


class RepublishParameters(NodeParameters):
    """Where to, and what happens to who is behind."""

    endpoint: str = Field(
        pattern=r"^(tcp://[^\s:]+:\d+|tcp://\[[0-9a-f:]+\]:\d+|ipc:///\S+)$",
        description="where readers connect: tcp://127.0.0.1:PORT, or ipc:///PATH",
    )
    open_to_network: bool = Field(False, description="an address other than this machine's own is meant: all can read")
    when_behind: Literal["drop", "wait"] = Field("drop", description="what a reader that is behind means to the graph")
    wait_s: float = Field(
        10.0, gt=0, le=3600, json_schema_extra={"units": "s"}, description="longest wait for a reader"
    )
    queue_mib: int = Field(64, ge=1, le=65536, json_schema_extra={"units": "MiB"}, description="held for each reader")
    readers: int = Field(0, ge=0, le=1000, description="readers that must have come before the first block is sent")

    @model_validator(mode="after")
    def _stay_at_home(self) -> RepublishParameters:
        host = urlsplit(self.endpoint).hostname if self.endpoint.startswith("tcp") else "127.0.0.1"
        if host not in _LOOPBACK and not self.open_to_network:
            raise ValueError(f"{host} lets other machines read; set open_to_network: true if that is meant")
        return self


class ZmqRepublish(Sink):
    """Shares a flow over ZeroMQ with other graphs and with any program; each item is a message.

    Measured on two cores that a reader in Python shares, 1024² uint16 in blocks of 8 MiB: 330 frames/s over `ipc`, 200
    over `tcp`, 0.75 ms of CPU per frame.
    """

    takes = RepublishParameters
    keeps = False

    @property
    def settings(self) -> RepublishParameters:
        """The parameters."""
        assert isinstance(self.parameters, RepublishParameters)
        return self.parameters

    def plan(self, inputs: dict[str, Flow]) -> None:
        """Any flow can be shared."""

    def open(self, job: Job, inputs: dict[str, Flow]) -> None:
        """Bind the address.

        Raises:
            NodeFailed: it is taken, or not this machine's.
        """
        (self._flow,) = inputs.values()
        self._arm, self._block, self._readers = job.arm, 0, 0
        told = self.settings
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(1)
        self._socket = self._context.socket(zmq.XPUB)
        blocks = told.queue_mib * 2**20 // max(1, self._flow.block_frames * self._flow.row_bytes)
        self._socket.set(zmq.SNDHWM, max(2, blocks))
        self._socket.set(zmq.LINGER, _END_MS)
        self._socket.set(zmq.XPUB_VERBOSER, 1)  # every coming and going is told, not only the first and last
        self._socket.set(zmq.SNDTIMEO, round(told.wait_s * 1000))
        self._socket.set(zmq.XPUB_NODROP, told.when_behind == "wait")
        try:
            self._socket.bind(told.endpoint)
        except zmq.ZMQError as error:
            self.discard()
            raise NodeFailed(
                f"node {self.name!r}: cannot share at {told.endpoint}",
                seen=str(error),
                remedy="give another port; one that was just left is free again within a minute",
            ) from None

    def process(self, item: Item) -> None:
        """Send it.

        Raises:
            NodeFailed: too few readers came, or one took nothing for `wait_s`.
        """
        self._await_readers()
        head = {
            "node": self.name,
            "arm": self._arm,
            "block": self._block,
            "first": item.first,
            "count": item.count,
            "time": item.time,
        }
        self._send([dump_rows(head, self._flow), np.ascontiguousarray(item.data).reshape(-1).view(np.uint8).data])
        self._block += 1

    def _send(self, parts: list[Any]) -> None:
        try:
            self._socket.send_multipart(parts)  # copies: the rows are only valid now
        except zmq.Again:
            raise NodeFailed(
                f"node {self.name!r}: a reader of {self.settings.endpoint} holds the graph",
                seen=f"it took nothing for {self.settings.wait_s:g} s",
                remedy="end that reader, or set when_behind: drop",
            ) from None

    def _await_readers(self) -> None:
        deadline = time.monotonic() + self.settings.wait_s
        self._count_readers(0.0)
        while not self._block and self._readers < self.settings.readers:
            left = deadline - time.monotonic()
            if left <= 0:
                raise NodeFailed(
                    f"node {self.name!r}: too few readers at {self.settings.endpoint}",
                    seen=f"{self._readers} of {self.settings.readers} within {self.settings.wait_s:g} s",
                    remedy="start them before the detector, or lower readers",
                )
            self._count_readers(left)

    def _count_readers(self, timeout_s: float) -> None:
        self._socket.poll(round(timeout_s * 1000))
        while self._socket.poll(0):
            message = self._socket.recv()
            self._readers += 1 if message[:1] == b"\x01" else -1 if message[:1] == b"\x00" else 0

    def close(self, account: dict[str, Any]) -> dict[str, DatasetInfo]:
        """Say that the arm is over, until every reader has left, at most 2 s; then close."""
        if self._socket.closed:
            return {}
        self._socket.set(zmq.SNDTIMEO, _END_MS)
        end = dump_end(node=self.name, arm=self._arm, block=self._block, produced=account["produced"])
        deadline = time.monotonic() + _END_MS / 1000
        while True:
            # again and again: a full queue swallows it, and over a Unix socket what waits is lost when this side closes
            self._send_end(end)
            left = deadline - time.monotonic()
            self._count_readers(max(0.0, min(left, _END_AGAIN_S)))
            if self._readers <= 0 or left <= 0:
                break
        if self._readers > 0:
            log.info("node %s: %d readers were still there at the end of arm %d", self.name, self._readers, self._arm)
        self._socket.close()
        self._context.term()
        return {}

    def _send_end(self, end: bytes) -> None:
        try:
            self._socket.send(end)
        except zmq.Again:
            log.warning("node %s: a reader did not take the end of arm %d", self.name, self._arm)

    def discard(self) -> None:
        """Close without a word."""
        self._socket.close(0)
        self._context.term()
