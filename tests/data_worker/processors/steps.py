"""A processor run by hand, as an actor runs it: plan, open, items, end."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mamba.data_worker.graph import NodeSpec, build_node
from mamba.data_worker.nodes import Flow, Item, Job, Node, number_rows

JOB = Job(1, 100, Path("/nowhere/raw.h5"))


@dataclass
class Ran:
    """What came of it: the planned flow, and the rows by their numbers."""

    node: Node
    flow: Flow
    rows: dict[int, NDArray[Any]]

    @property
    def stacked(self) -> NDArray[Any]:
        """All rows in the order they came."""
        return np.stack(list(self.rows.values()))


def make(kind: str, parameters: dict[str, Any], inputs: dict[str, Flow]) -> tuple[Node, Flow]:
    """A node that is ready for items."""
    node = build_node(NodeSpec(name="step", kind=kind, parameters=parameters))
    flow = node.plan(inputs)
    node.open(JOB, inputs)
    assert isinstance(flow, Flow)
    return node, flow


def flow_of(rows: NDArray[Any], **more: Any) -> Flow:
    """The flow whose rows these are."""
    return Flow(rows.shape[1:], rows.dtype.name, len(rows), **more)


def run(
    kind: str, parameters: dict[str, Any], rows: NDArray[Any], *, cuts: Iterable[int] = (), flow: Flow | None = None
) -> Ran:
    """Feed `rows`, numbered from 0, cut into items before the numbers `cuts`."""
    node, out = make(kind, parameters, {"camera": flow or flow_of(rows)})
    edges = [0, *sorted(set(cuts) & set(range(1, len(rows)))), len(rows)]
    items = [(first, rows[first:stop]) for first, stop in itertools.pairwise(edges)]
    return feed(node, out, items)


def feed(node: Node, flow: Flow, items: Iterable[tuple[int, NDArray[Any]]]) -> Ran:
    """Feed items as they come through an edge: read-only, and gone after `process`."""
    found: dict[int, NDArray[Any]] = {}
    for first, rows in items:
        lent = rows.copy()
        view = lent.view()
        view.setflags(write=False)
        collect(found, node.process(Item(first, {"camera": view})), first, flow)
        lent[...] = 99 if lent.dtype.kind != "f" else np.nan
    collect(found, node.end(), 0, flow)
    return Ran(node, flow, found)


def collect(found: dict[int, NDArray[Any]], result: Any, first: int, flow: Flow) -> None:
    """Add rows by number; each comes once, and as planned."""
    for start, rows in number_rows(result, first).values():
        assert len(rows) <= flow.block_frames
        assert (rows.shape[1:], rows.dtype.name) == (flow.shape, flow.dtype)
        for number, row in enumerate(rows, start):
            assert number not in found
            found[number] = row
