"""What a node of a graph is, and which kinds there are.

A node is a plain class with one `process(item)`; it knows neither Ray nor sockets. What travels on an edge is a *flow*:
one array of the same shape for each frame number, such as an image, a spectrum, a row of numbers, or a single number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from mamba.data_worker.frame import DataFormat, End
from mamba.data_worker.ledger import DatasetInfo

ACKNOWLEDGE_EVERY_S = 0.5
"""A sink flushes at least this often while data comes, and acknowledges afterwards."""

Rows = NDArray[Any]
"""Arrays of consecutive frame numbers, shape (count, *flow.shape)."""


@dataclass(frozen=True)
class Axis:
    """The values along a flow's last axis, for the file and for the screen; `values` as many as that axis is long."""

    name: str
    units: str
    values: tuple[float, ...]


@dataclass(frozen=True)
class Flow:
    """What an edge carries.

    Attributes:
        shape: of the array of one frame number; (height, width) for images, () for a number.
        dtype: NumPy name of its type, such as "uint16".
        block_frames: most frame numbers that come at once.
        units: of the values; "" when they have none.
        columns: names along the last axis, for a row of numbers.
        axis: values along the last axis, for a spectrum.
        every: frame numbers that one array stands for; 1: each frame has one. More, such as 10 for a mean of ten:
            array i stands for frames 10 i to 10 i + 9, and is numbered i.
    """

    shape: tuple[int, ...]
    dtype: str
    block_frames: int = 1
    units: str = ""
    columns: tuple[str, ...] = ()
    axis: Axis | None = None
    every: int = 1

    @classmethod
    def of(cls, form: DataFormat) -> Flow:
        """The flow of a detector's stream: counts."""
        return cls(form.shape, form.dtype, form.block_frames, units="counts")

    @classmethod
    def load(cls, raw: dict[str, Any]) -> Flow:
        """The flow of `dataclasses.asdict`, also when it went through JSON."""
        axis = raw["axis"] and Axis(**{**raw["axis"], "values": tuple(raw["axis"]["values"])})
        return cls(**{**raw, "shape": tuple(raw["shape"]), "columns": tuple(raw["columns"]), "axis": axis})

    @property
    def row_bytes(self) -> int:
        """Size of one array."""
        return int(np.prod(self.shape, dtype=np.int64)) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True, slots=True)
class Item:
    """What comes through a node's door at once: frame numbers `first` to `first + count - 1`.

    Attributes:
        first: number of the first.
        arrays: for each input the rows, shape (count, *flow.shape), by the input's name: the name of the node it comes
            from, `node.output` where that has several, or the edge's `as`. Not writable. Valid during `process`; for a
            sink that keeps, until the end of the `flush` after it. A node that joins gets all its inputs, any other one
            at a time.
        time: when the block was made, seconds since 1970; for people, never for ordering.
    """

    first: int
    arrays: Mapping[str, Rows]
    time: float = 0.0

    @property
    def source(self) -> str:
        """Name of the only input."""
        (name,) = self.arrays
        return name

    @property
    def data(self) -> Rows:
        """Rows of the only input."""
        (rows,) = self.arrays.values()
        return rows

    @property
    def count(self) -> int:
        """How many frame numbers."""
        return len(next(iter(self.arrays.values())))

    @property
    def last(self) -> int:
        """The last frame number."""
        return self.first + self.count - 1


class Numbered(NamedTuple):
    """Rows whose numbers are not those of the item: what a node gives whose flow has `every` > 1."""

    first: int
    rows: Rows


Result = Rows | Numbered | dict[str, Rows | Numbered] | None
"""What `process` gives: rows with the item's numbers, rows with their own, some for each output, or nothing yet."""


def number_rows(result: Result, first: int) -> dict[str, Numbered]:
    """What a node gave, by output, with numbers: those of the item that begins with `first` where it gave none."""
    given = result if isinstance(result, dict) else {} if result is None else {"out": result}
    return {name: rows if isinstance(rows, Numbered) else Numbered(first, rows) for name, rows in given.items()}


@dataclass(frozen=True)
class TimeRule:
    """How a node joins two inputs by time stamp instead of by number.

    Attributes:
        reference: the input whose numbers the pairs have.
        other: the other input.
        tolerance_s: the most by which two time stamps may differ.
        columns: by input, which column of its rows is the time stamp, seconds since 1970; for those that have one.
        period_s: by input, for the others: from row to row of a block, whose time is that of its last row.
    """

    reference: str
    other: str
    tolerance_s: float
    columns: dict[str, int]
    period_s: dict[str, float]

    def stamp(self, name: str, rows: Rows, *, time: float, later: int) -> NDArray[np.float64]:
        """Time stamps of an input's rows, s; `time` is that of their block, which has `later` rows after these."""
        if name in self.columns:
            return np.asarray(rows[:, self.columns[name]], np.float64)
        return time - self.period_s.get(name, 0.0) * np.arange(later + len(rows) - 1, later - 1, -1.0)


