"""A simulated fly controller: sends points in blocks, over the conversation of `mamba.data_worker.frame`.

`python -m tests.support.fly_controller --points 100000 --rate 100000` prints endpoint and token, waits for its reader,
sends, and says what it had to give up.
"""

from __future__ import annotations

import argparse
import json
import secrets
import time
from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mamba.data_worker.frame import Block, BlockType, DataFormat, End
from mamba.data_worker.link import LinkSender


def make_points(first: int, count: int, columns: int) -> NDArray[np.float64]:
    """Point n is n, n + 0.001, n + 0.002 …; shape (count, columns)."""
    return np.arange(first, first + count)[:, np.newaxis] + np.arange(columns) / 1000


class Controller:
    """Sends points of float64; a context manager."""

    def __init__(self, *, columns: int = 10, block_points: int = 2000, slots: int = 64, arm: int = 8) -> None:
        self.columns, self.arm, self.token = columns, arm, secrets.token_hex(8)
        form = DataFormat((columns,), "float64", "zmq", block_points, slots, token=self.token)
        self.link = LinkSender("tcp://127.0.0.1:*", form)
        self._free = deque(range(slots))
        self._memory: dict[int, NDArray[np.float64]] = {}
        self._block = 0

    @property
    def endpoint(self) -> str:
        return self.link.endpoint

    def await_reader(self, timeout_s: float = 120.0) -> None:
        """Until a reader is there and was answered, or has already left again."""
        deadline = time.monotonic() + timeout_s
        while not (self.link.connected or self.link.broken):
            self.link.collect(0.05)
            assert time.monotonic() < deadline, "nobody reads the points"

    def send(self, first: int, points: NDArray[np.float64], *, type_: BlockType = BlockType.POINTS) -> bool:
        """Send a block; False when no slot is free, and the points are given up."""
        self._free.extend(block.slot for block in self.link.collect(0.0))
        if not self._free:
            return False
        slot = self._free.popleft()
        self._memory[slot] = points
        block = Block(self.arm, self._block, first, len(points), slot, type_, time.time())
        self.link.send(block, memoryview(points).cast("B"))
        self._block += 1
        return True

    def skip_block(self) -> None:
        """Lose one on the way."""
        self._block += 1

    def end(self, produced: int) -> None:
        self.link.send_end(End(self.arm, produced))

    def __enter__(self) -> Controller:
        return self

    def __exit__(self, *_: object) -> None:
        self.link.close()


def main() -> None:
    """Send points at a rate, or as fast as they are taken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=100_000)
    parser.add_argument("--columns", type=int, default=10)
    parser.add_argument("--block", type=int, default=2000, help="points in a block")
    parser.add_argument("--rate", type=float, default=0.0, help="points a second; 0: as fast as they are taken")
    told = parser.parse_args()
    with Controller(columns=told.columns, block_points=told.block) as controller:
        say(endpoint=controller.endpoint, token=controller.token)
        controller.await_reader()
        began = time.time()
        lost = send_all(controller, told.points, told.block, told.rate)
        controller.end(told.points)
        say(produced=told.points, lost=lost, began=began)
        input()  # stays until it is told that everything came


def send_all(controller: Controller, points: int, block: int, rate: float) -> int:
    """Send; returns how many points were given up for want of a slot."""
    prepared = make_points(0, block, controller.columns)
    lost, began = 0, time.monotonic()
    for first in range(0, points, block):
        part = prepared[: min(block, points - first)]
        if rate:
            wait = began + (first + len(part)) / rate - time.monotonic()
            if wait > 0:
                time.sleep(wait)  # the points are being taken
            lost += 0 if controller.send(first, part) else len(part)
            continue
        while not controller.send(first, part):
            controller.link.pollables[0].poll(100)
    return lost


def say(**fields: Any) -> None:
    """One JSON line."""
    print(json.dumps(fields), flush=True)


if __name__ == "__main__":
    main()
