"""Graphs that need no camera of ours: a DECTRIS detector, a fly controller, a file, another graph sends the frames."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mamba.devices.graphs import BeamlineGraph, describe_armed
from mamba.errors import BadValue, DataError

if TYPE_CHECKING:
    from mamba.data_worker.control import Armed, Ledger
    from mamba.data_worker.status_table import GraphStatus
    from mamba.devices.camera import Camera

_STOP_S = 60.0


class GraphAlone(BeamlineGraph):
    """A graph at the prompt that runs without a camera: its sources go and get the frames. Made by `graph`.

    `G.start(frames=1000, file="/data/eiger_001.h5")`, then start the detector its own way; `G.wait(60)`.
    """

    _armed: Armed | None = None
    _arms = 0

    def use(self, camera: Camera, **partners: Camera) -> BeamlineGraph:
        """Refused: no node of it takes a camera's frames.

        Raises:
            BadValue: always.
        """
        raise BadValue(
            f"graph {self.graph.name}: it takes no camera's frames",
            seen="no node of kind 'stream'",
            remedy="G.start(frames=…, file=…) runs it without one",
        )

    def arm(
        self, frames: int, *, exposure_s: float | None = None, period_s: float = 0.0, file: Path | str = ""
    ) -> BeamlineGraph:
        """Have the sources connect and wait for `frames` frames; a file of a graph is read again.

        Args:
            frames: how many are expected; where the detector says a number, that counts.
            exposure_s: not taken: the detector is set its own way.
            period_s: not taken either.
            file: the raw file; must not exist.

        Raises:
            BadValue: no file is named, or an exposure is.
            DataError: it runs already, or a node cannot.
        """
        from mamba.data_worker.control import arm
        from mamba.data_worker.graph import load_graph

        if not file or exposure_s is not None or period_s or frames < 0:
            raise BadValue(
                f"graph {self.graph.name}: cannot be armed so",
                seen=f"frames={frames}, file={str(file)!r}, exposure_s={exposure_s}, period_s={period_s:g}",
                remedy="G.start(frames=1000, file='/data/name.h5'); exposure and period are set at the detector",
            )
        if self._armed is not None and not self._armed.done:
            raise DataError(f"graph {self.graph.name}: it is running", remedy="wait for it, or stop it: G.stop()")
        if self.file is not None:
            self.graph = load_graph(self.file)
        self._arms += 1
        path = Path(file).expanduser().absolute()
        self._armed = arm(self.graph, arm_id=self._arms, frames=frames, file=path)
        return self

    def start(
        self,
        frames: int | None = None,
        *,
        exposure_s: float | None = None,
        period_s: float = 0.0,
        file: Path | str = "",
    ) -> BeamlineGraph:
        """Arm: from then on it takes what comes; returns when every node is ready. Start the detector after that.

        Raises:
            DataError: nothing is armed and no `frames` are given; else as `arm`.
        """
        if frames is not None:
            return self.arm(frames, exposure_s=exposure_s, period_s=period_s, file=file)
        if self._armed is None or self._armed.done:
            raise DataError(f"graph {self.graph.name}: is not armed", remedy="G.start(frames=…, file=…)")
        return self

    def wait(self, timeout_s: float) -> Ledger:
        """Wait until what runs, or ran last, is complete; its account.

        Raises:
            DataError: none was begun, or it is not done in time and goes on; else why it failed.
        """
        if self._armed is None:
            raise DataError(f"graph {self.graph.name}: has taken nothing", remedy="G.start(frames=…, file=…)")
        return self._armed.wait(timeout_s)

    def stop(self) -> Ledger | None:
        """End it cleanly: what has come is written; its account, None when nothing ran.

        Raises:
            DataError: it failed before, or does not end.
        """
        if self._armed is None or self._armed.done:
            return None
        return self._armed.abort("stopped")

    def status(self) -> GraphStatus:
        """What it is doing now, node by node."""
        from mamba.data_worker.status_table import GraphStatus

        place: dict[str, Any] = {"device": "", "source": str(self.file or ""), "error": ""}
        if self._armed is None:
            return GraphStatus(self.graph.name, **place, state="idle")
        return describe_armed(self._armed, place, failed=self._armed.failed)

    def __repr__(self) -> str:
        from mamba.data_worker.sketch import sketch

        source = f"; read from {self.file}" if self.file else ""
        return (
            f"{sketch(self.graph)}\n\nruns without a camera, {self.status().state}{source}\n"
            "G.status()  G.start(frames=…, file=…)  G.stop()  G.draw('g.png')"
        )
