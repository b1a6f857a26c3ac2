"""The last that was heard of a detector's graph; no Tango, no sockets.

Heard are the notices `mdw/progress` (counts of the arm, and each node's numbers) and `mdw/done` (how it ended).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

_COUNTS = ("produced", "written", "frames")
_OF_NODES: dict[str, tuple[str, float]] = {
    "NodeNames": ("name", 1), "NodeStates": ("state", 1), "NodeRows": ("rows", 1), "NodeRates": ("rows_per_s", 1),
    "NodeThroughput": ("bytes_per_s", 1e6), "NodeQueues": ("queued", 1), "NodeCredits": ("credits", 1),
    "NodeDropped": ("dropped", 1), "NodeLag": ("lag_s", 1), "NodeCpu": ("cpu_percent", 1),
    "NodeMemory": ("memory_bytes", 1e6),
}  # fmt: skip
"""Attributes with one value for each node: its key in the notice, and what it is divided by."""


@dataclass
class GraphRecord:
    """One graph, as its notices tell; `detector` is whose notices count, "" whoever's came last.

    Attributes:
        device: the detector they are about; "" before the first.
        arm: number of the acquisition.
        running: it has not ended.
        error: why it failed; "" when it did not.
        counts: frames asked for, produced and written, by name.
        missing: frames known to be lost.
        frames_per_s: arriving; of an arm that has ended, its mean.
        nodes: as in `mdw/progress`, in the graph's order.
    """

    detector: str = ""
    device: str = ""
    arm: int = 0
    running: bool = False
    error: str = ""
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_COUNTS, 0))
    missing: int = 0
    frames_per_s: float = 0.0
    nodes: list[dict[str, Any]] = field(default_factory=list)

    def take(self, notice: dict[str, Any]) -> bool:
        """Take a notice in; False when it is about something else."""
        if notice["typ"] not in ("mdw/progress", "mdw/done") or (self.detector and notice["device"] != self.detector):
            return False
        if (notice["device"], notice["arm"]) != (self.device, self.arm):
            self.counts, self.missing, self.nodes = dict.fromkeys(_COUNTS, 0), 0, []
        self.device, self.arm = str(notice["device"]), int(notice["arm"])
        self.running, self.error = notice["typ"] == "mdw/progress", str(notice.get("error", ""))
        self.counts |= {name: int(notice[name]) for name in _COUNTS if name in notice}
        self.frames_per_s = float(notice.get("frames_per_s", 0.0))
        missing = notice.get("missing", self.missing)
        if isinstance(missing, list):  # `mdw/done` names the ranges
            missing = sum(gap["last"] - gap["first"] + 1 for gap in missing)
        self.missing = int(missing)
        if self.running:
            self.nodes = list(notice.get("nodes", ()))
        return True

    def read(self, name: str) -> Any:
        """The value of a Tango attribute: a number or text of the arm, or one for each node, in the graph's order."""
        if name in _OF_NODES:
            key, scale = _OF_NODES[name]
            return [node[key] if scale == 1 else node[key] / scale for node in self.nodes]
        values = {"Detector": self.device, "Arm": self.arm, "FrameRate": self.frames_per_s}
        return {**values, "FramesMissing": self.missing, **self._count()}[name]

    def _count(self) -> dict[str, int]:
        names = {"FramesRequested": "frames", "FramesProduced": "produced", "FramesWritten": "written"}
        return {name: self.counts[key] for name, key in names.items()}

    def describe(self) -> str:
        """In one line."""
        if not self.device:
            return "no acquisition was heard of since this server started"
        state = "runs" if self.running else f"failed: {self.error}" if self.error else "has ended"
        counts = f"{self.counts['produced']} of {self.counts['frames']} frames came, {self.counts['written']} written"
        return f"{self.device}, arm {self.arm}: {state}; {counts}, {self.missing} missing"
