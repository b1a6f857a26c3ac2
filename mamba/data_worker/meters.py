"""What each node of a running graph is doing, as numbers: what `mambactl mdw top`, windows and notices show.

*Queued*: blocks that the node took in and has not given back; of a source those that it sent. *Credits*: blocks that
may still come, or of a source be sent, before one must be given back. *Lag*: time since the newest block that the node
took in was made; a node that has drained has none.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class NodeProgress:
    """One node of a graph at one moment.

    Attributes:
        name: of the node.
        kind: of the node.
        group: the actor it lives in.
        state: `idle` before the first arm, `opening`, `running`, `ended`, `failed`, or `replaced` while a new actor
            takes over.
        rows: rows it has taken in since the arm began, of all inputs; for a source those it has seen.
        rows_per_s: of the last second.
        bytes_per_s: of the last second: what it put out; for a sink what it took in.
        queued: blocks it took in and has not given back, of all inputs; of a source: sent and not back.
        credits: blocks that may still come, at its tightest input; of a source: be sent.
        dropped: rows that edges into it dropped because it was behind.
        lag_s: from the making of the newest block it took in to now; 0 before the first and once it has drained.
        cpu_percent: of one core, over the last second; its share of its actor's.
        memory_bytes: of its actor: resident memory without the shared rings.
    """

    name: str
    kind: str
    group: str
    state: str
    rows: int = 0
    rows_per_s: float = 0.0
    bytes_per_s: float = 0.0
    queued: int = 0
    credits: int = 0
    dropped: int = 0
    lag_s: float = 0.0
    cpu_percent: float = 0.0
    memory_bytes: int = 0


@dataclass(frozen=True)
class Progress:
    """Where an arm stands.

    Attributes:
        produced: frame numbers known to exist.
        written: frames acknowledged by the file.
        missing: frames known to be lost.
        frames: how many were asked for.
        frames_per_s: arriving, over the last second.
        state: "starting", "armed", "running", "ending" or "done".
        nodes: what each node is doing, by name.
    """

    produced: int
    written: int
    missing: int
    frames: int
    frames_per_s: float
    state: str
    nodes: tuple[NodeProgress, ...] = ()
