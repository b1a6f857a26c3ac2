"""The graph that a detector's frames go through: which one it is, and whether it fits what the detector sends."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from mamba.devices.link import TangoLink
from mamba.devices.waiting import wait_until
from mamba.errors import DeviceFault, GraphInvalid, MambaError

if TYPE_CHECKING:
    from mamba.data_worker.control import Detector
    from mamba.data_worker.graph import Graph
    from mamba.data_worker.nodes import Flow

log = logging.getLogger(__name__)

BUSY_STATES = ("STANDBY", "RUNNING")
"""Of a camera that is armed, or takes frames."""
_REST_S = 5.0

Version = tuple[int, int]
"""When a file was written, and its size."""


class GraphUser:
    """The part of a camera that knows its graph.

    Attributes:
        graph: a file, or a graph that was built in Python.
    """

    name: str
    graph: Path | Graph
    link: TangoLink
    partners: Mapping[str, GraphUser] = MappingProxyType({})
    _seen: tuple[Path, Version | None, Graph] | None = None

    def use_graph(self, graph: Path | Graph, partners: Mapping[str, GraphUser] | None = None) -> None:
        """Let the next acquisition go through another graph, checked against what the cameras send.

        A file is read again at each arm, so that a mended one counts.

        Args:
            graph: a file, or a graph that was built in Python; its first stream node takes this camera's frames.
            partners: the cameras of its other stream nodes, by the node's name; they are armed and started with this.

        Raises:
            GraphInvalid: it cannot run, or not with frames of this size and type; the camera keeps the one it has.
            DeviceError: a camera cannot be asked for them.
        """
        from mamba.data_worker.edge_flows import list_edge_flows
        from mamba.data_worker.graph import load_graph

        partners = dict(partners or {})
        frames = {name: partner.describe_frames() for name, partner in partners.items()}
        own = self.describe_frames()

        def check(graph: Graph) -> None:
            list_edge_flows(graph, {_find_stream(graph, partners): own, **frames}, 0.0)

        if isinstance(graph, Path):
            load_graph(graph, check=check)
        else:
            check(graph)
        self.graph, self.partners = graph, partners

    def lend_frames(self, frames: int) -> Detector:
        """Arm for the graph of another camera; what its stream node has to know.

        Raises:
            DeviceFault: it is taking frames of its own.
            DeviceError: it cannot be armed.
        """
        from mamba.data_worker.control import Detector

        state = str(self.link.read("State")["State"].value)
        if state in BUSY_STATES:
            raise DeviceFault(f"{self.name}: cannot be armed with another", seen=state, remedy="end what it does first")
        self.link.write("FramesRequested", frames)
        self.link.call("Arm")
        offer = self.link.read("DataEndpoint", "DataFormat")
        return Detector(str(offer["DataEndpoint"].value), str(offer["DataFormat"].value))

    def abort_frames(self) -> None:
        """Bring it to rest after `lend_frames`; that it cannot be reached is only logged, as for the camera itself."""
        try:
            self.link.call("Abort")
        except MambaError as error:
            log.warning("%s: abort: %s", self.name, error.what)

    def await_rest(self) -> None:
        """Wait until it says that it is through, once its frames are in the file: until then it refuses the next arm.

        One that goes on, or cannot be asked, is aborted; the frames are safe, so that is only logged.
        """
        try:
            wait_until(
                self.link,
                lambda readings: str(readings["State"].value) not in BUSY_STATES,
                attributes=("State",),
                timeout_s=_REST_S,
                doing="come to rest",
            )
        except MambaError as error:
            log.warning("%s: %s, aborted", self.name, error.what)
            self.abort_frames()

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


def _find_stream(graph: Graph, partners: Mapping[str, GraphUser]) -> str:
    """The node that takes the camera's own frames.

    Raises:
        GraphInvalid: a stream node without a camera, or a camera without a stream node.
    """
    from mamba.data_worker.edge_flows import list_streams

    own, *others = list_streams(graph) or [""]
    if not own or set(others) != set(partners):
        words = ", ".join(f"{name}=D.…" for name in others)
        raise GraphInvalid(
            f"graph {graph.name}: each stream node takes one camera",
            seen=f"stream nodes: {', '.join([own, *others]) or 'none'}; cameras given: {', '.join(partners) or 'one'}",
            remedy=f"graph(FILE, D.camera{', ' if words else ''}{words}); the first node takes the first camera",
        )
    return own


def _find_version(path: Path) -> Version | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
