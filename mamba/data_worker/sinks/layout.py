"""What stands where in the raw file, made out of a sink's inputs; also as JSON in the file, for who mends or checks it.

Flows of one numbering share a group: those with one array per frame /entry/data, those with one per ten frames
/entry/every_10. A group's frames each have a chunk of their own; what is smaller is a row of a *column*.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from mamba.data_worker.nodes import Flow

NUMBER = "frame_number"
FRAMES = "frames"
DATA = "entry/data"
CHECKSUMS = "entry/mdw/checksums"

_OWN_CHUNK_BYTES = 2**15


@dataclass(frozen=True)
class GroupLayout:
    """One group.

    Attributes:
        path: in the file.
        every: frame numbers that one row stands for.
        leader: flow whose rows count as written; the first with frames, else the first.
        images: flow → dataset, one chunk per row.
        columns: flow → dataset, small rows.
        split: flow → rows in each file of its own, for frames that are split.
    """

    path: str
    every: int
    leader: str
    images: dict[str, str]
    columns: dict[str, str]
    split: dict[str, int] = field(default_factory=dict)

    def checksums(self, dataset: str) -> str:
        """Where the checksums of a dataset stand."""
        group = self.path.removeprefix("entry/")
        return f"{CHECKSUMS}/{dataset}" if self.path == DATA else f"{CHECKSUMS}/{group}/{dataset}"


def is_image(flow: Flow) -> bool:
    """Its rows are stored one by one: images, and spectra of 32 kB and more."""
    return len(flow.shape) > 1 or flow.row_bytes >= _OWN_CHUNK_BYTES


def lay_out(inputs: dict[str, Flow], split: Callable[[Flow], int] = lambda _: 0) -> list[GroupLayout]:
    """The groups of a file; the first is the one whose rows count. `split`: a flow's frames per file, 0: all."""
    images = [name for name, flow in inputs.items() if is_image(flow)]
    first = images[0] if images else next(iter(inputs))
    numberings = dict.fromkeys([inputs[first].every, *(flow.every for flow in inputs.values())])
    return [_lay_group(inputs, every, split, main=every == inputs[first].every) for every in numberings]


def _lay_group(inputs: dict[str, Flow], every: int, split: Callable[[Flow], int], *, main: bool) -> GroupLayout:
    names = [name for name, flow in inputs.items() if flow.every == every]
    images = [name for name in names if is_image(inputs[name])]
    leader = images[0] if images else names[0]
    return GroupLayout(
        DATA if main else f"entry/every_{every}",
        every,
        leader,
        {name: FRAMES if main and name == leader else name for name in images},
        {name: name for name in names if name not in images},
        {name: rows for name in images if (rows := split(inputs[name]))},
    )


def dump_layout(groups: list[GroupLayout]) -> str:
    """As JSON."""
    return json.dumps([asdict(group) for group in groups])


def load_layout(text: str) -> list[GroupLayout]:
    """From JSON."""
    raw: list[dict[str, Any]] = json.loads(text)
    return [GroupLayout(**group) for group in raw]
