"""The status of a graph for people: one line on the arm and one for each node; at the prompt and in `mdw top`."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from mamba.data_worker.meters import NodeProgress

_WIDE, _FULL = 132, 120
_Justify = Literal["left", "right"]
_COLUMNS: tuple[tuple[str, _Justify, bool], ...] = (
    ("node", "left", True), ("kind", "left", False), ("actor", "left", False), ("state", "left", True),
    ("rows", "right", True), ("rows/s", "right", True), ("MB/s", "right", True), ("queue", "right", True),
    ("credits", "right", False), ("dropped", "right", True), ("lag", "right", True), ("CPU", "right", True),
    ("memory", "right", False),
)  # fmt: skip
"""Title, side, and whether a narrow screen has it, too."""
_STYLES = {"failed": "bold red", "replaced": "yellow", "ended": "dim", "running": "green"}


@dataclass(frozen=True)
class GraphStatus:
    """A graph in use: what it is doing now, or what became of its last arm. JSON-able with `as_data`.

    Attributes:
        graph: its name.
        device: the detector whose frames go through it, `D.camera`.
        source: the file it was read from; "" for one that was built in Python.
        state: "idle" (nothing was armed yet), "armed", "running", "ending", "done" or "failed".
        arm: number of the arm; 0 before the first.
        frames: how many were asked for.
        produced: frame numbers known to exist.
        written: frames that are safe in the file.
        missing: frames known to be lost.
        frames_per_s: arriving, over the last second; of a done arm its mean.
        file: the raw file.
        error: why it failed.
        nodes: one by one, before the first arm as they will be; empty when the graph cannot be read.
    """

    graph: str
    device: str
    source: str = ""
    state: str = "idle"
    arm: int = 0
    frames: int = 0
    produced: int = 0
    written: int = 0
    missing: int = 0
    frames_per_s: float = 0.0
    file: str = ""
    error: str = ""
    nodes: tuple[NodeProgress, ...] = ()

    @classmethod
    def load(cls, data: dict[str, Any]) -> GraphStatus:
        """From what `as_data` gave, also when it went through JSON."""
        return cls(**{**data, "nodes": tuple(NodeProgress(**node) for node in data["nodes"])})

    def as_data(self) -> dict[str, Any]:
        """As plain data."""
        return {**asdict(self), "nodes": [asdict(node) for node in self.nodes]}

    def __repr__(self) -> str:
        out = io.StringIO()
        Console(file=out, width=_WIDE, no_color=True, highlight=False).print(make_table([self]))
        return "\n".join(line.rstrip() for line in out.getvalue().splitlines()).strip("\n")


def make_table(statuses: Sequence[GraphStatus], width: int = _WIDE) -> Group:
    """All of them, one below the other, for rich; a screen narrower than a full table gets fewer columns."""
    parts: list[Any] = []
    for status in statuses:
        parts.append(_write_headline(status))
        if status.nodes:
            parts.append(_make_node_table(status.nodes, full=width >= _FULL))
    return Group(*(parts or [Text("No detector has a graph.")]))


def _write_headline(status: GraphStatus) -> Text:
    line = Text.assemble(
        (status.graph, "bold"), f" of {status.device}: ", (status.state, _STYLES.get(status.state, ""))
    )
    if status.arm:
        line.append(f", arm {status.arm}: {status.produced:,} of {status.frames:,} frames came")
        line.append(f", {status.written:,} written, ")
        line.append(f"{status.missing:,} missing", "bold red" if status.missing else "")
        line.append(f", {status.frames_per_s:,.0f} frames/s")
    for text in (status.file, status.error):
        if text:
            line.append(f"\n  {text}", "bold red" if text == status.error else "dim")
    return line


def _make_node_table(nodes: Sequence[NodeProgress], *, full: bool) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    columns = [(title, justify) for title, justify, always in _COLUMNS if full or always]
    for title, justify in columns:
        table.add_column(title, justify=justify, no_wrap=True)
    for node in nodes:
        cells = make_cells(node)
        table.add_row(*(cells[title] for title, _ in columns))
    return table


def make_cells(node: NodeProgress) -> dict[str, str | Text]:
    """What the table says of a node, by the title of the column."""
    return {
        "node": node.name,
        "kind": node.kind,
        "actor": node.group,
        "state": Text(node.state, _STYLES.get(node.state, "")),
        "rows": f"{node.rows:,}",
        "rows/s": f"{node.rows_per_s:,.0f}",
        "MB/s": _write_megabytes(node.bytes_per_s),
        "queue": str(node.queued),
        "credits": str(node.credits),
        "dropped": Text(f"{node.dropped:,}", "yellow" if node.dropped else ""),
        "lag": f"{node.lag_s * 1000:,.0f} ms" if node.lag_s < 10 else f"{node.lag_s:,.0f} s",
        "CPU": f"{node.cpu_percent:.0f} %",
        "memory": f"{node.memory_bytes / 1e6:,.0f} MB",
    }


def _write_megabytes(bytes_per_s: float) -> str:
    megabytes = bytes_per_s / 1e6
    return f"{megabytes:,.0f}" if megabytes >= 10 or not megabytes else f"{megabytes:.2g}"
