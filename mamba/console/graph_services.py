"""`graph/list`, `status`, `describe`, `validate`, `kinds`, `preview`: graphs, for windows and programs.

None of them changes anything: using, arming, starting and stopping a graph are commands, so that they stand in the
console: `graph("tomo.yaml", D.camera).start(frames=2000)`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Annotated, Any

from pydantic import Field

from mamba.devices import graphs

Groups = Mapping[str, Mapping[str, Any]]
Path = Annotated[str, Field(max_length=2000)]
"""A detector, `D.camera`; "" for the only one that has a graph."""


class GraphServices:
    """The handlers, each called in a thread of its own.

    Args:
        groups: M and D as they are now.
    """

    def __init__(self, groups: Callable[[], Groups]) -> None:
        self._groups = groups

    def verbs(self) -> dict[str, Callable[..., Any]]:
        """Handler by verb."""
        return {
            "graph/list": self.list,
            "graph/status": self.status,
            "graph/describe": self.describe,
            "graph/validate": self.validate,
            "graph/kinds": self.kinds,
            "graph/preview": self.preview,
        }

    def list(self) -> Any:
        """Which detectors have a graph, and what it does."""
        return [status.as_data() for status in graphs.list_graphs(self._groups())]

    def status(self, *, path: Path = "") -> Any:
        """What a graph does, node by node."""
        return graphs.describe_graph(graphs.find_camera(self._groups(), path)).as_data()

    def describe(self, *, path: Path = "") -> Any:
        """The graph as data."""
        camera = graphs.find_camera(self._groups(), path)
        graph = camera.peek_graph()
        return {"device": camera.name, "source": str(camera.graph) if graphs.is_file(camera) else "", **graph.dump()}

    def validate(
        self, *, graph: str | dict[str, Any], path: Path = "", rate: Annotated[float, Field(ge=0)] = 100.0
    ) -> Any:
        """What is wrong with a graph that is being written."""
        return graphs.check_graph(graph, graphs.find_camera(self._groups(), path) if path else None, rate)

    def kinds(self, *, kind: Path = "") -> Any:
        """The kinds of nodes, or one of them, with the schemas of their parameters."""
        from mamba.data_worker.kinds import describe_kind, describe_kinds

        return [asdict(page) for page in ([describe_kind(kind)] if kind else describe_kinds())]

    def preview(self, *, node: Path = "", path: Path = "") -> Any:
        """The newest picture of a `preview` node, of one detector or of any."""
        from mamba.data_worker.control import previews

        device = graphs.find_camera(self._groups(), path).name if path else ""
        found = previews.find(node, device)
        return {key: list(value) if isinstance(value, tuple) else value for key, value in vars(found).items()}
