"""What a node of a graph is, and which kinds there are.

A node is a plain class with one `process(item)`; it knows neither Ray nor sockets. *Frames* are blocks in a ring,
shape (count, height, width); a *table* is one row of numbers per frame, shape (count, columns).
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, cast

from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from mamba.data_worker.frame import Block, DataFormat
from mamba.data_worker.ledger import DatasetInfo
from mamba.errors import GraphInvalid, find_nearest

Port = Literal["frames", "table"]
"""What an edge carries."""

ACKNOWLEDGE_EVERY_S = 0.5
"""A sink flushes at least this often while data comes, and acknowledges afterwards."""


class Item(NamedTuple):
    """One block at a node's door: `data` has shape (block.count, …) and is only valid during `process`."""

    block: Block
    data: NDArray[Any]
    source: str


class NodeParameters(BaseModel):
    """What a graph may set on a node; each kind has its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True)
class Job:
    """What the nodes of one arm have to know beyond their parameters."""

    arm: int
    frames: int
    file: Path
    device: str = ""
    graph: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    columns: dict[str, list[str]] = field(default_factory=dict)


class Node:
    """Base of all nodes.

    Attributes:
        takes: model of its parameters.
        accepts: how many inputs of each port: (least, most).
        output: the port it feeds; None for a sink.
    """

    takes: ClassVar[type[NodeParameters]] = NodeParameters
    accepts: ClassVar[dict[Port, tuple[int, int]]] = {}
    output: ClassVar[Port | None] = None

    def __init__(self, name: str, parameters: NodeParameters) -> None:
        self.name, self.parameters = name, parameters

    def plan(self, inputs: dict[str, DataFormat]) -> DataFormat | None:
        """Check the formats that will come in and say what goes out, before anything starts.

        Raises:
            GraphInvalid: the node cannot work on these.
        """
        raise NotImplementedError

    def name_columns(self) -> list[str]:
        """Names of a table's columns."""
        return []

    def process(self, item: Item) -> NDArray[Any] | None:
        """Work on one block; what comes back goes to the outputs."""
        raise NotImplementedError


class Sink(Node):
    """A node that keeps what it gets, and acknowledges it."""

    files: tuple[Path, ...] = ()

    def open(self, job: Job, inputs: dict[str, DataFormat]) -> None:
        """Make ready to keep the first block.

        Raises:
            DataError: it cannot keep anything, such as a file that exists.
        """
        raise NotImplementedError

    def discard(self) -> None:
        """Leave nothing behind of an arm that never began."""
        raise NotImplementedError

    def flush(self) -> list[tuple[int, int]]:
        """Make what came so far safe; returns newly safe frames as (first, count)."""
        raise NotImplementedError

    def close(self, account: dict[str, Any]) -> dict[str, DatasetInfo]:
        """Write the ledger's `account` and end; returns what was kept."""
        raise NotImplementedError


_KINDS = {
    "stream": "mamba.data_worker.sources.stream:StreamSource",
    "region_sums": "mamba.data_worker.processors.region_sums:RegionSums",
    "hdf5": "mamba.data_worker.sinks.hdf5:Hdf5Sink",
}


def list_kinds() -> list[str]:
    """All kinds a graph may name."""
    return list(_KINDS)


def find_kind(kind: str) -> type[Node]:
    """The class of a kind; loaded when first asked for, so that a graph without files needs no HDF5.

    Raises:
        GraphInvalid: no such kind; names the nearest.
    """
    if kind not in _KINDS:
        raise GraphInvalid(f"node kind {kind!r}: unknown", remedy=find_nearest(kind, list_kinds()))
    module, _, name = _KINDS[kind].partition(":")
    return cast("type[Node]", getattr(importlib.import_module(module), name))
