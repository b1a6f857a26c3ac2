"""Kills the actors of a graph that runs, and checks that its file and its account say the same afterwards."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from typing import Any

import h5py
import hdf5plugin  # noqa: F401  # reads packed frames
import numpy as np

from mamba.data_worker import control
from mamba.data_worker.control import Armed
from mamba.data_worker.graph import Graph, parse_graph
from mamba.data_worker.ledger import Ledger, RangeSet
from tests.data_worker.conftest import REGIONS
from tests.support.frame_feeder import make_frame

SHAPE = (64, 96)
GROUPS = ("intake", "work", "file")


def make_three_actors(**file: Any) -> Graph:
    """A source, processors with edges of messages, of rings and inside their actor, and a writer (`file`: how)."""
    edges = ("camera file", "camera sums", "sums file", "camera twice", "twice once", "camera once", "once file")
    return parse_graph(
        {
            "name": "killed",
            "nodes": [
                {"name": "camera", "kind": "stream", "group": "intake"},
                {"name": "sums", "kind": "region_sums", "group": "work", "parameters": {"regions": REGIONS}},
                {"name": "twice", "kind": "test_doubled", "group": "work"},
                {"name": "once", "kind": "test_difference", "group": "work"},
                {"name": "file", "kind": "hdf5", "group": "file", "parameters": {"spare_mib": 1, **file}},
            ],
            "edges": [dict(zip(("from", "to"), edge.split(), strict=True)) for edge in edges],
        }
    )


def wait_for(condition: Callable[[], Any], what: str, timeout_s: float = 40.0) -> Any:
    """Wait until a condition holds, and return its value."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(0.002)  # between looks
    return value


class Killer:
    """Kills actors of one arm, and knows what had been acknowledged before."""

    def __init__(self, armed: Armed) -> None:
        self.armed, self.kills = armed, 0
        self.acknowledged = RangeSet()

    @property
    def notes(self) -> list[str]:
        """What the supervisor has noted."""
        return self.armed._supervisor._notes

    def kill(self, *groups: str) -> None:
        """SIGKILL at once, as soon as each has a process."""
        processes = control._runner._processes
        for group in groups:
            wait_for(lambda its=group: self.armed.done or its in processes, f"no process of {group}")
            for first, count in list(self.armed._supervisor._books.main.written):
                self.acknowledged.add(first, count)
            process = processes.get(group)
            if process is not None and process.is_running() and not self.armed.done:
                try:
                    os.kill(process.pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue  # it was gone in this moment
                self.kills += 1

    def await_written(self, frames: int) -> bool:
        """Wait until so many frames are safe; False: the arm was over before."""
        wait_for(lambda: self.armed.done or self.armed.progress().written >= frames, f"{self.armed.progress()}")
        return not self.armed.done

    def await_ended(self) -> None:
        """Wait until the source has told the end."""
        main = self.armed._supervisor._books.main
        wait_for(lambda: self.armed.done or main._declared is not None, "no end")

    def await_whole(self) -> None:
        """Wait until all actors live and have taken over."""
        wait_for(lambda: self.armed.done or not self.armed._supervisor._replacements.away, f"absent: {self.notes}")

    @property
    def recoveries_s(self) -> list[float]:
        """How long each replacement took, in seconds."""
        return [float(note.split()[-2]) for note in self.notes if "took over" in note]


def kill_at_random(killer: Killer, frames: int, rng: random.Random) -> None:
    """One to four deaths of one of five kinds, at moments of chance."""
    kind = rng.choice(["one", "two", "again", "other", "last"])
    group, other = rng.sample(GROUPS, 2)
    if kind == "last":
        killer.await_ended() if rng.random() < 0.7 else killer.await_written(frames - 60)
        time.sleep(rng.uniform(0, 0.1))  # the moment of chance
        if not killer.armed.done:
            killer.kill(*rng.sample(GROUPS, rng.choice([1, 1, 2])))
        return
    if not killer.await_written(rng.randrange(1, frames - 200)):
        return
    time.sleep(rng.uniform(0, 0.05))  # the moment of chance
    killer.kill(*([group, other] if kind == "two" else [group]))
    if kind in ("again", "other"):
        wait_for(lambda: killer.armed.done or group in killer.armed._supervisor._replacements, "death not noticed")
        time.sleep(rng.uniform(0, 1.5))  # somewhere in its replacement
        if not killer.armed.done:
            killer.kill(group if kind == "again" else other)


def check_exact(ledger: Ledger, *, frames: int, acknowledged: RangeSet) -> None:
    """All frames, each once, with all that was made of it; what had been acknowledged before is among them."""
    assert (ledger.produced, ledger.written, ledger.missing, ledger.duplicates) == (frames, frames, (), 0), ledger
    with h5py.File(ledger.files[0]) as file:
        data = file["entry/data"]
        numbers = data["frame_number"][:].tolist()
        assert sorted(numbers) == list(range(frames))
        assert {n for first, count in acknowledged for n in range(first, first + count)} <= set(numbers)
        stored, sums, once = data["frames"][:], data["sums"][:], data["once"][:]
        assert file["entry/mdw/written"][()] == frames
    for row, number in enumerate(numbers):
        frame = make_frame(number, SHAPE)
        np.testing.assert_array_equal(stored[row], frame)
        np.testing.assert_array_equal(once[row], frame)
        expected = [frame[r["y"] :, r["x"] :][: r["height"], : r["width"]].sum() for r in REGIONS]
        np.testing.assert_array_equal(sums[row], expected)
