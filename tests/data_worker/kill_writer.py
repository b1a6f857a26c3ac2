"""A raw file whose writer is killed again and again, and gone on with, until everything is in it.

The writer is a process of its own: it takes the items it is told to, tells after each flush how many it has taken and
what is safe, and may be told to die in the n-th write to the disk.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import tempfile
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import h5py
import hdf5plugin  # noqa: F401  # reads packed frames
import numpy as np

from mamba.data_worker.ledger import RangeSet
from mamba.data_worker.nodes import Axis, Flow, Item, Job
from mamba.data_worker.sinks import commits
from mamba.data_worker.sinks.hdf5 import Hdf5Parameters, Hdf5Sink
from mamba.data_worker.sinks.recovery import recover_file
from mamba.data_worker.sinks.verification import verify_file

BLOCK = 4
INPUTS = {
    "camera": Flow((8, 16), "uint16", BLOCK, units="counts"),
    "sums": Flow((2,), "uint64", BLOCK, columns=("number", "nine")),
    "spectrum": Flow((5,), "float32", BLOCK, axis=Axis("q", "1/nm", (1.0, 2.0, 3.0, 4.0, 5.0))),
    "mean": Flow((2, 2), "float32", 1, every=BLOCK),
}
Told = tuple[str, int]
"""An item: flow, number of its first row."""


def make_item(flow: str, first: int) -> Item:
    """The rows of a block; each is made of its number."""
    count = 1 if flow == "mean" else BLOCK
    numbers = np.arange(first, first + count)
    data = {
        "camera": lambda: (numbers[:, None, None] + np.arange(128).reshape(8, 16)).astype(np.uint16),
        "sums": lambda: np.stack([numbers, np.full(count, 9)], axis=1).astype(np.uint64),
        "spectrum": lambda: (numbers[:, None] + np.arange(5) / 8).astype(np.float32),
        "mean": lambda: np.full((count, 2, 2), first, np.float32),
    }[flow]()
    return Item(first, {flow: data})


def list_items(frames: int, rng: random.Random) -> list[Told]:
    """All items in an order in which rows come early and late."""
    blocks = range(0, frames, BLOCK)
    items: list[tuple[float, Told]] = [(block, ("camera", block)) for block in blocks]
    items += [(block + rng.uniform(-40, 40), (flow, block)) for flow in ("sums", "spectrum") for block in blocks]
    items += [(block + rng.uniform(0, 40), ("mean", block // BLOCK)) for block in blocks]
    return [item for _, item in sorted(items)]


def write(order: dict[str, Any], tell: TextIO) -> None:
    """The writer."""
    _die_in_write(order["die_at"])
    sink = Hdf5Sink("file", Hdf5Parameters.model_validate({"spare_mib": 1, **order["parameters"]}))
    sink.plan(INPUTS)
    sink.open(Job(1, 64, Path(order["file"]), resume=order["resume"]), INPUTS)
    if order["small_cache"]:
        _shrink_cache(sink._file.h5)
    print(json.dumps([0, sink.flush()]), file=tell, flush=True)
    for number, (flow, first) in enumerate(order["items"], 1):
        sink.process(make_item(flow, first))
        if number % order["flush_every"] == 0 or number == len(order["items"]):
            print(json.dumps([number, sink.flush()]), file=tell, flush=True)
    frames = order["frames"]
    sink.close({"produced": frames, "written": frames, "missing": [], "duplicates": 0, "reason": ""})
    print(json.dumps("closed"), file=tell, flush=True)


def _shrink_cache(file: h5py.File) -> None:
    """HDF5 has to write and read its bookkeeping between flushes, as in long files; too small for SWMR."""
    config = file.id.get_mdc_config()
    config.set_initial_size = True
    config.initial_size = config.min_size = config.max_size = 1024
    file.id.set_mdc_config(config)


def _fork_writer(order: dict[str, Any]) -> tuple[int, TextIO]:
    told, tell = os.pipe()
    child = os.fork()
    if child:
        os.close(tell)
        return child, os.fdopen(told)
    try:
        with os.fdopen(tell, "w") as stream:
            write(order, stream)
    except BaseException:  # noqa: BLE001  # a child of a test must not become a second test
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def _die_in_write(number: int) -> None:
    """Die in the middle of the n-th write that is ours, half of it done."""
    left, real = number, os.pwrite

    def pwrite(file: int, data: Any, at: int) -> int:
        nonlocal left
        left -= 1
        if left == 0:
            real(file, memoryview(data)[: len(data) // 2], at)
            os.kill(os.getpid(), signal.SIGKILL)
        return real(file, data, at)

    if number:
        commits.os.pwrite = pwrite  # type: ignore[attr-defined]


@dataclass
class KilledFile:
    """The file, what is still to be sent, and what was acknowledged."""

    path: Path
    frames: int
    rng: random.Random
    parameters: dict[str, Any] = field(default_factory=dict)
    small_cache: bool = False
    kills: int = 0
    begun: bool = False
    safe: RangeSet = field(default_factory=RangeSet)

    def __post_init__(self) -> None:
        self.items = list_items(self.frames, self.rng)

    def run(self, *, die_at: int = 0, kill_after_told: int = 0, kill_after_s: float = 0.0) -> bool:
        """One writer's life; returns whether it closed the file.

        Args:
            die_at: it dies in this write.
            kill_after_told: it is killed when it has told so often that something is safe,
            kill_after_s: and so long after that.
        """
        order = {
            "file": str(self.path), "resume": self.begun, "items": self.items, "frames": self.frames,
            "flush_every": self.rng.choice([1, 2, 5, 13]), "die_at": die_at, "parameters": self.parameters,
            "small_cache": self.small_cache,
        }  # fmt: skip
        self.begun = True
        child, told = _fork_writer(order)
        lines: list[Any] = []
        with told:
            for _ in range(kill_after_told):
                lines.append(told.readline())
            if kill_after_told:
                time.sleep(kill_after_s)  # the moment is the point
                os.kill(child, signal.SIGKILL)
            lines += list(told)
        lines = [json.loads(line) for line in lines if line.endswith("\n")]
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        closed = bool(lines) and lines[-1] == "closed"
        assert status in ((0,) if closed and not kill_after_told else (0, -signal.SIGKILL)), status
        self._take(lines[:-1] if closed else lines)
        self.kills += status != 0
        return closed

    def _take(self, lines: list[Any]) -> None:
        for _, ranges in lines:
            for first, count in ranges:
                self.safe.add(first, count)
        done = max((number for number, _ in lines), default=0)
        self.items = self.items[done:]

    def check_acknowledged(self) -> None:
        """Everything acknowledged is in the file, once, and as it was made; asked of a copy that is mended."""
        if not len(self.safe):
            return
        with tempfile.TemporaryDirectory(prefix="mb-mended-") as folder:
            for file in self.path.parent.iterdir():
                shutil.copy(file, folder)
            mended = Path(folder) / self.path.name
            recover_file(mended)
            assert not any(checked.bad for checked in verify_file(mended))
            with h5py.File(mended) as file:
                self._check_rows(file)

    def _check_rows(self, file: h5py.File) -> None:
        numbers = file["entry/data/frame_number"][:]
        assert len(set(numbers.tolist())) == len(numbers)
        acknowledged = {n for first, count in self.safe for n in range(first, first + count)}
        assert acknowledged <= set(numbers.tolist())
        frames = file["entry/data/frames"][:]
        np.testing.assert_array_equal(frames[:, 0, 0], numbers)
        np.testing.assert_array_equal(frames[:, 7, 15], numbers + 127)

    def check_complete(self) -> None:
        """Every row of every flow is there once."""
        assert list(self.safe) == [(0, self.frames)]
        everything = np.arange(self.frames)
        with h5py.File(self.path) as file:
            data = file["entry/data"]
            order = np.argsort(data["frame_number"][:])
            np.testing.assert_array_equal(data["frame_number"][:][order], everything)
            np.testing.assert_array_equal(data["frames"][:][order, 7, 15], everything + 127)
            np.testing.assert_array_equal(data["sums"][:][order, 0], everything)
            np.testing.assert_array_equal(data["spectrum"][:][order, 4], (everything + 0.5).astype(np.float32))
            every = file[f"entry/every_{BLOCK}"]
            np.testing.assert_array_equal(np.sort(every["frame_number"][:]), everything[::BLOCK])
            np.testing.assert_array_equal(every["mean"][:, 1, 1] * BLOCK, every["frame_number"][:])
        assert not list(self.path.parent.glob("*.journal*"))
