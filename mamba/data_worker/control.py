"""The data worker as the console sees it: arm a graph, watch it, wait for its ledger, abort it.

::

    graph = load_graph(Path("regions.yaml"))
    armed = arm(graph, endpoint=…, data_format=…, arm_id=3, frames=2000, file=Path("camera_00003.h5"))
    …  # start the camera
    ledger = armed.wait(timeout_s=60)

Ray starts with the first `arm` and ends with `shutdown_ray`.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from mamba.config import read_environment
from mamba.data_worker.carriers import UNIX
from mamba.data_worker.changes import plan_change
from mamba.data_worker.console_link import ConsoleReceiver
from mamba.data_worker.crew import Crew, await_replacers
from mamba.data_worker.feedback import Feedbacks
from mamba.data_worker.graph import Graph, load_graph
from mamba.data_worker.kinds import find_kind
from mamba.data_worker.ledger import Account, DatasetInfo, Ledger, MissingRange
from mamba.data_worker.meters import Progress
from mamba.data_worker.nodes import Job
from mamba.data_worker.planning import Detector, plan_arm
from mamba.data_worker.previews import Previews, publish_document
from mamba.data_worker.runner import Runner
from mamba.data_worker.sinks.feedback import FeedbackSink
from mamba.data_worker.sources.stream import StreamSource
from mamba.data_worker.supervisor import Actions, Supervisor
from mamba.errors import DataError, GraphInvalid, MambaError, NodeFailed
from mamba.orphans import ARM_PREFIX, OwnedFolder
from mamba.wire.notices import publish

__all__ = [
    "Armed",
    "DatasetInfo",
    "Detector",
    "Ledger",
    "MissingRange",
    "Progress",
    "arm",
    "feedback",
    "load_graph",
    "previews",
    "shutdown_ray",
]

_READY_S = 20.0
_ABORT_S = 40.0
_ATTACH_S = 10.0

feedback = Feedbacks()
"""What `feedback` nodes say, by the node's name, whatever graph is armed."""
previews = Previews()
"""The newest pictures of `preview` nodes."""

_runner = Runner()
_busy = threading.Lock()