class NodeParameters(BaseModel):
    """What a graph may set on a node; each kind has its own. Fields carry units, limits and doc: windows show them."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True)
class Job:
    """What the nodes of one arm have to know beyond their parameters.

    Attributes:
        arm: number of the arm.
        frames: how many were asked for.
        file: the raw file; must not exist, unless `resume`.
        device: name of the camera in the console.
        graph: the graph, as YAML.
        metadata: JSON-able facts about the run.
        console: where sinks that show or tell something find the console (`console_link.ConsoleReceiver.endpoint`).
        resume: this arm had begun when the actor died; a sink goes on with the files it finds. What they hold and was
            not acknowledged may come again.
    """

    arm: int
    frames: int
    file: Path
    device: str = ""
    graph: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    console: str = ""
    resume: bool = False


class Node:
    """Base of all nodes.

    Attributes:
        takes: model of its parameters.
        inputs: how many inputs: (least, most). With (0, 0) it is a source.
        outputs: names of its outputs; one output needs no name. With () it is a sink.
        joins: `process` gets the same frame numbers of all inputs at once; a number that one input lost is left out.
        skips: it may leave numbers out of what it gives, of its own accord.
        time_rule: with `joins`: the inputs are joined by time stamp; set by `plan`.
        remembers: what it gives depends on earlier items. When its actor dies, it begins anew.
        policies: of the edges into it that make sense. What must see every row, such as a list of documents, takes
            ("wait",); what must not hold anybody up, such as a screen, ("drop", "latest").
    """

    takes: ClassVar[type[NodeParameters]] = NodeParameters
    inputs: ClassVar[tuple[int, int]] = (1, 1)
    outputs: ClassVar[tuple[str, ...]] = ("out",)
    joins: ClassVar[bool] = False
    skips: ClassVar[bool] = False
    time_rule: TimeRule | None = None
    remembers: ClassVar[bool] = False
    policies: ClassVar[tuple[str, ...]] = ("wait", "drop", "latest")

    def __init__(self, name: str, parameters: NodeParameters) -> None:
        self.name, self.parameters = name, parameters

    def plan(self, inputs: dict[str, Flow]) -> Flow | dict[str, Flow] | None:
        """Check what will come in and say what goes out (by output, where there are several), before anything starts.

        Called in the console and again in the actor; quick, opens nothing that must be closed.

        Raises:
            GraphInvalid: the node cannot work on these.
        """
        raise NotImplementedError

    def open(self, job: Job, inputs: dict[str, Flow]) -> None:
        """Make ready in the actor, after `plan`: read a dark image, build an integrator, make a file.

        Raises:
            MambaError: it cannot; the graph is not armed.
        """

    def process(self, item: Item) -> Result:
        """Take one item in; give what came of it."""
        raise NotImplementedError

    def end(self) -> Result:
        """What is left when the flow is over, such as the mean of the last few; rows must be `Numbered`."""
        return None


class Source(Node):
    """A node without inputs: it gets its frames from outside.

    The stream of a detector of ours is no such class: its slots are passed on as they are. A `Source` fills the slots
    of a ring of the data worker.
    """

    inputs = (0, 0)

    def fill(self, out: Rows, timeout_s: float) -> tuple[int, int] | End | None:
        """Put consecutive frames into `out`, shape (block_frames, *flow.shape), from its beginning.

        Returns:
            (first, count) of what is in `out`; an End, with the numbers that existed in all, when nothing more will
            come; None when nothing came within `timeout_s`. Numbers only grow; those left out count as not sent.

        Raises:
            StreamBroken: it is gone before its end.
        """
        raise NotImplementedError

    def stop(self) -> None:
        """Close what `open` opened; idempotent. Called once, also after a failure."""


class Sink(Node):
    """A node that keeps or shows what it gets.

    Attributes:
        keeps: what it acknowledges is safe, and the ledger counts it; without, such as on a screen, nothing is.
    """

    outputs = ()
    keeps: ClassVar[bool] = True
    files: tuple[Path, ...] = ()

    @property
    def writers(self) -> int:
        """How many nodes it stands for, which share what comes in; each gets a file of its own, and `writers` 1."""
        return 1

    def locate(self, job: Job) -> Path:
        """Where its file will be; asked before anything starts, and given back as `job.file` of `open`.

        Raises:
            MambaError: it cannot be told.
        """
        return job.file

    def discard(self) -> None:
        """Leave nothing behind of an arm that never began."""

    def flush(self) -> list[tuple[int, int]]:
        """Make what came so far safe; returns newly safe frames as (first, count)."""
        return []

    def close(self, account: dict[str, Any]) -> dict[str, DatasetInfo]:
        """Write the ledger's `account` and end; returns what was kept."""
        return {}


def name_writers(node: Node) -> tuple[str, ...]:
    """Names of the nodes that share what comes to this one; () when it takes everything itself."""
    count = node.writers if isinstance(node, Sink) else 1
    return tuple(f"{node.name}_{number}" for number in range(1, count + 1)) if count > 1 else ()
