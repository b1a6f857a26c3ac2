"""One acquisition: a thread that draws frames straight into the blocks of a data stream, at their times; no Tango.

*Produced* frames existed; *sent* ones went out in a block; *dropped* ones existed but found no free block (only with
`drop`). At the end produced = sent + dropped. With `hold` the camera waits for a free block, and frame numbers with it;
the time it was held shifts the following frames, so that none is hurried. With `drop` time and numbers go on.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from mamba.data_worker.ring import LARGEST_SLOT_BYTES
from mamba.data_worker.stream import Frames, FrameSender
from mamba.errors import MambaError, StreamBroken
from tango_servers.camera.model import Frame, FrameRenderer, reduce_preview
from tango_servers.truth import TruthRecord

Policy = Literal["hold", "drop"]

POLICIES: tuple[Policy, ...] = ("hold", "drop")
TRANSPORTS: tuple[Literal["ring"], Literal["zmq"]] = ("ring", "zmq")

PREVIEW_PERIOD_S = 0.1
"""Shortest time between two previews (s)."""

_BLOCK_S = 0.02  # a block waits no longer for its last frame: slow cameras are seen live
_PATIENCE_S = 0.05  # how long one wait for a block lasts, that is, how late an abort may be noticed
_LINGER_S = 10.0  # how long shared memory stays for a receiver that has not taken everything
_RATE_S = 1.0
_CLOSE_S = 5.0
_MOST_SLOTS = 4096
_CATCH_UP_S = 0.25  # a longer stall is lost time, not a burst of hurried frames


@dataclass(frozen=True)
class AcquisitionPlan:
    """What one arm was told.

    Attributes:
        arm: its number.
        frames: how many frames; 0: until it is stopped.
        period_s: from frame to frame (s), above 0; frames come later when drawing takes longer.
        policy: what happens when no block is free.
        transport: "ring" or "zmq".
        shape: (height, width) of a frame.
        directory: where the ring's socket lives.
        ring_mib: shared memory for the blocks that are under way; at least two blocks, of at most 8 MiB.
    """

    arm: int
    frames: int
    period_s: float
    policy: Policy
    transport: Literal["ring", "zmq"]
    shape: tuple[int, int]
    directory: Path | None
    ring_mib: int = 128

    @property
    def slots(self) -> int:
        """How many blocks the ring holds."""
        height, width = self.shape
        frame_bytes = height * width * np.dtype("uint16").itemsize
        block_bytes = max(1, LARGEST_SLOT_BYTES // frame_bytes) * frame_bytes
        return min(_MOST_SLOTS, max(2, (self.ring_mib << 20) // block_bytes))


class Acquisition:
    """One arm, from Arm to its end.

    Attributes:
        produced, sent, dropped: frame counts so far.
        preview: the latest reduced frame, None before the first.
        error: why it broke, None while all is well.
        waiting: it is held because its receiver gives no block back.
        done: all frames are out, or it was ended; the stream may linger for its receiver.

    Args:
        listener: told from the acquisition's thread when a preview or the end is there; must return quickly.

    Raises:
        MambaError: the stream cannot be opened.
    """

    def __init__(
        self, plan: AcquisitionPlan, renderer: FrameRenderer, truth: TruthRecord, listener: Callable[[], None]
    ) -> None:
        self.plan, self._renderer, self._truth, self._listener = plan, renderer, truth, listener
        self.produced = self.sent = self.dropped = 0
        self.preview: Frame | None = None
        self.error: MambaError | None = None
        self.waiting = False
        self.done = threading.Event()
        self._started, self._ending, self._aborted = threading.Event(), threading.Event(), threading.Event()
        self._times: deque[tuple[float, int]] = deque(maxlen=1024)
        self._preview_s = self._drawing_s = 0.0
        self._opened = threading.Event()
        self.endpoint = self.format = ""
        # The sender belongs to one thread: it is made, used and closed there.
        self._thread = threading.Thread(target=self._run, name=f"camera arm {plan.arm}", daemon=True)
        self._thread.start()
        self._opened.wait()
        if self.error is not None:
            raise self.error

    @property
    def running(self) -> bool:
        """Started and not done."""
        return self._started.is_set() and not self.done.is_set()

    @property
    def rate_hz(self) -> float:
        """Frames produced per second over the last second; 0 when it does not run."""
        if not self.running:
            return 0.0
        now, samples = time.monotonic(), list(self._times)
        recent = [sample for sample in samples if sample[0] >= now - _RATE_S] or samples[-1:]
        before = [sample for sample in samples if sample[0] < now - _RATE_S]
        first_s, first = before[-1] if before else recent[0]
        return (self.produced - first) / (now - first_s) if now > first_s else 0.0

    def start(self) -> None:
        """Let the frames come."""
        self._times.append((time.monotonic(), 0))
        self._truth.write("start", arm=self.plan.arm)
        self._started.set()

    def stop(self) -> None:
        """Finish early, cleanly: what was drawn is sent, the end is told."""
        self._ending.set()
        self._started.set()

    def abort(self) -> None:
        """Give up: nothing more is sent, the end is not told; returns when no frame is under way (≤ 0.2 s).

        After the end it only closes the stream that still lingers for its receiver.
        """
        self._aborted.set()
        self.stop()
        self.done.wait(_CLOSE_S)

    def close(self) -> None:
        """Abort, and wait until socket and shared memory are gone."""
        self.abort()
        self._thread.join(_CLOSE_S)

    # In the thread.

    def _run(self) -> None:
        plan = self.plan
        try:
            sender = FrameSender(
                transport=plan.transport,
                shape=plan.shape,
                dtype="uint16",
                arm=plan.arm,
                directory=plan.directory,
                slots=plan.slots,
            )
        except Exception as error:  # noqa: BLE001  # a thread's edge: Arm waits for it and raises it
            self.error = self._explain(error)
            self._opened.set()
            return
        self.endpoint, self.format = sender.endpoint, sender.format
        self._truth.write(
            "arm", arm=plan.arm, frames=plan.frames, period=plan.period_s, policy=plan.policy, transport=plan.transport
        )
        self._opened.set()
        try:
            self._started.wait()
            self._produce(sender)
            if not self._aborted.is_set():
                sender.reserve(0.0)  # lets a receiver in that came before the start
                sender.end(self.produced)
        except Exception as error:  # noqa: BLE001  # a thread's edge: shown as FAULT
            self.error = self._explain(error)
        finally:
            self._finish()
            self._linger(sender)
            sender.close()

    def _explain(self, error: Exception) -> MambaError:
        if isinstance(error, MambaError):
            return error
        return StreamBroken(
            f"stream of arm {self.plan.arm}: failed",
            seen=f"{type(error).__name__}: {error}",
            remedy="read the log of the camera's server, then arm again",
        )

    def _produce(self, sender: FrameSender) -> None:
        due = time.monotonic()
        while not self._is_over():
            self._sleep_until(due)
            block = sender.reserve(0.0)
            if block is None and self.plan.policy == "hold":
                block, held_s = self._wait_for_block(sender)
                due += held_s
            if block is not None:
                due = self._fill(sender, block, due)
            elif not self._ending.is_set():
                due = self._drop(due)

    def _is_over(self) -> bool:
        return self._ending.is_set() or 0 < self.plan.frames <= self.produced

    def _sleep_until(self, due: float) -> None:
        left = due - time.monotonic()
        if left > 0:
            self._ending.wait(left)

    def _wait_for_block(self, sender: FrameSender) -> tuple[Frames | None, float]:
        began, block = time.monotonic(), None
        self.waiting = True
        while block is None and not self._ending.is_set():
            if sender.broken:
                self._ending.wait(_PATIENCE_S)  # nobody will ever take a block: only Stop or Abort end this
            else:
                block = sender.reserve(_PATIENCE_S)
        self.waiting = False
        return block, time.monotonic() - began

    def _drop(self, due: float) -> float:
        self.produced += 1
        self.dropped += 1
        # When it is as fast as it can, a lost frame takes as long as one that is drawn.
        return self._follow(due, at_least_s=self._drawing_s)

    def _follow(self, due: float, *, at_least_s: float = 0.0) -> float:
        """When the next frame is due: a period later, without catching up more than a short delay."""
        return max(due + max(self.plan.period_s, at_least_s), time.monotonic() - _CATCH_UP_S)

    def _fill(self, sender: FrameSender, block: Frames, due: float) -> float:
        first, count, opened_s = self.produced, 0, time.monotonic()
        while True:
            began = time.monotonic()
            self._renderer.draw_into(block[count], first + count)
            self._drawing_s = time.monotonic() - began
            count += 1
            self.produced += 1
            due = self._follow(due)
            if count == len(block) or self._is_over() or due > opened_s + _BLOCK_S:
                break
            self._sleep_until(due)
            if self._ending.is_set():
                break
        if self._aborted.is_set():
            self.produced = first  # what was never sent never was
            return due
        self._show(block[count - 1])
        sender.commit(first, count)
        self.sent += count
        self._times.append((time.monotonic(), self.produced))
        self._truth.write("block", arm=self.plan.arm, first=first, count=count)
        return due

    def _show(self, frame: Frame) -> None:
        now = time.monotonic()
        if now >= self._preview_s + PREVIEW_PERIOD_S:
            self._preview_s = now
            self.preview = reduce_preview(frame)
            self._listener()

    def _finish(self) -> None:
        self._truth.write(
            "disarm",
            arm=self.plan.arm,
            produced=self.produced,
            sent=self.sent,
            dropped=self.dropped,
            aborted=self._aborted.is_set(),
            error="" if self.error is None else str(self.error),
        )
        self.done.set()
        self._listener()

    def _linger(self, sender: FrameSender) -> None:
        """Keep the blocks until the receiver has left; it may still be reading, or be killed and come back."""
        until = time.monotonic() + _LINGER_S
        while self.error is None and sender.expects and time.monotonic() < until:
            if self._aborted.wait(_PATIENCE_S):
                return
            sender.reserve(0.0)  # looks whether it has left
