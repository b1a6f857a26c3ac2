"""Tango class `DataWorker`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from tango import DevState
from tango.server import attribute, device_property

from tango_servers.data_worker.listener import Listener
from tango_servers.data_worker.model import GraphRecord
from tango_servers.face import Face
from tango_servers.launch import find_runtime_directory

_MOST_NODES = 256


class _Shown(NamedTuple):
    """An attribute, as it is described to people."""

    name: str
    dtype: type
    label: str
    unit: str
    doc: str
    form: str = ""


_ARM = [
    _Shown("Detector", str, "Detector", "", "What the numbers are about, as in the console; empty before the first."),
    _Shown("Arm", int, "Arm", "", "Number of the acquisition, as the detector counts them."),
    _Shown("FramesRequested", int, "Frames requested", "frames", "Frames that were asked for."),
    _Shown("FramesProduced", int, "Frames produced", "frames", "Frames that are known to exist."),
    _Shown("FramesWritten", int, "Frames written", "frames", "Frames that are safe in the file."),
    _Shown("FramesMissing", int, "Frames missing", "frames", "Frames that are known to be lost."),
    _Shown(
        "FrameRate",
        float,
        "Frame rate",
        "Hz",
        "Frames that arrive, over the last second; at the end, the mean.",
        "%.1f",
    ),
]
_NODES = [
    _Shown("NodeNames", str, "Nodes", "", "Names of the nodes, in the order of the graph."),
    _Shown("NodeStates", str, "States", "", "Each node: opening, running, ended, failed or replaced."),
    _Shown("NodeRows", int, "Rows", "rows", "Each node: rows it has finished since the acquisition began."),
    _Shown("NodeRates", float, "Rates", "Hz", "Each node: rows it finishes, over the last second.", "%.1f"),
    _Shown(
        "NodeThroughput", float, "Throughput", "MB/s", "Each node: what it puts out; a sink: what it takes in.", "%.3f"
    ),
    _Shown("NodeQueues", int, "Queues", "blocks", "Each node: blocks that it took in and has not given back."),
    _Shown("NodeCredits", int, "Credits", "blocks", "Each node: blocks that may still come; a source: be sent."),
    _Shown("NodeDropped", int, "Dropped", "rows", "Each node: rows left out on the way to it, because it was behind."),
    _Shown("NodeLag", float, "Lag", "s", "Each node: time since the newest block it took in was made.", "%.3f"),
    _Shown("NodeCpu", float, "CPU", "%", "Each node: its actor, of one core, over the last second.", "%.0f"),
    _Shown("NodeMemory", float, "Memory", "MB", "Each node: resident memory of its actor, without the rings.", "%.0f"),
]


class DataWorker(Face):
    """What the graph of a detector does: counts of the acquisition, and for each node rate, queue, drops, CPU, memory.

    State is RUNNING during an acquisition, ON after it, ALARM when it failed, UNKNOWN while no session runs. Read only:
    graphs are armed and started in the console, or by 'mambactl mdw'. The attributes Node… are the columns of a table.
    """

    DEVICE_CLASS_DESCRIPTION = __doc__
    faults: ClassVar[tuple[str, ...]] = ()
    RuntimeDirectory = device_property(
        dtype=str, default_value="", doc="Runtime directory of the session; MAMBA_RUNTIME_DIR of this server if empty."
    )
    Watched = device_property(
        dtype=str, default_value="", doc="Detector to watch, as in the console (D.camera); whichever runs if empty."
    )
    _listener: Listener | None = None
    _complete = False  # the attributes are there, so that events may be pushed

    def init_device(self) -> None:
        """Read the properties and begin to listen."""
        super().init_device()
        self.record = GraphRecord(detector=self.Watched)
        folder = Path(self.RuntimeDirectory) if self.RuntimeDirectory else find_runtime_directory()
        if folder is None or not folder.is_absolute():
            seen = "no absolute path" if folder else "MAMBA_RUNTIME_DIR of this server is not set, either"
            self.fail(self.bad_property("RuntimeDirectory", self.RuntimeDirectory, seen))
            return
        self._listener = Listener(folder, self._take, self._show_session)
        self._show_now()
        self._listener.start()

    def initialize_dynamic_attributes(self) -> None:
        """One attribute for each line of the tables."""
        for shown in (*_ARM, *_NODES):
            dtype, size = ((shown.dtype,), {"max_dim_x": _MOST_NODES}) if shown in _NODES else (shown.dtype, {})
            look = {"format": shown.form} if shown.form else {}
            made = attribute(
                name=shown.name, dtype=dtype, fget=self.read_shown, label=shown.label, unit=shown.unit, doc=shown.doc,
                **size, **look,
            )  # fmt: skip
            self.add_attribute(made)
            self.announces(shown.name)
        self._complete = True

    def delete_device(self) -> None:
        """Listen no more."""
        if self._listener is not None:
            self._listener.close()
        super().delete_device()

    def read_shown(self, attr: Any) -> Any:
        """The value of any of them."""
        return self.record.read(attr.get_name())

    def _take(self, notice: dict[str, Any]) -> None:
        with self.deciding:
            if not self.record.take(notice):
                return
            self._show_now()
        if self._complete:
            for shown in (*_ARM, *_NODES):
                self.push_change_event(shown.name, self.record.read(shown.name))
        self.push_state()

    def _show_session(self) -> None:
        with self.deciding:
            self._show_now()
        self.push_state()

    def _show_now(self) -> None:
        if self._listener is None or not self._listener.connected:
            self.show(DevState.UNKNOWN, "no session runs; 'mambactl up' starts one")
            return
        record = self.record
        state = DevState.RUNNING if record.running else DevState.ALARM if record.error else DevState.ON
        self.show(state, record.describe())
