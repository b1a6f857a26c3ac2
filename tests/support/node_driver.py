"""Runs a node without Ray, sockets of the graph or an actor: as the data worker's loop would."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mamba.data_worker.frame import End
from mamba.data_worker.graph import NodeSpec, build_node
from mamba.data_worker.nodes import Flow, Job, Sink, Source

JOB = Job(arm=3, frames=10, file=Path("never-made.h5"), device="D.camera")


def open_source(kind: str, parameters: dict[str, Any], job: Job = JOB) -> Source:
    """A source named `source`, planned and open."""
    node = build_node(NodeSpec(name="source", kind=kind, parameters=parameters))
    assert isinstance(node, Source)
    node.plan({})
    node.open(job, {})
    return node


def open_sink(kind: str, parameters: dict[str, Any], inputs: dict[str, Flow], job: Job = JOB) -> Sink:
    """A sink named `sink`, planned and open."""
    node = build_node(NodeSpec(name="sink", kind=kind, parameters=parameters))
    assert isinstance(node, Sink)
    node.plan(inputs)
    node.open(job, inputs)
    return node


def make_slot(node: Source, frames: int | None = None) -> NDArray[Any]:
    """An empty slot of the ring that the data worker would give to `fill`."""
    flow = node.plan({})
    assert isinstance(flow, Flow)
    return np.zeros((frames or min(flow.block_frames, 256), *flow.shape), flow.dtype)


def drain(node: Source, *, timeout_s: float = 20.0, frames: int | None = None) -> tuple[list[int], NDArray[Any], End]:
    """Everything until the end: numbers, rows and the end."""
    out = make_slot(node, frames)
    numbers: list[int] = []
    blocks = [out[:0]]
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        got = node.fill(out, 0.5)
        if isinstance(got, End):
            return numbers, np.concatenate(blocks), got
        if got is not None:
            first, count = got
            numbers += range(first, first + count)
            blocks.append(out[:count].copy())
    raise AssertionError(f"no end within {timeout_s:g} s; came: {numbers}")
