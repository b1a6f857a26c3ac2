"""What runs along each edge of a graph: arrays of which shape and type, how many bytes a second at a given rate."""

from __future__ import annotations

from dataclasses import dataclass

from mamba.data_worker.graph import EdgeSpec, Graph, build_node, plan_flows
from mamba.data_worker.nodes import Flow, Source
from mamba.errors import GraphInvalid

_BLOCK_BYTES = 8 << 20
"""The most that comes in one block."""


@dataclass(frozen=True)
class EdgeFlow:
    """One edge and what runs along it when the sources send `rate` frames/s."""

    edge: EdgeSpec
    flow: Flow
    rows_per_s: float

    @property
    def bytes_per_s(self) -> float:
        """Of the arrays alone."""
        return self.rows_per_s * self.flow.row_bytes


def list_streams(graph: Graph) -> list[str]:
    """Nodes that get what a detector sends, so that only the detector knows their shape."""
    built = [build_node(node) for node in graph.nodes]
    return [node.name for node in built if node.inputs == (0, 0) and not isinstance(node, Source)]


def make_frames(shape: tuple[int, ...], dtype: str) -> Flow:
    """The flow of a detector of this shape, in blocks as large as they get."""
    one = Flow(shape, dtype)
    return Flow(shape, dtype, max(1, _BLOCK_BYTES // max(1, one.row_bytes)), units="counts")


def list_edge_flows(graph: Graph, detectors: dict[str, Flow], rate: float) -> list[EdgeFlow]:
    """The edges in their order, when each source sends `rate` frames/s.

    Raises:
        GraphInvalid: a node cannot work on what it would get, or a stream's detector is not among `detectors`.
    """
    unknown = [name for name in list_streams(graph) if name not in detectors]
    if unknown:
        raise GraphInvalid(
            f"graph {graph.name}: the shape of what {', '.join(unknown)} sends is not known",
            remedy="give the detector's shape (--shape 2048x2048)",
        )
    flows = plan_flows(graph, detectors)
    found = []
    for edge in graph.edges:
        flow = flows[edge.node][edge.output or "out"]
        found.append(EdgeFlow(edge, flow, rate / flow.every))
    return found


def describe_flow(flow: Flow) -> str:
    """`2048 × 2048 uint16`, `4 columns uint64`, `one float64`: what each row is; for people."""
    shape = " × ".join(str(length) for length in flow.shape)
    if flow.columns:
        shape = f"{len(flow.columns)} column{'' if len(flow.columns) == 1 else 's'}"
    each = f" per {flow.every} frames" if flow.every > 1 else ""
    return f"{shape or 'one'} {flow.dtype}{each}"
