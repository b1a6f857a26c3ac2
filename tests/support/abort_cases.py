"""The moments at which a run may be ended, and the ways people end it; together the abort matrix."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import zmq

from mamba.wire.messages import Reply
from tests.support.beamline_watch import BeamlineWatch
from tests.support.facility import wait_until

SETUP = """
import threading, time
from bluesky.suspenders import SuspendBoolHigh
from ophyd import Device, Signal

class Slow(Device):
    stage_s = unstage_s = 0.0
    def stage(self):
        print("staging", "slow")
        time.sleep(self.stage_s)
        return super().stage()
    def unstage(self):
        print("unstaging", "slow")
        time.sleep(self.unstage_s)
        return super().unstage()

slow = Slow("", name="slow")
trip = Signal(name="trip", value=0)
RE.install_suspender(SuspendBoolHigh(trip))

def shone(detectors, points=300):
    return with_shutter(scan(detectors, M.sample_x, -2, 2, points), M.shutter)

def prepare(stage_s=0, unstage_s=0, trip_after_s=0):
    slow.stage_s, slow.unstage_s = stage_s, unstage_s
    trip.put(0)
    if trip_after_s:
        threading.Timer(trip_after_s, trip.put, (1,)).start()
"""
TYPED = "the beam was dumped at 12:03"
SLOW_S = 0.7


@dataclass(frozen=True)
class Moment:
    """When a run is ended.

    Attributes:
        text: the command; a run of it goes on until it is ended.
        reach: waits until the moment has come.
        has_run: whether a run is open then for certain, whose stop document gets the reason.
    """

    text: str
    reach: Callable[[BeamlineWatch, int, int], object]
    has_run: bool = True


def _see_point(watch: BeamlineWatch, since: int, shown: int) -> None:
    watch.wait_notice("scan/point", since=since)


def _pause(watch: BeamlineWatch, since: int, shown: int) -> None:
    _see_point(watch, since, shown)
    watch.client.request("run/pause")
    wait_until(lambda: watch.run_state() == "paused", "the run is paused")
    wait_until(lambda: watch.client.request("state")["prompt"] == "idle", "its cell has ended")


def _see_text(words: str) -> Callable[[BeamlineWatch, int, int], object]:
    def reach(watch: BeamlineWatch, since: int, shown: int) -> None:
        wait_until(lambda: words in watch.read_screen(shown), f"{words!r} on the screen")

    return reach


def _see_frames(watch: BeamlineWatch, since: int, shown: int) -> None:
    camera = watch.device("vbl/camera/1")
    watch.wait_notice("scan/start", since=since)
    wait_until(lambda: str(camera.state()) == "RUNNING", "the camera runs", timeout_s=40)


def _see_flush(watch: BeamlineWatch, since: int, shown: int) -> None:
    _see_frames(watch, since, shown)
    wait_until(lambda: watch.state_of("vbl/camera/1") == "ON", "all frames are sent", timeout_s=40)


def _acquire(frames: int) -> str:
    """Slow enough for the camera to be seen running, and for the disk."""
    return f"prepare(); RE(with_shutter(acquire(D.camera, frames={frames}, period_s=0.01), M.shutter))"


MOMENTS = {
    "running": Moment("prepare(); RE(shone([D.i0]))", _see_point),
    "paused": Moment("prepare(); RE(shone([D.i0]))", _pause),
    "suspended": Moment("prepare(trip_after_s=0.8); RE(shone([D.i0]))", _see_text("Suspending")),
    "staging": Moment(f"prepare(stage_s={SLOW_S}); RE(shone([D.i0, slow]))", _see_text("staging slow"), has_run=False),
    "unstaging": Moment(
        f"prepare(unstage_s={SLOW_S}); RE(shone([D.i0, slow], 2))", _see_text("unstaging slow"), has_run=False
    ),
    "acquiring": Moment(_acquire(3000), _see_frames),
    "flushing": Moment(_acquire(41), _see_flush, has_run=False),
}


def press(watch: BeamlineWatch, keys: bytes) -> None:
    """Type into the console's terminal."""
    with zmq.Context() as context, context.socket(zmq.REQ) as socket:
        socket.linger, socket.rcvtimeo = 0, 5000
        socket.connect(watch.beamline.runtime.keys)
        socket.send(keys)
        socket.recv()


def pause_by_ctrl_c(watch: BeamlineWatch) -> None:
    """Ctrl-C for the next checkpoint, and again for now; the prompt is back."""
    press(watch, b"\x03")
    threading.Event().wait(0.15)  # bluesky counts two that are closer as one
    if watch.run_state() != "paused":
        press(watch, b"\x03")
    wait_until(lambda: watch.run_state() in ("paused", "idle"), "the run is paused", timeout_s=20)
    wait_until(lambda: watch.client.request("state")["prompt"] == "idle", "the prompt is back")


def _end_in_terminal(watch: BeamlineWatch, reason: str) -> float | None:
    pause_by_ctrl_c(watch)
    if watch.run_state() == "paused":
        press(watch, f"RE.abort({reason!r})\r".encode())
    return None


def _ask(watch: BeamlineWatch, reason: str, verb: str = "run/abort", **fields: Any) -> float | None:
    started = watch.now()
    reply = watch.client.ask(verb, reason=reason, **fields)
    taken_s = watch.now() - started
    assert reply.err in ("", "no-run"), reply
    return taken_s


def _ask_as_second_person(watch: BeamlineWatch, reason: str) -> float | None:
    with watch.beamline.client() as second:
        started = watch.now()
        reply = second.ask("run/abort", reason=reason, origin="second person")
        taken_s = watch.now() - started
    assert reply.err in ("", "no-run"), reply
    return taken_s


WAYS: dict[str, Callable[[BeamlineWatch, str], float | None]] = {
    "Ctrl-C": _end_in_terminal,
    "window": lambda watch, reason: _ask(watch, reason, origin="window: run bar"),
    "client": _ask,
    "second person": _ask_as_second_person,
}
OTHER_ENDS = {verb: functools.partial(_ask, verb=f"run/{verb}") for verb in ("stop", "halt")}
"""Each ends the run and returns how long the reply took, s; None where nobody was asked."""


@dataclass(frozen=True)
class Ended:
    """What became of a run that was ended: reply of its command, stop notice (None without a run), reply time."""

    reply: Reply
    stop: dict[str, Any] | None
    answered_s: float | None


def end_at(watch: BeamlineWatch, moment: Moment, way: str, *, reason: str = TYPED, after_s: float = 0.0) -> Ended:
    """Begin the command, wait for the moment and `after_s` more, end it, and wait until all is idle."""
    watch.collect()
    since, shown = len(watch.notices), watch.screen_bytes()
    with ThreadPoolExecutor(1) as pool, watch.beamline.client() as first:
        waiting = pool.submit(first.ask, "cmd", cmd=moment.text, origin="first person", timeout_s=60)
        moment.reach(watch, since, shown)
        threading.Event().wait(after_s)
        answered_s = (WAYS | OTHER_ENDS)[way](watch, reason)
        reply = waiting.result(timeout=30)
    watch.wait_idle()
    watch.collect()
    stops = [notice for notice in watch.notices[since:] if notice["typ"] == "scan/stop"]
    assert len(stops) <= 1
    return Ended(reply, stops[0] if stops else None, answered_s)
