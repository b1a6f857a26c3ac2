"""Plans of Mamba: an acquisition of frames; and the ones of bluesky that people use most, under one roof.

Those of bluesky that move are checked as a whole before anything moves (`mamba.scans.dry_run`).

*Acquisition*: a camera runs by itself at its own rate, its frames go through the data worker to a file, and the run
engine waits for the *ledger*, which says of every frame whether it was written. Pausing the run engine does not pause
the camera; ending the run ends camera and graph.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Generator
from numbers import Real
from typing import Any

from bluesky import plan_stubs, plans, preprocessors
from bluesky.plan_stubs import sleep
from bluesky.plans import count
from bluesky.utils import Msg, RequestAbort, RequestStop

from mamba.errors import BadValue, DataError, FramesMissing
from mamba.scans.dry_run import check_first

__all__ = [
    "acquire",
    "count",
    "grid_scan",
    "list_scan",
    "mv",
    "mvr",
    "next_row",
    "rel_list_scan",
    "rel_scan",
    "scan",
    "sleep",
]

log = logging.getLogger(__name__)

Plan = Generator[Msg, Any, Any]

scan, rel_scan = check_first(plans.scan), check_first(plans.rel_scan)
list_scan, rel_list_scan = check_first(plans.list_scan), check_first(plans.rel_list_scan)
grid_scan = check_first(plans.grid_scan)
mv, mvr = check_first(plan_stubs.mv), check_first(plan_stubs.mvr)

FRAMES, LEDGER = "frames", "ledger"
"""Streams of an acquisition: the frames themselves (in their own file), and the counts of the ledger."""

_CLEAN_END_S = 10.0
_LOOK_S = 0.02


def acquire(
    camera: Any,
    *,
    frames: int,
    exposure_s: float | None = None,
    period_s: float = 0.0,
    md: dict[str, Any] | None = None,
) -> Plan:
    """Take `frames` frames with one camera, through its graph to a file.

    Args:
        camera: the detector, `D.camera`.
        frames: how many.
        exposure_s: exposure of one frame, s; None leaves it as it is.
        period_s: time from frame to frame, s; 0 is as fast as it goes without loss.
        md: more metadata for the run.

    Returns:
        The uid of the run.

    Raises:
        BadValue: no positive number of frames, or a negative time; nothing was armed.
        FramesMissing: frames are missing although the camera was to hold until there is room for them.
        DataError: camera or graph failed; both are at rest, what was written stays readable.
    """
    _check(camera, frames=frames, exposure_s=exposure_s, period_s=period_s)
    metadata = {
        "plan_name": "acquire",
        "motors": [],
        "detectors": [camera.name],
        "num_frames": frames,
        "plan_args": {"camera": camera.name, "frames": frames, "exposure_s": exposure_s, "period_s": period_s},
        **(md or {}),
    }
    settings = {"frames": frames, "exposure_s": exposure_s, "period_s": period_s}

    @preprocessors.stage_decorator([camera])
    @preprocessors.run_decorator(md=metadata)
    def take() -> Plan:
        yield from _wait((yield Msg("prepare", camera, settings, group="prepare")))
        yield Msg("declare_stream", None, camera, name=FRAMES, collect=True)
        # frames that were taken cannot be taken back: a resumed run goes on, it repeats nothing
        yield from preprocessors.rewindable_wrapper(_take_frames(camera), False)

    return (yield from take())


def next_row(node: Any, *, number: int | None = None, timeout_s: float = 60.0) -> Plan:
    """Wait for what a `feedback` node of a graph says.

    In a plan, with the camera kicked off: `row = yield from next_row(G["steer"])`.

    Args:
        node: the node, `G["steer"]`.
        number: the row of this frame, or of the first later one, also when it has come already; None: the next one.
        timeout_s: how long to wait for it; a pause of the run counts.

    Returns:
        The row: `number`, `values`, `time`.

    Raises:
        NodeFailed: the acquisition ended before it came.
        DataError: it did not come in time.
    """
    deadline = time.monotonic() + timeout_s
    arrival = node.next() if number is None else node.at(number)
    while not arrival.done and (left_s := deadline - time.monotonic()) > 0:
        yield Msg("wait_for", None, [_future_of(arrival, left_s)])
    if not arrival.done:
        raise DataError(
            f"node {node.name!r}: no row within {timeout_s:g} s",
            remedy="look at the detector and at the graph: G.status()",
        )
    return arrival.wait(0)


def _check(camera: Any, *, frames: int, exposure_s: float | None, period_s: float) -> None:
    # what comes from a prompt may be anything, whatever the annotations say; nan and inf have no remainder of 0
    if isinstance(frames, bool) or not isinstance(frames, Real) or frames % 1 != 0 or frames < 1:
        raise BadValue(f"{camera.name}: cannot take {frames!r} frames", remedy="ask for one frame or more")
    for name, value in (("exposure_s", exposure_s), ("period_s", period_s)):
        if value is not None and not (isinstance(value, Real) and 0 <= value < float("inf")):
            raise BadValue(f"{camera.name}: {name} cannot be {value!r}", remedy="give seconds, 0 or more")


def _take_frames(camera: Any) -> Plan:
    yield from _wait((yield Msg("kickoff", camera, group="kickoff")))
    try:
        yield from _wait((yield Msg("complete", camera, group="complete")))
    except (RequestStop, RequestAbort):
        yield from _clean_up(camera, _end_early(camera))
        raise
    except Exception:
        yield from _clean_up(camera, _record_what_is_there(camera))
        raise
    yield from _record(camera)
    _judge(camera)


def _wait(status: Any) -> Plan:
    """Wait for a status, through pauses, and raise what it failed with."""
    while not status.done:
        yield Msg("wait_for", None, [_future_of(status)])
    if not status.success:
        raise status.exception()


def _future_of(status: Any, timeout_s: float | None = None) -> Callable[[], Awaitable[None]]:
    """For `wait_for`: ends when the status is done, or after `timeout_s`; the status says which."""

    async def wait_until_done() -> None:
        loop, done = asyncio.get_running_loop(), asyncio.Event()
        status.add_callback(lambda _: loop.call_soon_threadsafe(done.set))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(done.wait(), timeout_s)

    return wait_until_done


def _clean_up(camera: Any, steps: Plan) -> Plan:
    try:
        yield from steps
    except Exception:  # the run ends for another reason, which must not be hidden; unstaging aborts what still runs
        log.warning("%s: what it took so far could not be recorded", camera.name, exc_info=True)


def _end_early(camera: Any) -> Plan:
    """Let the camera end cleanly, so that the frames so far are in the file and in the documents; else abort it."""
    camera.stop(success=True)
    deadline = time.monotonic() + _CLEAN_END_S
    while camera.ledger is None and time.monotonic() < deadline:
        yield Msg("sleep", None, _LOOK_S)
    if camera.ledger is None:
        camera.stop(success=False)
    yield from _record_what_is_there(camera)


def _record_what_is_there(camera: Any) -> Plan:
    if camera.ledger is not None:
        yield from _record(camera)


def _record(camera: Any) -> Plan:
    yield Msg("collect", camera, stream=False, return_payload=False, name=FRAMES)
    yield Msg("create", None, name=LEDGER)
    yield Msg("read", _Ledger(camera))
    yield Msg("save")


class _Ledger:
    """The counts of a camera's ledger, read without asking the camera for its file a second time."""

    parent = None

    def __init__(self, camera: Any) -> None:
        self.name = f"{camera.name}.ledger"
        self.read = camera.read
        self.describe = camera.describe


def _judge(camera: Any) -> None:
    ledger = camera.ledger
    if ledger is None:
        raise DataError(
            f"{camera.name}: has no ledger of this acquisition", remedy="look at the log of the data worker"
        )
    lost = ledger.produced - ledger.written
    if lost and _policy_of(camera) != "drop":
        ranges = ", ".join(f"{gap.first}–{gap.last} ({gap.node}: {gap.reason})" for gap in ledger.missing[:3])
        raise FramesMissing(
            f"{camera.name}: {lost} of {ledger.produced} frames are missing",
            seen=ranges + (" …" if len(ledger.missing) > 3 else ""),
            remedy="look at the named node; what was written is in the file",
        )


def _policy_of(camera: Any) -> str:
    policy: Any = getattr(camera, "overflow_policy", "hold")
    value = policy.get() if hasattr(policy, "get") else policy
    return str(getattr(value, "name", value)).lower()
