"""The wire of data that a graph shares with others: one PUB socket, messages of two parts that say what they are.

Part 1, JSON in UTF-8; part 2 the rows, C order, as `dtype` and `shape` say:

=========  =====================================================================================
version    1
type       "rows"; or "end", which has only version, type, node, arm, block and produced, and no part 2
node       name of the node that sends
arm        number of the arm
block      number of the message in its arm, from 0: a reader sees what it missed
first      frame number of the first row
count      how many rows, of consecutive frame numbers
shape      of one row, [height, width] for images
dtype      NumPy's name with byte order, such as "<u2"
units      of the values
columns    names along the last axis, for rows of numbers; else []
time       when the block was made, seconds since 1970
produced   of an "end": how many frame numbers existed in all
=========  =====================================================================================

Anybody who reaches the address may read; nothing that a reader sends is looked at, but its coming and going.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mamba.data_worker.nodes import Flow

VERSION = 1
_INTEGERS = ("arm", "block", "first", "count")


class NotShared(ValueError):
    """A message that does not follow this wire; says what was seen."""


@dataclass(frozen=True)
class SharedRows:
    """Frames `first` to `first + count - 1`, shape (count, *flow.shape)."""

    arm: int
    block: int
    first: int
    rows: NDArray[Any]


@dataclass(frozen=True)
class SharedEnd:
    """The arm is over; `produced` frame numbers existed, whether sent or not."""

    arm: int
    block: int
    produced: int


def dump_rows(head: dict[str, Any], flow: Flow) -> bytes:
    """Part 1 for rows of a flow; `head` has node, arm, block, first, count and time."""
    about = {
        "version": VERSION,
        "type": "rows",
        **head,
        "shape": flow.shape,
        "dtype": np.dtype(flow.dtype).str,
        "units": flow.units,
        "columns": flow.columns,
    }
    return json.dumps(about).encode()


def dump_end(*, node: str, arm: int, block: int, produced: int) -> bytes:
    """The only part of an end."""
    head = {"version": VERSION, "type": "end", "node": node, "arm": arm, "block": block, "produced": produced}
    return json.dumps(head).encode()


def load(parts: list[memoryview]) -> SharedRows | SharedEnd:
    """Read a message; its rows lie in the message's memory.

    Raises:
        NotShared: it does not follow the wire.
    """
    try:
        head = json.loads(bytes(parts[0]))
    except ValueError as error:
        raise NotShared(f"{bytes(parts[0][:40])!r} is not JSON ({error})") from None
    if not isinstance(head, dict) or head.get("version") != VERSION or head.get("type") not in ("rows", "end"):
        raise NotShared(f"{str(head)[:80]} is no rows or end of version {VERSION}")
    if head["type"] == "end":
        arm, block, produced = _integers(head, "arm", "block", "produced")
        return SharedEnd(arm, block, produced)
    arm, block, first, count = _integers(head, *_INTEGERS)
    return SharedRows(arm, block, first, _load_array(head, count, parts))


def _integers(head: dict[str, Any], *keys: str) -> list[int]:
    bad = [key for key in keys if type(head.get(key)) is not int or head[key] < 0]
    if bad:
        raise NotShared(f"{bad[0]!r} is {str(head.get(bad[0]))[:40]!r}")
    return [head[key] for key in keys]


def _load_array(head: dict[str, Any], count: int, parts: list[memoryview]) -> NDArray[Any]:
    if len(parts) != 2:
        raise NotShared(f"{len(parts)} parts instead of 2")
    try:
        dtype = np.dtype(head["dtype"])
        if dtype.kind not in "uifcb":
            raise ValueError(f"dtype {dtype}")
        return np.frombuffer(parts[1], dtype).reshape(count, *(int(n) for n in head["shape"]))
    except (KeyError, TypeError, ValueError) as error:
        raise NotShared(f"{len(parts[1])} bytes for {count} rows: {error}"[:200]) from None
