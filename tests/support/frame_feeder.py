"""A detector in a process of its own: serves exact frames over a real stream and says what it sent.

`python -m tests.support.frame_feeder JSON` prints endpoint and format as a JSON line, then sends, prints
`{"produced", "sent", "dropped", "repeated"}`, and leaves when its standard input ends.
"""

from __future__ import annotations

import json
import select
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mamba.data_worker.stream import FrameSender
from tests.support.lossy_wire import Wire


def make_frame(number: int, shape: tuple[int, int]) -> NDArray[np.uint16]:
    """The frame of that number: pixel i holds 7 i + 13 number, modulo 2¹⁶."""
    pixels = np.arange(shape[0] * shape[1], dtype=np.uint64) * 7 + 13 * number
    return (pixels & 0xFFFF).astype(np.uint16).reshape(shape)


@dataclass
class Feed:
    """What to send."""

    frames: int = 100
    shape: tuple[int, int] = (32, 48)
    transport: str = "ring"
    arm: int = 1
    policy: str = "hold"
    block_frames: int = 4
    slots: int = 8
    period_s: float = 0.0
    rate: float = 0.0
    """Frames a second, by the clock: a block goes when its last frame is due; 0: as `period_s` says."""
    skip: list[int] = field(default_factory=list)
    stop_after: int = -1
    wire: dict[str, Any] = field(default_factory=dict)
    """A bad wire lies between the detector and its stream (arguments of `Wire`); the stream itself loses nothing."""
    directory: str = ""
    prepared: bool = False
    """Copy from sixteen frames made before, as a camera's pool: content no longer depends on the number alone."""
    resident: bool = False
    """With `prepared`, copy only until every slot has some: as with a detector that writes there itself."""
    timed: bool = False
    """Say at the end when each block was committed: `times`, seconds since 1970."""


def main() -> None:
    """Serve one arm."""
    feed = Feed(**json.loads(sys.argv[1]))
    shape = (feed.shape[0], feed.shape[1])
    nbytes = shape[0] * shape[1] * 2
    sender = FrameSender(
        transport="ring" if feed.transport == "ring" else "zmq",
        shape=shape,
        dtype="uint16",
        arm=feed.arm,
        directory=Path(feed.directory),
        block_bytes=nbytes * feed.block_frames,
        slots=feed.slots,
    )
    pool = [make_frame(n, shape) for n in range(16)] if feed.prepared else None
    say(endpoint=sender.endpoint, format=sender.format)
    if not sys.stdin.readline():
        sender.close()
        return
    repeated = 0
    times: list[float] = []
    if feed.wire:
        sent, dropped, repeated = send_badly(feed, sender, shape)
    else:
        sent, dropped = send(feed, sender, shape, pool, times)
    sender.end(feed.frames)
    told = {"times": times} if feed.timed else {}
    say(produced=feed.frames, sent=sent, dropped=dropped, repeated=repeated, **told)
    while not select.select([sys.stdin], [], [], 0.02)[0]:
        sender.reserve(0.0)  # as a camera lingers: a receiver that was killed comes back for the end
    sender.close()


def send(
    feed: Feed, sender: FrameSender, shape: tuple[int, int], pool: Any, times: list[float]
) -> tuple[int, list[int]]:
    """Send all frames; returns how many, and the numbers that were dropped. `times`: when each block went."""
    number, sent, dropped = 0, 0, []
    began = time.monotonic()
    while number < feed.frames:
        if number == feed.stop_after:
            sys.exit(3)
        if number in feed.skip:
            dropped.append(number)
            number += 1
            continue
        if feed.rate:
            wait = began + (number + feed.block_frames) / feed.rate - time.monotonic()
            if wait > 0:
                time.sleep(wait)  # the exposure, by the clock
        block = sender.reserve(60.0 if feed.policy == "hold" else feed.period_s)
        if block is None:
            if sender.broken or feed.policy == "hold":
                sys.exit(4)
            dropped.append(number)
            number += 1
            continue
        count = 0
        while number + count < feed.frames and count < len(block) and number + count not in feed.skip:
            if pool is None:
                block[count] = make_frame(number + count, shape)
            elif not feed.resident or sent < feed.slots * feed.block_frames:
                block[count] = pool[(number + count) % 16]
            count += 1
            if number + count == feed.stop_after:
                break
        if feed.timed:
            times.append(time.time())
        sender.commit(number, count)
        number, sent = number + count, sent + count
        if feed.period_s:
            time.sleep(feed.period_s)  # the exposure of these frames
    return sent, dropped


def send_badly(feed: Feed, sender: FrameSender, shape: tuple[int, int]) -> tuple[int, list[int], int]:
    """Send what the wire lets through; returns how many different frames, those it lost, and how many came again."""
    arrivals, repeated, lost = Wire(**feed.wire).carry(feed.frames, feed.block_frames)
    for first, count in arrivals:
        block = sender.reserve(60.0)
        if block is None:
            sys.exit(4)
        for row in range(count):
            block[row] = make_frame(first + row, shape)
        sender.commit(first, count)
    again = sum(count for _, count in repeated)
    gone = [number for first, count in lost for number in range(first, first + count)]
    return sum(count for _, count in arrivals) - again, gone, again


def say(**fields: Any) -> None:
    """One JSON line."""
    print(json.dumps(fields), flush=True)


class Feeder:
    """Starts a feeder process; a context manager that ends it."""

    def __init__(self, **feed: Any) -> None:
        # ours, not the sender's: a detector that dies cannot clear up
        self._folder = tempfile.TemporaryDirectory(prefix="mb-feed-")
        self.feed = Feed(**feed, directory=self._folder.name)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.frame_feeder", json.dumps(asdict(self.feed))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parent.parent.parent,
        )
        hello = self.read()
        self.endpoint: str = hello["endpoint"]
        self.format: str = hello["format"]

    def read(self) -> dict[str, Any]:
        """The next line it prints."""
        assert self.process.stdout is not None
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    def start(self) -> None:
        """Let it send."""
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def __enter__(self) -> Feeder:
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        if self.process.poll() is None:
            self.process.stdin.close()
        try:
            self.process.wait(1)  # one that is held by its receiver does not look
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self._folder.cleanup()
        if not self.process.stdin.closed:
            try:
                self.process.stdin.close()
            except BrokenPipeError:
                return


if __name__ == "__main__":
    main()
