"""Cameras: frames go from the detector server through a graph of the data worker to a file; bluesky sees counts.

*Arm*: one acquisition, numbered by the Tango camera. *Ledger*: what became of its frames, produced = written + missing.
A plan prepares (settings), kicks off (arms camera and graph, starts), completes (waits for the ledger) and collects
(the file, as stream documents). `read` gives the counts of the last ledger, for a stream of their own.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ophyd import Component, Kind

from mamba.devices.base import Documents, TangoDevice
from mamba.devices.camera_documents import describe_counts, find_next_file, name_frames, read_counts
from mamba.devices.camera_graph import BUSY_STATES, GraphUser
from mamba.devices.names import key_of
from mamba.devices.signal import TangoSignal
from mamba.devices.waiting import Status, run_for_status
from mamba.errors import BadValue, DeviceFault, DeviceTimeout, MambaError, StreamBroken

if TYPE_CHECKING:
    from mamba.data_worker.control import Armed, Ledger
    from mamba.data_worker.graph import Graph

log = logging.getLogger(__name__)

_LOOK_S = 0.5
_QUIET_S = 30.0
"""A running camera that produces and writes nothing for this long (beyond its exposure) is stuck."""


@dataclass(frozen=True)
class FrameSettings:
    """What `Camera.prepare` takes: how many frames, each exposed `exposure_s`, one every `period_s` (0: fastest).

    None leaves the exposure as it is.
    """

    frames: int
    exposure_s: float | None = None
    period_s: float = 0.0


class Camera(GraphUser, TangoDevice):
    """An area detector: `D.camera`.

    Args:
        tango: Tango device name.
        name: expression.
        graph: file of the graph that the frames go through; `use_graph` gives it another.
        directory: folder of the raw files.
        call_timeout_s: longest time of one call; arming a camera may take a while.

    Attributes:
        armed: the last graph that was armed for it, whether it still runs or not; None before the first.
        failure: why the last acquisition failed; "" when it did not.
    """

    frames = Component(TangoSignal, "FramesRequested", kind=Kind.config)
    exposure_s = Component(TangoSignal, "ExposureTime", kind=Kind.config)
    period_s = Component(TangoSignal, "AcquisitionPeriod", kind=Kind.config)
    overflow_policy = Component(TangoSignal, "OverflowPolicy", kind=Kind.config)
    transport = Component(TangoSignal, "Transport", kind=Kind.config)
    width = Component(TangoSignal, "Width", kind=Kind.config)
    height = Component(TangoSignal, "Height", kind=Kind.config)
    frame_rate = Component(TangoSignal, "FrameRate", kind=Kind.omitted)

    def __init__(
        self,
        tango: str,
        *,
        name: str,
        graph: Path | str,
        directory: Path | str,
        call_timeout_s: float = 10.0,
        **kwargs: Any,
    ) -> None:
        self.graph: Path | Graph = Path(graph)
        self.directory = Path(directory)
        self.ledger: Ledger | None = None
        self.metadata: dict[str, Any] = {}
        self.key = key_of(name)
        self.armed: Armed | None = None
        self.failure = ""
        self._armed: Armed | None = None
        self._waits = False
        self._lent: list[GraphUser] = []
        self._asked = 0
        self._stopped = False
        self._cancelled = False
        self._collected = False
        self._lock = threading.Lock()
        super().__init__(tango, name=name, call_timeout_s=call_timeout_s, **kwargs)

    # --- one acquisition ---

    def stage(self) -> list[Any]:
        """End what a former run may have left armed."""
        self._cancelled = True
        self._abort("left over by a former run")
        if self.state in BUSY_STATES:
            self.link.call("Abort")
        self.ledger, self._collected = None, False
        return [self]

    def unstage(self) -> list[Any]:
        """Give the graph's resources back; an acquisition that still runs, or is being armed, is aborted."""
        self._cancelled = True
        self._abort("the run ended before the acquisition")
        return [self]

    def prepare(self, value: FrameSettings | Mapping[str, Any]) -> Status:
        """Write the settings; the status ends when the camera has taken them.

        Raises:
            BadValue: no positive number of frames.
            LimitExceeded, DeviceFault, DeviceTimeout, DeviceUnreachable: through the status.
        """
        settings = value if isinstance(value, FrameSettings) else FrameSettings(**value)
        if isinstance(settings.frames, bool) or int(settings.frames) != settings.frames or settings.frames < 1:
            raise BadValue(f"{self.name}: cannot take {settings.frames!r} frames", remedy="ask for one frame or more")
        return run_for_status(Status(self), lambda: self._prepare(settings), name=self.name)

    @property
    def is_armed(self) -> bool:
        """Camera and graph wait for their start."""
        return self._waits and self._armed is not None

    def arm(self) -> Status:
        """Arm the camera, then the graph; the status ends when both wait for `kickoff`.

        Raises (through the status): as `kickoff`.
        """
        self._cancelled = False
        return run_for_status(Status(self), self._arm, name=self.name)

    def kickoff(self) -> Status:
        """Arm the camera, then the graph, unless they are, then start; the status ends when the camera runs.

        Raises (through the status):
            DeviceFault, DeviceTimeout, DeviceUnreachable: the camera did not.
            DataError: the graph did not; the camera is disarmed.
        """
        self._cancelled = False
        return run_for_status(Status(self), self._kick_off, name=self.name)

    def complete(self) -> Status:
        """The status ends when the ledger is complete: every frame asked for is written, or known to be missing.

        Raises (through the status):
            StreamBroken: the camera ended early, or the ledger does not add up to what was asked.
            DataError, DeviceFault, DeviceTimeout: graph or camera failed; both are at rest afterwards.
        """
        status = Status(self)
        return run_for_status(status, lambda: self._complete(status), name=self.name)

    def trigger(self) -> Status:
        """Take `frames` frames: kickoff and complete in one, for plans that count; the event names the file.

        Raises (through the status): as `kickoff` and `complete`.
        """
        status = Status(self)
        self._cancelled = False

        def take() -> None:
            self._kick_off()
            self._complete(status)
            self._collected = True  # an event of a counting plan holds one row; the frames are named by their file

        return run_for_status(status, take, name=self.name)

    def stop(self, *, success: bool = False) -> None:
        """End the acquisition: cleanly, with the frames so far, when `success`; else abort camera and graph."""
        if success and self._armed is not None:
            self._stopped = True
            for each in (self, *self._lent):
                each.link.call("Stop")
        else:
            self._cancelled = True
            self._abort("stopped")

    # --- documents ---

    def read(self) -> Documents:
        """Counts of the last ledger: frames produced, written, missing, and the file; zeros before the first.

        In a plan, collect first: bluesky asks for the file whenever it reads.
        """
        return read_counts(self.ledger, self.key)

    def describe(self) -> Documents:
        """Data keys of the counts."""
        return describe_counts(self.name, self.key)

    @property
    def hints(self) -> dict[str, list[str]]:
        """The number of frames written."""
        return {"fields": [f"{self.key}_frames_written"]}

    def describe_collect(self) -> Documents:
        """The stream's one key: the frames, shape (1, height, width) per index."""
        height, width, dtype = self._read_form()
        return {
            self.key: {
                "source": self.link.source("DataEndpoint"),
                "dtype": "array",
                "dtype_numpy": np.dtype(dtype).str,
                "shape": [1, height, width],
                "external": "STREAM:",
                "units": "counts",
            }
        }

    def get_index(self) -> int:
        """Frames that are safely in the file."""
        if self.ledger is not None:
            return int(self.ledger.written)
        return 0 if self._armed is None else int(self._armed.progress().written)

    def collect_asset_docs(self, index: int | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
        """The file and the rows of it that are written, once, when the ledger is complete."""
        ledger = self.ledger
        if ledger is None or self._collected:
            return
        self._collected = True
        yield from name_frames(ledger, self.key, rows=ledger.written if index is None else min(index, ledger.written))

    # --- inside ---

    def _prepare(self, settings: FrameSettings) -> None:
        if settings.exposure_s is not None:
            self.exposure_s.put(settings.exposure_s)
        self.period_s.put(settings.period_s)
        self.frames.put(int(settings.frames))

    def _kick_off(self) -> None:
        if not self.is_armed:
            self._arm()
        with self._lock, self._disarming():
            self._waits = False
            if self._cancelled:
                raise DeviceFault(f"{self.name}: not started", seen="it was stopped while it was being armed")
            for each in (*self._lent, self):
                each.link.call("Start")

    @contextmanager
    def _disarming(self) -> Iterator[None]:
        """Bring camera and graph to rest when what is inside fails."""
        try:
            yield
        except BaseException as error:
            if self._armed is None:
                self._abort_camera()
            self._abort("the camera did not start")
            self.failure = str(error)
            raise

    def _arm(self) -> None:
        from mamba.data_worker.control import arm

        graph = self.load_graph()
        with self._lock:
            self._abort("armed anew")
            self.ledger, self._collected, self._stopped = None, False, False
            self.armed, self.failure = None, ""
            self._asked = int(self.frames.get())
            self.link.call("Arm")
            with self._disarming():
                others = {}
                for node, partner in self.partners.items():
                    others[node] = partner.lend_frames(self._asked)
                    self._lent.append(partner)
                offer = self.link.read("DataEndpoint", "DataFormat", "ArmId")
                self._armed = self.armed = arm(
                    graph,
                    endpoint=str(offer["DataEndpoint"].value),
                    data_format=str(offer["DataFormat"].value),
                    arm_id=int(offer["ArmId"].value),
                    frames=self._asked,
                    file=find_next_file(self.directory, self.name.rpartition(".")[2]),
                    device=self.name,
                    metadata=dict(self.metadata),
                    end_detector=self._abort_camera,
                    others=others,
                )
                self._waits = True

    def _complete(self, status: Status) -> None:
        armed = self._armed
        if armed is None:
            raise DeviceFault(f"{self.name}: nothing to complete", remedy="kick it off first")
        try:
            self._follow(armed, status)
            ledger = armed.wait(_QUIET_S)
        except MambaError as error:
            self.failure = str(error)
            self._end(armed, error.what)
            raise
        self._armed, self.ledger = None, ledger
        for each in (self, *self._lent):
            each.await_rest()
        self._lent.clear()
        armed.close()
        self._check(ledger)

    def _follow(self, armed: Armed, status: Status) -> None:
        """Report progress until the camera has sent its last frame; raise when nothing moves any more."""
        quiet_s = _QUIET_S + 2 * float(self.exposure_s.get()) + 2 * float(self.period_s.get())
        wake = threading.Event()
        ignore = self.link.listen("State", lambda _: wake.set())
        try:
            self._follow_woken(armed, status, quiet_s, wake)
        finally:
            ignore()

    def _follow_woken(self, armed: Armed, status: Status, quiet_s: float, wake: threading.Event) -> None:
        began = moved = time.monotonic()
        before = (-1, -1, -1)
        while True:
            wake.clear()
            camera = self.link.read("State", "FramesProduced", "FramesSent")
            progress = armed.progress()
            state, now = str(camera["State"].value), time.monotonic()
            status.report(
                name=self.name, current=progress.written, initial=0, target=self._asked, unit="frames", precision=0,
                fraction=1.0 - progress.written / self._asked, time_elapsed=now - began, time_remaining=None,
            )  # fmt: skip
            self._refuse_fault(state, f"take {self._asked} frames")
            if state not in BUSY_STATES or armed.done:
                return
            seen = (int(camera["FramesProduced"].value), int(camera["FramesSent"].value), int(progress.written))
            if seen != before:
                before, moved = seen, now
            elif now - moved > quiet_s:
                raise DeviceTimeout(
                    f"{self.name}: no frame for {quiet_s:.0f} s",
                    seen=f"{seen[0]} of {self._asked} produced, {seen[2]} written, state {state}",
                    remedy="look at the camera's trigger and at the graph's nodes",
                )
            wake.wait(_LOOK_S)

    def _check(self, ledger: Ledger) -> None:
        missing = sum(gap.last - gap.first + 1 for gap in ledger.missing)
        if ledger.produced != ledger.written + missing:
            raise StreamBroken(
                f"{self.name}: the ledger does not add up",
                seen=f"produced {ledger.produced}, written {ledger.written}, missing {missing}",
                remedy="report this: frames were lost without a trace",
            )
        if ledger.produced != self._asked and not self._stopped:
            raise StreamBroken(
                f"{self.name}: ended early",
                seen=f"{ledger.produced} of {self._asked} frames: {self.link.status_text()}",
                remedy="what was written is in the file; look at the camera, then acquire again",
            )

    def _abort(self, reason: str) -> None:
        if self._armed is not None:
            self._end(self._armed, reason)

    def _end(self, armed: Armed, reason: str) -> None:
        """End camera and graph; the ledger is kept, so that a run that failed still says what became of its frames."""
        produced = self._abort_camera()
        self._armed = None
        if not armed.done:
            try:
                armed.abort(reason, produced=produced)
            except MambaError as error:
                log.warning("%s: ending the graph: %s", self.name, error.what)
        armed.close()
        self.ledger = armed.ledger

    def _abort_camera(self) -> int | None:
        """Bring the camera to rest; returns how many frames it had produced, None when it cannot be asked.

        That it cannot be reached must not hide why it was aborted, so it is only logged.
        """
        # only those that were armed for it: a partner that was busy goes on with what it does
        while self._lent:
            self._lent.pop().abort_frames()
        try:
            self.link.call("Abort")
            return int(self.link.read("FramesProduced")["FramesProduced"].value)
        except MambaError as error:
            log.warning("%s: abort: %s", self.name, error.what)
            return None