class Armed:
    """A graph that runs, or ran; made by `arm`."""

    def __init__(
        self,
        graph: Graph,
        job: Job,
        detectors: dict[str, Detector],
        end_detector: Callable[[], int | None],
        places: dict[str, str],
    ) -> None:
        self._changing = threading.Lock()
        self._detectors, self._generation = detectors, 0
        self._owned = _make_folder()
        self._folder = self._owned.path
        takers = {**feedback.takers(), **previews.takers(), "document": publish_document}
        self._console = ConsoleReceiver(self._folder, takers)
        self._console.start()
        self.graph, self.job = graph, replace(job, console=self._console.endpoint)
        try:
            plan = plan_arm(graph, self.job, detectors, self._folder, places=places)
        except MambaError:
            self._remove_folder()
            raise
        self._crew = Crew(_runner, plan)
        actions = Actions(
            find_held=self._find_held,
            recover=self._recover,
            join=self._join,
            end_detector=end_detector,
            replace=self._crew.replace,
            kill=_runner.kill,
            lives=_runner.lives,
            is_stopped=_runner.is_stopped,
            on_progress=self._publish,
            on_end=self._free_actors,
        )
        self._supervisor = Supervisor(plan, actions)

    def start(self) -> None:
        """Prepare and start all nodes; returns when every edge stands.

        Raises:
            MambaError: what a node could not do; nothing is left of the arm.
        """
        try:
            self._crew.prepare()
        except MambaError:
            self.withdraw()
            raise
        self._supervisor.start()
        try:
            self._crew.start()
        except NodeFailed:
            self._supervisor.abort("not started")
            self._supervisor.done.wait(_ABORT_S)
            raise
        if not self._supervisor.ready.wait(_READY_S):
            self._supervisor.abort("not ready in time")
        if self._supervisor.done.wait(0) or not self._supervisor.ready.is_set():
            self._supervisor.done.wait(_ABORT_S)
            raise self._supervisor.failure or NodeFailed(f"graph {self.graph.name}: not ready within {_READY_S:g} s")

    def withdraw(self) -> None:
        """Leave nothing of an arm that never began."""
        self._supervisor.withdraw()
        self._remove_folder()

    @property
    def groups(self) -> set[str]:
        """The groups that need an actor."""
        return set(self._crew.plan.orders)

    @property
    def done(self) -> bool:
        """It has ended, with or without failure, and its ledger is settled."""
        return self._supervisor.done.is_set()

    @property
    def failed(self) -> bool:
        """It ended with a failure, which `wait` raises."""
        return self.done and self._supervisor.failure is not None

    @property
    def ledger(self) -> Ledger | None:
        """The account, once settled; also there after a failure."""
        return self._supervisor.ledger

    @property
    def file(self) -> Path:
        """The raw file: of the first sink that keeps, where its template of a path puts it."""
        return self._crew.plan.files[self._crew.plan.sinks[0]]

    def progress(self) -> Progress:
        """Where it stands; costs nothing."""
        return self._supervisor.progress

    def wait(self, timeout_s: float | None = None) -> Ledger:
        """Wait until the stream has ended and everything is in the file, None: however long that takes.

        Raises:
            NodeFailed: a node raised or died; `ledger` has the account all the same.
            DiskFull: no room; likewise.
            StreamBroken: the detector's stream ended early; likewise.
            DataError: not done within `timeout_s`; it goes on.
        """
        if not self._supervisor.done.wait(timeout_s):
            at = self.progress()
            raise DataError(
                f"graph {self.graph.name}: not done within {timeout_s} s",
                seen=f"{at.written} of {at.frames} frames written, {at.frames_per_s:.0f} frames/s",
                remedy="wait longer, or abort it",
            )
        return self._result()

    def _result(self) -> Ledger:
        if self._supervisor.failure is not None:
            raise self._supervisor.failure
        assert self._supervisor.ledger is not None
        return self._supervisor.ledger

    def abort(self, reason: str, *, produced: int | None = None) -> Ledger:
        """End it now; what was acknowledged stays, and what is on its way is written.

        Args:
            reason: goes into file and ledger.
            produced: how many frames the detector says it had produced; without it, what was seen.

        Raises:
            MambaError: it failed before, or could not be ended.
        """
        self._supervisor.abort(reason, produced)
        if not self._supervisor.done.wait(_ABORT_S):
            raise NodeFailed(f"graph {self.graph.name}: cannot be aborted", remedy="shutdown_ray() ends its actors")
        return self._result()

    def change(self, graph: Graph) -> None:
        """Go on with another graph: branches on which no file depends may come, go, or get other parameters.

        Raises:
            GraphInvalid: it touches what a file depends on, or an actor that has to stay; nothing has changed.
            DataError: the arm is over.
            MambaError: a new node cannot be made ready; likewise.
        """
        with self._changing:
            self._generation += 1
            change = plan_change(self._crew.plan, graph, self._detectors, self._folder, generation=self._generation)
            groups = sorted({change.plan.groups[node] for node in change.added})
            self._crew.enlist(change.plan, groups)
            gone = {self._crew.plan.groups[node] for node in change.removed}
            self._supervisor.retire(change)
            self._crew.plan = change.plan
            self.graph = graph
            self._supervisor.adopt(change)
            for edges in change.attach.values():
                _await_socket(edges)
            self._crew.begin(groups)
            self._crew.dismiss(gone)

    def close(self) -> None:
        """End it if it still runs; idempotent, raises nothing that `wait` or `abort` would tell."""
        if not self.done:
            self._supervisor.abort("closed")
            self._supervisor.done.wait(_ABORT_S)
        self._supervisor.join(_ABORT_S)

    def _find_held(self, file: Path) -> list[tuple[int, int]]:
        # imported here: a console that never sees a writer die needs no HDF5 for it
        from mamba.data_worker.sinks.recovery import find_held

        return find_held(file)

    def _recover(self, file: Path, account: Account) -> dict[str, DatasetInfo]:
        # imported here, as above
        from mamba.data_worker.sinks.hdf5 import recover

        return recover(file, account)

    def _join(self, file: Path, parts: list[Path], account: Account) -> dict[str, DatasetInfo]:
        # imported here, as above
        from mamba.data_worker.sinks.joined import join_files

        return join_files(file, parts, account)

    def _publish(self, progress: Progress) -> None:
        fields = asdict(progress)
        del fields["state"]
        publish("mdw/progress", device=self.job.device, arm=self.job.arm, **fields)

    def _publish_done(self) -> None:
        ledger, failure = self._supervisor.ledger, self._supervisor.failure
        account: dict[str, Any] = {}
        if ledger is not None:
            account = {
                "produced": ledger.produced,
                "written": ledger.written,
                "missing": [gap._asdict() for gap in ledger.missing],
                "frames_per_s": ledger.frames_per_s,
                "seconds": ledger.seconds,
                "files": [str(file) for file in ledger.files],
                "reason": ledger.reason,
                "notes": list(ledger.notes),
            }
        error = f"{failure.code}: {failure.what}" if failure else ""
        publish("mdw/done", device=self.job.device, arm=self.job.arm, error=error, **account)

    def _free_actors(self, dead: set[str]) -> None:
        self._crew.free(dead)
        self._remove_folder()
        self._publish_done()

    def _remove_folder(self) -> None:
        self._console.close()
        for spec in self.graph.nodes:
            if issubclass(find_kind(spec.kind), FeedbackSink):
                feedback[spec.name].end()
        self._owned.remove()


