"""Graphs that bring their own sources: a file that is played again, another graph's ZeroMQ, a detector's own stream.

No device of the console sends to them, so they are armed and ended by themselves:
`graph("replay.yaml").start(frames=…)`.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from mamba.config import load_profile, read_environment
from mamba.devices.camera_documents import find_next_file
from mamba.devices.camera_graph import GraphUser
from mamba.errors import GraphInvalid, MambaError

if TYPE_CHECKING:
    from mamba.data_worker.control import Armed, Ledger
    from mamba.data_worker.graph import Graph

_known: dict[str, OwnSources] = {}
_arms = itertools.count(1)


class OwnSources(GraphUser):
    """What stands in a camera's place; one for each name of a graph, so that everybody sees the same run.

    Attributes:
        name: the graph's.
        armed: the last run, whether it goes on or not; None before the first.
    """

    is_armed = False
    """Its sources begin as soon as it is armed."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.armed: Armed | None = None
        self._refused = ""

    @property
    def failure(self) -> str:
        """Why the last run failed; "" while it goes on, or when it did not."""
        if self.armed is None or not self.armed.done:
            return self._refused
        try:
            self.armed.wait(0)
        except MambaError as error:
            return str(error)
        return ""

    @property
    def ledger(self) -> Ledger | None:
        """The account of the last run, once settled."""
        return None if self.armed is None else self.armed.ledger

    def use_graph(self, graph: Path | Graph, partners: Mapping[str, GraphUser] | None = None) -> None:
        """Let the next run go through another graph.

        Raises:
            GraphInvalid: it cannot run, or takes the frames of a camera; this keeps the one it has.
        """
        from mamba.data_worker.edge_flows import list_streams
        from mamba.data_worker.graph import load_graph

        found = load_graph(graph) if isinstance(graph, Path) else graph
        if partners or list_streams(found):
            raise GraphInvalid(
                f"graph {found.name}: takes the frames of a camera", remedy="use it with one: graph(FILE, D.camera)"
            )
        self.graph = graph

    def begin(self, frames: int) -> None:
        """Arm, which starts the sources; the file is named after the graph, in the profile's data folder.

        Raises:
            MambaError: it cannot.
        """
        from mamba.data_worker.control import arm

        graph = self.load_graph()
        directory = load_profile(read_environment().profile).data.directory.absolute()
        if self.armed is not None:
            self.armed.close()
        self.armed, self._refused = None, ""
        try:
            file = find_next_file(directory, self.name)
            self.armed = arm(graph, arm_id=next(_arms), frames=frames, file=file, device=self.name)
        except MambaError as error:
            self._refused = str(error)
            raise

    def end(self, timeout_s: float) -> Ledger:
        """End it: what has come is written.

        Raises:
            MambaError: it failed before, or does not end in time.
        """
        assert self.armed is not None
        self.armed.abort("stopped")
        return self.armed.wait(timeout_s)


def find_own_sources(graph: Graph, file: Path | None) -> OwnSources:
    """The one of that name, with this graph from the next run on."""
    found = _known.setdefault(graph.name, OwnSources(graph.name))
    found.graph = file or graph
    return found


def list_own_sources() -> list[OwnSources]:
    """Those that have run in this console."""
    return [each for each in _known.values() if each.armed is not None]
