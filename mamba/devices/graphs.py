"""The graphs of the beamline's detectors, at the prompt: `G = graph("tomo.yaml", D.camera)`.

*In use*: the detector's next acquisition goes through it. A detector has one graph at a time; the profile names its
first. `RE(acquire(D.camera, frames=…))` runs whichever is in use; `G.start` runs it without a run and its documents.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mamba.devices.camera import Camera, FrameSettings
from mamba.devices.group import iter_devices
from mamba.devices.own_sources import OwnSources, find_own_sources, list_own_sources
from mamba.errors import BadValue, DataError, GraphInvalid, MambaError, UnknownDevice

if TYPE_CHECKING:
    from mamba.data_worker.building import Branch
    from mamba.data_worker.control import Ledger
    from mamba.data_worker.feedback import Feedback
    from mamba.data_worker.graph import Graph
    from mamba.data_worker.status_table import GraphStatus

_READY_S = 120.0
"""The longest time from `arm` or `start` until the camera runs; the first graph of a session starts Ray."""
_STOP_S = 60.0


def graph(
    source: Path | str | Graph | Branch | Camera, camera: Camera | None = None, **partners: Camera
) -> BeamlineGraph:
    """A graph, checked; given a camera, its next acquisition goes through it.

    Args:
        source: a file (YAML, JSON or Python), a graph or a branch written in Python, or a camera for the graph it uses.
        camera: the detector that shall use it, `D.camera`; without one it is only looked at.
        partners: the detectors of its further stream nodes, by the node's name (`fluorescence=D.xrf`): armed, started
            and stopped with `camera`, for as many frames.

    Raises:
        GraphInvalid: it cannot run, or not with what this camera sends; names the line.
        BadValue: something else than a camera.
    """
    # imported here: a console without frames needs no graphs
    from mamba.data_worker.building import Branch, build
    from mamba.data_worker.graph import Graph, load_graph

    if isinstance(source, Camera):
        return BeamlineGraph(source.peek_graph(), _find_file(source.graph), source)
    if isinstance(source, Branch):
        source = build("graph", source)
    if isinstance(source, Graph):
        made = BeamlineGraph(source, None)
    else:
        path = Path(source).expanduser().absolute()
        made = BeamlineGraph(load_graph(path), path)
    return made if camera is None else made.use(camera, **partners)


class BeamlineGraph:
    """A graph at the prompt; made by `graph`.

    Attributes:
        graph: the graph as data, as it was when it was read.
        file: where it was read from; None for one that was built in Python.
        camera: the detector that uses it, or the graph's own sources; None for one that is only looked at.
    """

    def __init__(self, graph: Graph, file: Path | None, camera: Camera | None = None) -> None:
        # imported here: a console without frames needs no graphs
        from mamba.data_worker.edge_flows import list_streams

        self.graph, self.file = graph, file
        own = camera is None and not list_streams(graph)
        self.camera: Camera | OwnSources | None = find_own_sources(graph, file) if own else camera

    def use(self, camera: Camera, **partners: Camera) -> BeamlineGraph:
        """Let the next acquisition of `camera` go through this graph; what runs goes on. A file is read at each arm.

        The first stream node takes the frames of `camera`, the others those of the `partners` named like them.

        Raises:
            GraphInvalid: not with what the camera sends; it keeps its graph.
            BadValue: no camera.
        """
        for each in (camera, *partners.values()):
            if not isinstance(each, Camera):
                raise BadValue(f"graph {self.graph.name}: {each!r} is no camera", remedy="give D.camera, or such")
        camera.use_graph(self.file or self.graph, partners)
        self.camera = camera
        return self

    def arm(self, frames: int, *, exposure_s: float | None = None, period_s: float = 0.0) -> BeamlineGraph:
        """Make camera and graph ready for `frames` frames; `start` starts them at once.

        Raises:
            BadValue: no such settings; nothing was armed.
            DeviceError: the camera cannot.
            DataError: the graph cannot; the camera is disarmed.
        """
        camera = self._require_idle()
        if isinstance(camera, OwnSources):
            raise DataError(
                f"graph {self.graph.name}: its sources begin as soon as it is armed",
                remedy="arm and start it at once: G.start(frames=…)",
            )
        camera.stage()
        camera.prepare(FrameSettings(frames, exposure_s, period_s)).wait(_READY_S)
        camera.arm().wait(_READY_S)
        return self

    def start(
        self, frames: int | None = None, *, exposure_s: float | None = None, period_s: float = 0.0
    ) -> BeamlineGraph:
        """Start what `arm` made ready, or with `frames` arm and start; returns when the camera runs.

        Raises:
            DataError: nothing is armed and no `frames` are given; else as `arm`.
        """
        camera = self._require()
        if isinstance(camera, OwnSources):
            return self._start_own(camera, frames, exposure_s, period_s)
        if frames is not None:
            self.arm(frames, exposure_s=exposure_s, period_s=period_s)
        elif not camera.is_armed:
            raise DataError(
                f"graph {self.graph.name}: nothing of {camera.name} is armed",
                remedy="G.start(frames=…) arms and starts",
            )
        camera.kickoff().wait(_READY_S)
        camera.complete()
        return self

    def _start_own(
        self, sources: OwnSources, frames: int | None, exposure_s: float | None, period_s: float
    ) -> BeamlineGraph:
        self._require_idle()
        if exposure_s is not None or period_s:
            raise BadValue(f"graph {self.graph.name}: its sources take no times", remedy="set them on their nodes")
        if frames is None or isinstance(frames, bool) or int(frames) != frames or frames < 1:
            raise BadValue(f"graph {self.graph.name}: cannot take {frames!r} frames", remedy="G.start(frames=…)")
        sources.begin(int(frames))
        return self

    def wait(self, timeout_s: float | None = None) -> Ledger:
        """Wait until the acquisition that runs, or the last one, is complete, None: however long; its account.

        Raises:
            DataError: none was begun, or it is not done in time and goes on; else why it failed.
        """
        camera = self._require()
        if camera.armed is None:
            raise DataError(f"graph {self.graph.name}: {camera.name} has taken nothing", remedy="G.start(frames=…)")
        ledger = camera.armed.wait(timeout_s)
        if camera.failure:
            raise DataError(camera.failure)
        return ledger

    def stop(self) -> Ledger | None:
        """End the acquisition cleanly: what has come is written; its account, None when nothing ran.

        A run that waits for it ends as well, with the frames so far.

        Raises:
            DataError: it failed before, or does not end.
        """
        camera = self._require()
        if camera.armed is None or camera.armed.done:
            return None
        if isinstance(camera, OwnSources):
            return camera.end(_STOP_S)
        if camera.is_armed:
            camera.stop(success=False)
            return None
        camera.stop(success=True)
        return camera.armed.wait(_STOP_S)

    def change(self, source: Path | str | Graph | Branch) -> BeamlineGraph:
        """Let the acquisition that runs go on through another graph, and the next ones begin with it; returns itself.

        Branches on which no file depends (a screen, a feedback) may come, go, or get other parameters; no frame of the
        file is lost meanwhile.

        Raises:
            GraphInvalid: it touches what a file depends on; nothing has changed.
            DataError: nothing runs.
        """
        camera, other = self._require(), graph(source)
        if camera.armed is None or camera.armed.done:
            raise DataError(
                f"graph {self.graph.name}: nothing of {camera.name} runs", remedy=f"graph(…).use({camera.name})"
            )
        camera.armed.change(other.graph)
        camera.use_graph(other.file or other.graph, camera.partners)
        self.graph, self.file = other.graph, other.file
        return self

    def set_parameters(self, node: str, /, **parameters: Any) -> BeamlineGraph:
        """Give one of its nodes other parameters, from now on: `G.set_parameters("left", regions=[…])`; returns itself.

        Parameters that are not named stay as they are, and so does the file that the graph was read from: it is no
        longer read at each arm, until `graph(FILE, D.camera)` names it again. While an acquisition runs, this goes for
        the same nodes as `change`.

        Args:
            node: a node of the graph that its detector uses.
            parameters: of its kind, as in the file; `mambactl mdw kinds KIND` lists them.

        Raises:
            GraphInvalid: no such node or parameter, a value that does not fit, or a file depends on the node while an
                acquisition runs; nothing has changed.
            DataError: no detector uses it.
        """
        from mamba.data_worker.parameters import replace_parameters

        camera = self._require()
        armed = camera.armed if camera.armed is not None and not camera.armed.done else None
        made = replace_parameters(camera.load_graph() if armed is None else armed.graph, node, parameters)
        if armed is not None:
            armed.change(made)
        camera.use_graph(made, camera.partners)
        self.graph, self.file = made, None
        return self

    def status(self) -> GraphStatus:
        """What it is doing now, node by node."""
        return describe_graph(self._require())

    def __getitem__(self, node: str) -> Feedback:
        """What a `feedback` node says: `G["steer"].latest`, `await G["steer"]`; in a plan `next_row(G["steer"])`.

        Raises:
            GraphInvalid: no such node, or not one that speaks to the console; names those that do.
        """
        from mamba.data_worker.control import feedback

        speaking = [spec.name for spec in self.graph.nodes if spec.kind == "feedback"]
        if node not in speaking:
            raise GraphInvalid(
                f"graph {self.graph.name}: node {node!r} says nothing to the console",
                seen=f"feedback nodes: {', '.join(speaking) or 'none'}",
                remedy="put a node of kind 'feedback' behind the one whose values are wanted",
            )
        return feedback[node]

    def draw(self, out: Path | str) -> Path:
        """Draw it into a picture: .png, .svg or .pdf."""
        from mamba.data_worker.drawing import draw

        path = Path(out).expanduser().absolute()
        draw(self.graph, path)
        return path

    def _require_idle(self) -> Camera | OwnSources:
        camera = self._require()
        if camera.armed is not None and not camera.armed.done and not camera.is_armed:
            raise DataError(
                f"graph {self.graph.name}: {camera.name} is running", remedy="wait for it, or stop it: G.stop()"
            )
        return camera

    def _require(self) -> Camera | OwnSources:
        if self.camera is None:
            raise DataError(
                f"graph {self.graph.name}: no detector uses it", remedy="G.use(D.camera), or graph(FILE, D.camera)"
            )
        return self.camera

    def __repr__(self) -> str:
        from mamba.data_worker.sketch import sketch

        if self.camera is None:
            used = "used by no detector: G.use(D.camera)"
        else:
            used = "has its own sources" if isinstance(self.camera, OwnSources) else f"used by {self.camera.name}"
        state = f", {self.status().state}" if self.camera is not None else ""
        source = f" read from {self.file}" if self.file else ""
        return (
            f"{sketch(self.graph)}\n\n{used}{state};{source}\nG.status()  G.start(frames=…)  G.stop()  G.draw('g.png')"
        )


def _find_file(source: Any) -> Path | None:
    return source if isinstance(source, Path) else None


def is_file(camera: Camera | OwnSources) -> bool:
    """Its graph comes from a file."""
    return isinstance(camera.graph, Path)


def list_graphs(groups: Mapping[str, Mapping[str, Any]]) -> list[GraphStatus]:
    """The graphs of all detectors that have one, and those with their own sources that ran; without their nodes."""
    found = [device for name, group in groups.items() for _, device in iter_devices(group, name)]
    shown: list[Camera | OwnSources] = [device for device in found if isinstance(device, Camera)]
    return [replace(describe_graph(each), nodes=()) for each in (*shown, *list_own_sources())]


def find_camera(groups: Mapping[str, Mapping[str, Any]], path: str) -> Camera | OwnSources:
    """The detector at `path`, or the own sources of a graph of that name; for "" the only one that has a graph.

    Raises:
        UnknownDevice: none there, or several for ""; names them.
    """
    cameras: dict[str, Camera | OwnSources] = {
        expression: device
        for name, group in groups.items()
        for expression, device in iter_devices(group, name)
        if isinstance(device, Camera)
    }
    cameras |= {sources.name: sources for sources in list_own_sources()}
    if not path and len(cameras) == 1:
        return next(iter(cameras.values()))
    if path not in cameras:
        what = f"{path}: has no graph" if path else "graph: which detector's?"
        raise UnknownDevice(what, remedy=f"those that have one: {', '.join(cameras) or 'none'}")
    return cameras[path]


def describe_graph(camera: Camera | OwnSources) -> GraphStatus:
    """What the graph of a camera, or one with its own sources, is doing, or what became of its last arm."""
    # imported here: a console without frames needs no graphs
    from mamba.data_worker.meters import NodeProgress
    from mamba.data_worker.status_table import GraphStatus

    armed, source = camera.armed, _find_file(camera.graph)
    place: dict[str, Any] = {"device": camera.name, "source": str(source or ""), "error": camera.failure}
    if armed is None:
        try:
            graph = camera.peek_graph()
        except MambaError as error:
            return GraphStatus(source.stem if source else "", **{**place, "error": str(error)}, state="failed")
        nodes = tuple(NodeProgress(node.name, node.kind, graph.group_of(node.name), "idle") for node in graph.nodes)
        return GraphStatus(graph.name, **place, state="failed" if camera.failure else "idle", nodes=nodes)
    at, ledger = armed.progress(), armed.ledger
    lost = at.missing if ledger is None else sum(gap.last - gap.first + 1 for gap in ledger.missing)
    return GraphStatus(
        armed.graph.name,
        **place,
        state="failed" if camera.failure and armed.done else at.state,
        arm=armed.job.arm,
        frames=at.frames,
        produced=at.produced,
        written=at.written,
        missing=lost,
        frames_per_s=at.frames_per_s if ledger is None else ledger.frames_per_s,
        file=str(armed.file),
        nodes=at.nodes,
    )


def check_graph(data: str | dict[str, Any], camera: Camera | OwnSources | None, rate: float = 100.0) -> dict[str, Any]:
    """Check a graph that is being written, for a window: what is wrong and where, or what would run along its edges.

    Args:
        data: YAML or JSON text, or plain data.
        camera: whose frames would go through it; None: nodes are checked, shapes only where they are known without.
        rate: frames/s.

    Returns:
        `valid`; `error`, the text; `location` in plain data, such as ["nodes", 3, "kind"]; `edges`, each with `from`,
        `to`, `shape`, `dtype`, `rows_per_s`, `bytes_per_s`, empty where shapes are not known.
    """
    from mamba.data_worker.edge_flows import list_edge_flows, list_streams
    from mamba.data_worker.graph import locate_problem

    edges: list[dict[str, Any]] = []

    def check(graph: Graph) -> None:
        streams = list_streams(graph)
        if streams and not isinstance(camera, Camera):
            return
        frames = dict.fromkeys(streams, camera.describe_frames()) if isinstance(camera, Camera) else {}
        for each in list_edge_flows(graph, frames, rate):
            row = {"from": each.edge.origin, "to": each.edge.to, "shape": list(each.flow.shape)}
            rates = {"rows_per_s": each.rows_per_s, "bytes_per_s": each.bytes_per_s}
            edges.append({**row, "dtype": each.flow.dtype, **rates})

    error, location = locate_problem(data, check)
    return {"valid": not error, "error": error, "location": list(location), "edges": edges}
