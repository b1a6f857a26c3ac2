"""What each node of a running graph is doing, as numbers: what `mambactl mdw top`, windows and notices show.

*Queued*: blocks that wait at the node's inputs. *Credits*: blocks it may still send before a reader must give one back.
*Lag*: how old the newest row it finished is, counted from when the source saw that row.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class NodeProgress:
    """One node of an armed graph at one moment.

    Attributes:
        name: of the node.
        kind: of the node.
        group: the actor it lives in.
        state: `opening`, `running`, `ended`, `failed`, or `replaced` while a new actor takes over.
        rows: rows it has finished since the arm began; for a source those it has seen.
        rows_per_s: of the last second.
        bytes_per_s: of the last second: what it put out; for a sink what it took in.
        queued: blocks that wait at its inputs.
        credits: blocks it may still send, over its tightest output; 0 for a sink.
        dropped: rows that edges into it dropped because it was behind.
        lag_s: age of the newest row it finished.
        cpu_percent: of one core, over the last second; its share of its actor's.
        memory_bytes: of its actor: resident memory without the shared rings.
    """

    name: str
    kind: str
    group: str
    state: str
    rows: int
    rows_per_s: float
    bytes_per_s: float
    queued: int
    credits: int
    dropped: int
    lag_s: float
    cpu_percent: float
    memory_bytes: int


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
