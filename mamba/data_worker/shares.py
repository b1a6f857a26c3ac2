"""Several writers of one stream: which frame numbers are whose, and the graph in which each of them is a node.

A node `file` with `writers: 3` stands for three: `file_1` to `file_3`. Frame numbers go round in *runs*, as long as the
detector's blocks, so that whole blocks go to one writer. Whose a row is follows from its number alone: it is the same
on every edge, for a block that comes again, and for one that is cut otherwise and reaches into two runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from mamba.data_worker.frame import Block
from mamba.data_worker.graph import Graph, build_node
from mamba.data_worker.nodes import name_writers


class Share(NamedTuple):
    """What of a flow one of several writers gets.

    Attributes:
        writer: which one, from 0.
        of: how many there are.
        run: consecutive frame numbers that one of them gets.
        every: frame numbers that one row of the flow stands for.
    """

    writer: int = 0
    of: int = 1
    run: int = 1
    every: int = 1

    def cut(self, first: int, end: int) -> Iterator[tuple[int, int]]:
        """Ranges (first, end) of its rows inside [first, end), as long as they can be."""
        if self.of == 1:
            yield first, end
            return
        turn = first * self.every // (self.run * self.of)
        while True:
            low = (turn * self.of + self.writer) * self.run
            begins, ends = -(-low // self.every), -(-(low + self.run) // self.every)
            if begins >= end:
                return
            if max(begins, first) < min(ends, end):
                yield max(begins, first), min(ends, end)
            turn += 1

    def takes(self, block: Block) -> bool:
        """Some row of the block is its own."""
        return self.of == 1 or any(self.cut(block.first, block.last + 1))

    def count_own(self, frames: int) -> int:
        """How many of the frame numbers below `frames` are its own."""
        turns, rest = divmod(frames, self.run * self.of)
        return turns * self.run + min(self.run, max(0, rest - self.writer * self.run))


WHOLE = Share()
"""Of an edge whose reader gets everything."""


@dataclass(frozen=True)
class Joined:
    """Writers that share a flow.

    Attributes:
        file: shows what all of them wrote.
        shares: by writer, of its frames.
    """

    file: Path
    shares: dict[str, Share]


def name_writer_file(file: Path, number: int) -> Path:
    """The file of the n-th writer, from 1, beside the one that shows them all."""
    return file.with_name(f"{file.stem}_writer{number}{file.suffix}")


def list_writer_files(file: Path) -> list[Path]:
    """The writers' files that are there, in their order."""
    names = re.compile(rf"{re.escape(file.stem)}_writer([1-9]\d*){re.escape(file.suffix)}")
    found = {int(match[1]): each for each in file.parent.iterdir() if (match := names.fullmatch(each.name))}
    return [found[number] for number in sorted(found)]


def expand_writers(graph: Graph) -> tuple[Graph, dict[str, tuple[str, ...]]]:
    """The graph in which each writer is a node with an actor of its own, and their names by that of the shared node."""
    shared = {spec.name: names for spec in graph.nodes if (names := name_writers(build_node(spec)))}
    if not shared:
        return graph, shared
    nodes, edges = [], []
    for spec in graph.nodes:
        alone = {"parameters": {**spec.parameters, "writers": 1}, "group": ""}
        copies = [spec.model_copy(update={**alone, "name": name}) for name in shared.get(spec.name, ())]
        nodes += copies or [spec]
    for edge in graph.edges:
        edges += [edge.model_copy(update={"to": name}) for name in shared.get(edge.to, (edge.to,))]
    return Graph(name=graph.name, nodes=tuple(nodes), edges=tuple(edges)), shared