def arm(
    graph: Graph,
    *,
    arm_id: int,
    frames: int,
    file: Path,
    endpoint: str = "",
    data_format: str = "",
    device: str = "",
    metadata: dict[str, Any] | None = None,
    end_detector: Callable[[], int | None] = lambda: None,
    others: dict[str, Detector] | None = None,
    places: dict[str, str] | None = None,
) -> Armed:
    """Make a graph ready for a detector that is armed; returns when every node is.

    Args:
        graph: what to run.
        arm_id: the camera's `ArmId`.
        frames: how many frames were asked for.
        file: the raw file; must not exist.
        endpoint: the camera's `DataEndpoint`; without, the graph's sources are all of other kinds than `stream`.
        data_format: the camera's `DataFormat`.
        device: name of the camera, for notices and the file.
        metadata: JSON-able facts about the run, kept in the file.
        end_detector: called from another thread when the graph failed: ends the detector and returns how many frames it
            had produced, so that the ledger names those that no node ever saw; None where it cannot be asked.
        others: further detectors, by the name of the stream source that takes them; `endpoint` is the first's.
        places: by group, the id of the Ray node that its actor has to run on; all of them on this host. Edges between
            two of them go over TCP on loopback.

    Raises:
        GraphInvalid: the graph does not fit what the camera sends.
        StreamBroken: the camera's stream is not there.
        DataError: the file cannot be made, or Ray does not start.
        NodeFailed: a node does not come up.
    """
    job = Job(arm_id, frames, file.absolute(), device, graph.dump_yaml(), metadata or {})
    detectors = dict(others or {})
    if endpoint:
        detectors[_find_stream(graph)] = Detector(endpoint, data_format)
    armed = Armed(graph, job, detectors, end_detector, places or {})
    with _busy:
        await_replacers()  # of the arm before
        try:
            _runner.start_groups(sorted(armed.groups), places)
        except MambaError:
            armed.withdraw()
            raise
        armed.start()
    return armed


def _find_stream(graph: Graph) -> str:
    for spec in graph.nodes:
        if issubclass(find_kind(spec.kind), StreamSource):
            return spec.name
    raise GraphInvalid(
        f"graph {graph.name}: no node takes the detector's stream", remedy="have one node of kind 'stream'"
    )


def shutdown_ray() -> None:
    """End Ray if it was started; nothing of it stays. Called when the console ends."""
    with _busy:
        await_replacers()
        _runner.shutdown()


def _await_socket(edges: list[dict[str, Any]]) -> None:
    deadline = time.monotonic() + _ATTACH_S
    while not all(Path(edge["endpoint"].removeprefix(UNIX)).exists() for edge in edges):
        if time.monotonic() > deadline:
            names = ", ".join(f"{edge['origin']} → {edge['to']}" for edge in edges)
            raise NodeFailed(f"edge {names}: its origin does not offer it", seen=f"waited {_ATTACH_S:g} s")
        time.sleep(0.005)  # between looks at the file system


def _make_folder() -> OwnedFolder:
    base = read_environment().runtime_dir / "mdw"
    return OwnedFolder("m", base) if base.is_dir() else OwnedFolder(ARM_PREFIX, Path(tempfile.gettempdir()))
