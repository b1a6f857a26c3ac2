"""What processors ask of the flows that come in."""

from __future__ import annotations

import numpy as np

from mamba.data_worker.nodes import Flow
from mamba.errors import GraphInvalid


def refuse_twice(chosen: tuple[str, ...]) -> tuple[str, ...]:
    """For a field that is a choice of several: each once.

    Raises:
        ValueError: one stands twice.
    """
    if len(set(chosen)) < len(chosen):
        raise ValueError("one of them stands twice")
    return chosen


def take_flow(inputs: dict[str, Flow]) -> Flow:
    """The flow of the only input."""
    (flow,) = inputs.values()
    return flow


def check_images(node: str, flow: Flow) -> tuple[int, int]:
    """Height and width of a flow of images of real numbers.

    Raises:
        GraphInvalid: it carries something else.
    """
    if len(flow.shape) != 2:
        raise GraphInvalid(
            f"node {node!r}: it takes images",
            seen=f"shape {flow.shape}",
            remedy="connect it to a node that gives images",
        )
    check_numbers(node, flow)
    return flow.shape[0], flow.shape[1]


def check_numbers(node: str, flow: Flow) -> None:
    """See that a flow carries real numbers.

    Raises:
        GraphInvalid: it carries something else.
    """
    if np.dtype(flow.dtype).kind not in "uif":
        raise GraphInvalid(f"node {node!r}: it takes real numbers", seen=flow.dtype)


def check_fits(node: str, what: str, value: float, dtype: str) -> None:
    """See that a number can be kept in a type without change.

    Raises:
        GraphInvalid: it cannot.
    """
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return
    limits = np.iinfo(kind)
    if not (float(value).is_integer() and limits.min <= value <= limits.max):
        raise GraphInvalid(
            f"node {node!r}: {what} {value:g} does not fit the pixels' type {dtype}",
            remedy=f"give a whole number from {limits.min} to {limits.max}",
        )


def check_same_every(node: str, inputs: dict[str, Flow]) -> int:
    """For how many frames an array stands, the same for all inputs.

    Raises:
        GraphInvalid: it is not the same.
    """
    counts = {flow.every for flow in inputs.values()}
    if len(counts) > 1:
        seen = ", ".join(f"{name} {flow.every}" for name, flow in inputs.items())
        raise GraphInvalid(
            f"node {node!r}: its inputs do not stand for as many frames each",
            seen=seen,
            remedy="combine the frames of all of them, or of none",
        )
    return counts.pop()
