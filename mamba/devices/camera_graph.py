"""The graph that a detector's frames go through: which one it is, and whether it fits what the detector sends."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mamba.devices.link import TangoLink

if TYPE_CHECKING:
    from mamba.data_worker.graph import Graph
    from mamba.data_worker.nodes import Flow

Version = tuple[int, int]
"""When a file was written, and its size."""


class GraphUser:
    """The part of a camera that knows its graph.

    Attributes:
        graph: a file, or a graph that was built in Python.
    """

    graph: Path | Graph
    link: TangoLink
    _seen: tuple[Path, Version | None, Graph] | None = None

    def use_graph(self, graph: Path | Graph) -> None:
        """Let the next acquisition go through another graph, checked against what the camera sends.

        A file is read again at each arm, so that a mended one counts.

        Raises:
            GraphInvalid: it cannot run, or not with frames of this size and type; the camera keeps the one it has.
            DeviceError: the camera cannot be asked for them.
        """
        from mamba.data_worker.edge_flows import list_edge_flows, list_streams
        from mamba.data_worker.graph import load_graph

        frames = self.describe_frames()

        def check(graph: Graph) -> None:
            list_edge_flows(graph, dict.fromkeys(list_streams(graph), frames), 0.0)

        if isinstance(graph, Path):
            load_graph(graph, check=check)
        else:
            check(graph)
        self.graph = graph

    def describe_frames(self) -> Flow:
        """The flow of its frames, as it is set now.

        Raises:
            DeviceError: it cannot be asked.
        """
        from mamba.data_worker.edge_flows import make_frames

        height, width, dtype = self._read_form()
        return make_frames((height, width), dtype)

    def load_graph(self) -> Graph:
        """The graph of the next acquisition, as its file is now.

        Raises:
            GraphInvalid: the file cannot be read, or holds no graph that can run.
        """
        from mamba.data_worker.graph import load_graph

        if not isinstance(self.graph, Path):
            return self.graph
        version = _find_version(self.graph)
        graph = load_graph(self.graph)
        self._seen = (self.graph, version, graph)
        return graph

    def peek_graph(self) -> Graph:
        """The same for who only looks: a file is not read again, nor a Python file executed, while it is unchanged.

        Raises:
            GraphInvalid: as `load_graph`.
        """
        if isinstance(self.graph, Path) and self._seen is not None:
            path, version, graph = self._seen
            if path == self.graph and version is not None and version == _find_version(path):
                return graph
        return self.load_graph()

    def _read_form(self) -> tuple[int, int, str]:
        """Height, width and NumPy's name of the type."""
        readings = self.link.read("Height", "Width", "PixelFormat")
        dtype = np.dtype(str(readings["PixelFormat"].value)).name
        return int(readings["Height"].value), int(readings["Width"].value), dtype


def _find_version(path: Path) -> Version | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
