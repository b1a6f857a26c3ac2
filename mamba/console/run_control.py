"""Pause, stop, abort and halt of a run from outside its cell, and what the run is doing.

bluesky takes these calls from other threads while a run goes on. What it lacks is mended here, on one engine: a paused
run can be ended by a thread that is not the main one (its signal handlers act in the main thread only), and the reason
a person gives reaches the stop document. Ctrl-C stays bluesky's: once for the next checkpoint, twice for now.
"""

from __future__ import annotations

import inspect
import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from typing import Any

from mamba.devices.in_use import keep_names_in_runs
from mamba.errors import NoRun, RunError
from mamba.scans.ending import act_in_main_thread_only, keep_reason
from mamba.wire import notices
from mamba.wire.messages import make_error

log = logging.getLogger(__name__)

_SETTLE_S = 5.0
"""How long a run may take to come to rest after a pause: its motors are being stopped."""
_TAKEN_S = 0.05
"""How long who asked waits for the engine to take it."""
_NO_RUN: dict[str, Any] = {"uid": None, "scan_id": None, "point": 0, "num_points": None}
_ENDING = ("pausing", "stopping", "aborting", "halting")
_MAY_WAIT = ("running", "suspending")
"""States in which a run may wait for a device that was lost."""


class RunControl:
    """Acts on one run engine and says what it does; every method may be called from any thread.

    Args:
        engine: bluesky's RunEngine or one derived from it.
        on_change: called, without arguments, when the state of the engine or its run changed; must not block.

    Attributes:
        engine: the run engine.
    """

    def __init__(self, engine: Any, *, on_change: Callable[[], None]) -> None:
        self.engine = engine
        self._on_change = on_change
        self._changed = threading.Condition()
        self._one_at_a_time = threading.Lock()
        self._calls = 0
        self._run: dict[str, Any] = dict(_NO_RUN)
        self._reason = ""
        self._waits_for: tuple[str, ...] = ()
        self._attach()

    def _attach(self) -> None:
        engine = self.engine
        self._next_hook = engine.state_hook
        engine.state_hook = self._see_state
        engine.context_managers = [self._count_calls, *map(act_in_main_thread_only, engine.context_managers)]
        engine._during_task = _WaitInOtherThreads(engine._during_task)
        keep_reason(engine)
        keep_names_in_runs(engine)
        self._detach_notices = notices.attach(self._see_notice)

    def close(self) -> None:
        """Follow the run no longer; the engine keeps what was mended."""
        self._detach_notices()
        self.engine.state_hook = self._next_hook

    @property
    def state(self) -> str:
        """The engine's state: idle, running, pausing, paused, stopping, aborting, halting, panicked."""
        return str(self.engine.state)

    def describe(self) -> dict[str, Any]:
        """`state, uid, scan_id, point, num_points, reason, waits_for` of the plan that goes on, or of the last one.

        `uid` and `scan_id` are None as long as it has not opened a run. `waits_for` names the lost devices that a
        suspended run waits for; it is empty when nothing is suspended.
        """
        return {"state": self.state, **self._run, "reason": self._reason, "waits_for": list(self._waits_for)}

    def is_ending(self) -> bool:
        """Whether a run is coming to rest or being ended, so that no other may begin yet."""
        return self.state in _ENDING

    def pause(self, *, defer: bool = False) -> None:
        """Pause the run at once, or at its next checkpoint.

        Raises:
            NoRun: no run goes on.
        """
        self._begin("pause", lambda: self._begin_to_pause(defer=defer))

    def _begin_to_pause(self, *, defer: bool) -> None:
        if self.state != "running":
            raise self._nothing_to("pause")
        self._call(lambda: self.engine.request_pause(defer))

    def check_resumable(self) -> None:
        """Raise NoRun unless a run is paused and its cell has ended."""
        self._settle()
        if self.state != "paused":
            raise self._nothing_to("resume")

    def stop(self, reason: str = "") -> None:
        """End the run after its clean-up, as a success; NoRun if there is none."""
        self._begin("stop", lambda: self._begin_to_end("stop", reason))

    def abort(self, reason: str = "") -> None:
        """End the run after its clean-up, as aborted; NoRun if there is none."""
        self._begin("abort", lambda: self._begin_to_end("abort", reason))

    def halt(self, reason: str = "") -> None:
        """End the run without its clean-up, as aborted; NoRun if there is none."""
        self._begin("halt", lambda: self._begin_to_end("halt", reason))

    def wait_until_idle(self, timeout_s: float) -> bool:
        """Wait for the engine to have nothing to do; False if it still has."""
        return self._wait(lambda: self.state in ("idle", "panicked"), timeout_s)

    def _begin(self, verb: str, act: Callable[[], None]) -> None:
        """Return as soon as the engine has taken it, or is known to take it as soon as a device lets it.

        While a device stages itself, or is read by a call that hangs, the engine hears nothing; who asked must not
        wait for that. What goes wrong later is a notice.
        """
        taken: Future[None] = Future()

        def act_in_turn() -> None:
            try:
                with self._one_at_a_time:
                    act()
            except Exception as error:  # noqa: BLE001  # raised or told below
                taken.set_exception(error)
            else:
                taken.set_result(None)

        threading.Thread(target=act_in_turn, name=f"mamba-{verb}", daemon=True).start()
        if wait([taken], _TAKEN_S).done:
            taken.result()
        else:
            taken.add_done_callback(lambda done: self._tell_refused(verb, done.exception()))

    def _tell_refused(self, verb: str, error: BaseException | None) -> None:
        """Who asked was answered before; everybody learns when nothing came of it."""
        if error is not None:
            rep = make_error(error)
            log.warning("run/%s: %s", verb, rep["desc"])
            notices.publish("run/refused", verb=f"run/{verb}", err=rep["err"], desc=rep["desc"])

    def _begin_to_end(self, verb: str, reason: str) -> None:
        self._settle()
        state = self.state
        if state not in ("running", "suspending", "paused"):
            raise self._nothing_to(verb)
        self._reason = reason
        end = getattr(self.engine, verb)
        takes_reason = "reason" in inspect.signature(end).parameters
        self.engine._reason = reason

        def act() -> None:
            end(reason) if takes_reason else end()

        if state == "paused":
            self._start_clean_up(verb, act)
            return
        self._call(act)
        if self.state in _ENDING and not self.engine._run_permit.is_set():
            # Ctrl-C paused it in the same moment: it waits for somebody to let it go on to its end
            self._start_clean_up(verb, self.engine._resume_task)

    def _start_clean_up(self, verb: str, act: Callable[[], object]) -> None:
        """Call what ends a paused run: it runs the clean-up inside the call."""
        worker = threading.Thread(target=self._end_paused, args=(verb, act), name=f"mamba-run-{verb}", daemon=True)
        worker.start()
        self._wait(lambda: self.state != "paused" or not worker.is_alive(), _SETTLE_S)

    def _end_paused(self, verb: str, act: Callable[[], object]) -> None:
        try:
            act()
        except Exception:  # the clean-up of a plan is anybody's code; there is no caller left to raise to
            log.exception("run/%s: the clean-up of the paused run raised", verb)

    def _call(self, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as error:
            if self.state == "idle":  # it ended by itself in the meantime
                raise self._nothing_to("act on") from error
            raise RunError(f"run: {error}", seen=f"the engine is {self.state}") from error

    def _nothing_to(self, verb: str) -> NoRun:
        remedy = {"paused": "resume, stop or abort it", "running": "it goes on already"}.get(self.state, "")
        return NoRun(f"run: nothing to {verb}", seen=f"the run engine is {self.state}", remedy=remedy)

    def _settle(self) -> None:
        """Wait until a pause is complete and the paused call has returned to the main thread."""
        at_rest = self._wait(
            lambda: not (self.state == "pausing" or (self.state == "paused" and self._calls)), _SETTLE_S
        )
        if not at_rest:
            raise RunError(
                "run: does not come to rest after its pause",
                seen=f"the engine is {self.state} for {_SETTLE_S:g} s",
                remedy="wait for its motors, or interrupt it with Ctrl-C",
            )

    def _wait(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while not condition():
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                self._changed.wait(min(left, 0.1))  # a worker's death is no change of state
        return True

    @contextmanager
    def _count_calls(self, engine: Any) -> Iterator[None]:
        """How many calls of the main thread wait for the engine: a run is at rest when none does."""
        mine = 1 if threading.current_thread() is threading.main_thread() else 0
        with self._changed:
            self._calls += mine
        try:
            yield
        finally:
            with self._changed:
                self._calls -= mine
                self._changed.notify_all()

    def _see_state(self, new: Any, old: Any) -> None:
        if old == "idle":  # a plan begins; what is told of it until it opens its run is not of the last one
            self._reason, self._run = "", dict(_NO_RUN)
        if str(new) not in _MAY_WAIT:
            self._waits_for = ()
        with self._changed:
            self._changed.notify_all()
        run, reason, waits_for = self._run, self._current_reason(), list(self._waits_for)
        notices.publish(
            "run/state", state=str(new), uid=run["uid"], id=run["scan_id"], reason=reason, waits_for=waits_for
        )
        self._on_change()
        if self._next_hook is not None:
            self._next_hook(new, old)

    def _current_reason(self) -> str:
        self._reason = self._reason or str(getattr(self.engine, "_reason", "") or "")
        return self._reason

    def _see_notice(self, notice: notices.Notice) -> None:
        typ = notice["typ"]
        if typ == "scan/start":
            self._run = {
                "uid": notice["uid"],
                "scan_id": notice["id"],
                "point": 0,
                "num_points": notice.get("num_points"),
            }
        elif typ == "scan/point" and notice.get("stream") == "primary" and notice["uid"] == self._run["uid"]:
            self._run = {**self._run, "point": notice["n"]}
        elif typ in ("run/suspended", "run/resumed"):
            self._waits_for = tuple(notice["devices"]) if typ == "run/suspended" else ()
        else:
            return
        self._on_change()


class _WaitInOtherThreads:
    """bluesky's `DuringTask`, which may turn a Qt loop while it waits; only the main thread may do that."""

    def __init__(self, in_main_thread: Any) -> None:
        self._in_main_thread = in_main_thread

    def block(self, done: threading.Event) -> None:
        """Wait for `done`."""
        if threading.current_thread() is threading.main_thread():
            self._in_main_thread.block(done)
        else:
            done.wait()
