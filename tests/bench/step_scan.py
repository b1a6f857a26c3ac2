"""Time per point of a step scan on Tango, against stock libraries: soft ophyd signals, and ophyd-async's Tango backend.

A scan of 10 and one of 50 points; the slope between them is the time per point. The motor moves in no time, so that
this is overhead. Each side is a process of its own; all of them take turns, in another order each round. Ours is the
scan of a person: checked first, NeXus file, verdict, notices; `bare` is the same without these consumers.

Each figure compares like with like: as many signals by themselves (`step_scan_1`, `step_scan_10`), or one device of
ten (`step_scan_10_grouped`). `step_scan_vs_ophyd_async` is against a motor as ophyd-async's demo writes one;
`…_signal` against its bare signal, which is written and not waited for.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.bench import step_server
from tests.support.tango_facility import TangoFacility, running_facility

ROUNDS = 12
FEW, MANY = 10, 50
FIGURES = {
    "step_scan_1": ("mamba-signals 1", "soft-signals 1"),
    "step_scan_1_bare": ("mamba-bare 1", "soft-signals 1"),
    "step_scan_10": ("mamba-signals 10", "soft-signals 10"),
    "step_scan_10_grouped": ("mamba-grouped 10", "soft-grouped 10"),
    "step_scan_vs_ophyd_async": ("mamba-signals 1", "async-motor 1"),
    "step_scan_vs_ophyd_async_signal": ("mamba-signals 1", "async-bare 1"),
}
"""Figure → the side that is measured and the one it is measured against."""


def measure() -> list[dict[str, Any]]:
    """Entries for `results.json`, in ms per point."""
    names = list(dict.fromkeys(side for pair in FIGURES.values() for side in pair))
    slopes: dict[str, list[float]] = {name: [] for name in names}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mb-", dir="/tmp")))
        facility = stack.enter_context(running_facility(folder))
        facility.register(step_server.SERVER, {name: ("QuickMotor", {}) for name in step_server.NAMES})
        facility.start(step_server.SERVER, "tests.bench.step_server")
        sides = {name: stack.enter_context(run_side(name, facility)) for name in names}
        for side in sides.values():
            side.scan(FEW)  # connects, and imports what comes late
        for number in range(ROUNDS):
            for name in names[number % len(names) :] + names[: number % len(names)]:
                # whichever is first also writes what is written once a second
                order = (FEW, MANY) if number % 2 else (MANY, FEW)
                slopes[name].append(sides[name].time_point(order) * 1e3)
    return [make_entry(name, slopes[ours], slopes[reference]) for name, (ours, reference) in FIGURES.items()]


class Side:
    """A process that scans when told to."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self.process, self.log = process, log

    def scan(self, points: int) -> float:
        """Scan; returns the seconds it took."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{points}\n")
        self.process.stdin.flush()
        return float(self.wait_for("took").removeprefix("took"))

    def time_point(self, order: tuple[int, int]) -> float:
        """The slope between scans of as many points, in s."""
        took = {points: self.scan(points) for points in order}
        return (took[MANY] - took[FEW]) / (MANY - FEW)

    def wait_for(self, word: str) -> str:
        """Its next line that begins with `word`; libraries print what they like between."""
        assert self.process.stdout is not None
        while line := self.process.stdout.readline():
            if line.startswith(word):
                return line
        raise AssertionError(self.log.read_text(errors="replace"))


@contextmanager
def run_side(name: str, facility: TangoFacility) -> Iterator[Side]:
    """The process of one side, ended afterwards."""
    side, _, channels = name.partition(" ")
    folder = facility.folder / name.replace(" ", "-")
    folder.mkdir()
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.step_sides", side, channels, str(folder)],
            env={**os.environ, "TANGO_HOST": facility.host},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    with process:
        running = Side(process, folder / "log")
        try:
            running.wait_for("ready")
            yield running
        finally:
            process.kill()


def make_entry(name: str, ours: list[float], reference: list[float]) -> dict[str, Any]:
    """One entry: the medians of the rounds."""
    value, against = statistics.median(ours), statistics.median(reference)
    ratio = value / against
    return {"name": name, "value": value, "unit": "ms", "reference": against, "ratio": ratio, "samples": ours}
