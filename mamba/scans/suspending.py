"""A run waits for a device that was lost, instead of failing.

When a call of an open run finds a device of ours gone or silent, or a status fails for that reason, the run is
*suspended*: its motors are stopped, the person is told which device it is, and when the device answers again the
messages since the last checkpoint are given again: the point in progress is measured anew, its set points written
anew. bluesky's own suspension does the work; Ctrl-C, pause and abort act on it as on any other.

A plan without an open run fails at once: nothing would be lost but the command. So does a point that was given again
several times in vain, and a run that waited for longer than the profile allows.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Generator
from typing import Any

from bluesky.utils import Msg, single_gen

from mamba.devices.link import TangoLink
from mamba.errors import DeviceError, DeviceTimeout, DeviceUnreachable
from mamba.wire import notices

_LOOK_S = 0.05
_AGAIN = 3
"""How often one point is given again before the run fails: a device that is lost each time is not coming back."""
_WATCHED = (
    "create", "set", "trigger", "read", "locate", "kickoff", "complete", "collect", "prepare", "configure", "save",
    "declare_stream", "wait",
)  # fmt: skip
"""Messages that ask a device something; `stage` and `unstage` cannot be given again."""


class DeviceWaiting:
    """Suspends the runs of one engine while a device is lost.

    Args:
        engine: a RunEngine of bluesky.
        longest_s: longest time a run waits; 0 for never.

    Attributes:
        waits_for: names of the devices that the run waits for now.
    """

    def __init__(self, engine: Any, *, longest_s: float) -> None:
        self._engine, self._longest_s = engine, longest_s
        self.waits_for: dict[str, TangoLink] = {}
        self._futures: list[asyncio.Future[None]] = []
        self._again = 0
        self._began = 0.0
        self._gave_up = False
        self._was_rewindable: bool | None = None
        self._in_message = False
        for command in _WATCHED:
            engine.register_command(command, self._watch(engine._command_registry[command]))
        for command, note in (("_start_suspender", self._note_rewindable), ("_resume_from_suspender", self._forget)):
            engine.register_command(command, _after(note, engine._command_registry[command]))
        engine.register_command("checkpoint", self._count_from_here(engine._command_registry["checkpoint"]))

    def begin(self) -> None:
        """A new plan begins: what the last one waited for does not count."""
        self.waits_for, self._futures, self._again, self._gave_up = {}, [], 0, False
        self._in_message = False
        if self._was_rewindable is not None:
            # bluesky leaves the engine unable to give a point again when a run ends while it is suspended (1.15)
            self._engine.rewindable, self._was_rewindable = self._was_rewindable, None

    def hand_on_answer(self, again: Generator[Msg, Any, Any]) -> Generator[Msg, Any, Any]:
        """The messages that are given again; where the last of them was interrupted, its plan gets the answer.

        bluesky alone answers None, on which a plan that looks at what it reads fails.
        """
        interrupted, self._in_message = self._in_message, False
        return self._give_again(again, hand_on=interrupted)

    def _give_again(self, again: Generator[Msg, Any, Any], *, hand_on: bool) -> Generator[Msg, Any, Any]:
        answer = None
        while True:
            try:
                msg = again.send(answer)
            except StopIteration:
                break
            answer = yield msg
        if hand_on:
            # on top stands the answer to the message that began the suspension, below it the plan's
            self._engine._response_stack[-2] = answer

    def take_failed(self, error: BaseException | None, future: asyncio.Future[None]) -> bool:
        """Suspend the run for a status that failed with `error`; False where the run must fail.

        The engine waits for `future`; it is done when the run goes on.
        """
        if not self._suspend(error):
            return False
        self._futures.append(future)
        return True

    def _note_rewindable(self) -> None:
        if self._was_rewindable is None:
            self._was_rewindable = self._engine.rewindable

    def _forget(self) -> None:
        self._was_rewindable = None

    def _watch(self, serve: Callable[[Msg], Awaitable[Any]]) -> Callable[[Msg], Awaitable[Any]]:
        async def serve_or_suspend(msg: Msg) -> Any:
            """Serve the message as bluesky does, unless its device is lost."""
            try:
                return await serve(msg)
            except DeviceError as error:
                if not self._suspend(error, from_message=True):
                    raise
                raise asyncio.CancelledError from None  # what the engine expects of a suspension

        return serve_or_suspend

    def _count_from_here(self, serve: Callable[[Msg], Awaitable[Any]]) -> Callable[[Msg], Awaitable[Any]]:
        async def serve_checkpoint(msg: Msg) -> Any:
            """Serve it as bluesky does; what comes now was not given again yet."""
            self._again = 0
            return await serve(msg)

        return serve_checkpoint

    def _suspend(self, error: BaseException | None, *, from_message: bool = False) -> bool:
        """Begin a suspension, or join the one that goes on; in the engine's loop."""
        engine = self._engine
        if not isinstance(error, (DeviceUnreachable, DeviceTimeout)) or not isinstance(error.link, TangoLink):
            return False
        if self._gave_up or not self._longest_s or not engine._run_bundlers or not engine.resumable:
            return False
        if self.waits_for and not from_message:
            self._wait_also_for(error, error.link)
            return True
        if engine.state != "running" or self._again >= _AGAIN:
            return False
        self._again += 1
        self._in_message = from_message
        self._began = time.monotonic()
        self.waits_for = {error.link.name: error.link}
        _tell_suspended(error, error.link.name, self._longest_s)
        start = Msg("_start_suspender", None, None, None, error.what, self._wait_until_back)
        # as bluesky's request_suspend, in the same step of the loop: an abort cannot come in between
        engine._plan_stack.append(single_gen(start))
        engine._response_stack.append(None)
        engine._state = "suspending"
        if not from_message:
            engine._task.cancel()
        return True

    def _wait_also_for(self, error: DeviceError, link: TangoLink) -> None:
        if link.name not in self.waits_for:
            self.waits_for[link.name] = link
            notices.publish("run/suspended", devices=list(self.waits_for), what=error.what, seen=error.seen)

    async def _wait_until_back(self) -> None:
        """Wait for all that were lost; what is left of the old point is over by then."""
        began = self._began
        self._release()
        try:
            await self._look_until_back(began)
        finally:
            self._release()  # those that failed meanwhile
            if self._began == began:
                self.waits_for = {}

    async def _look_until_back(self, began: float) -> None:
        while self._is_current(began) and any(link.is_down for link in self.waits_for.values()):
            if time.monotonic() - began > self._longest_s:
                self._fail(next(link for link in self.waits_for.values() if link.is_down))
                return
            await asyncio.sleep(_LOOK_S)
        if self._is_current(began):
            names = list(self.waits_for)
            waited_s = time.monotonic() - began
            print(f"Resumed after {waited_s:.1f} s: {', '.join(names)} answers; the point is measured again.")  # noqa: T201
            notices.publish("run/resumed", devices=names, waited_s=round(waited_s, 2))

    def _release(self) -> None:
        """Let nobody wait for statuses of the point that is given again."""
        futures, self._futures = self._futures, []
        for future in futures:
            if not future.done():
                future.set_result(None)

    def _is_current(self, began: float) -> bool:
        """Whether this suspension goes on: the run may have been paused or ended meanwhile."""
        return self._began == began and bool(self.waits_for) and self._engine.state == "running"

    def _fail(self, link: TangoLink) -> None:
        self._gave_up = True  # its clean-up is not held up again
        with self._engine._state_lock:
            self._engine._exception = DeviceUnreachable(
                f"{link.name}: did not come back",
                seen=f"the run waited for {self._longest_s:g} s; {link.describe().error}",
                remedy="start its server and run again; scans.wait_for_devices_s in the profile is the longest wait",
            )


def _after(note: Callable[[], None], serve: Callable[[Msg], Awaitable[Any]]) -> Callable[[Msg], Awaitable[Any]]:
    async def note_and_serve(msg: Msg) -> Any:
        """Note it, and serve the message as bluesky does."""
        note()
        return await serve(msg)

    return note_and_serve


def _tell_suspended(error: DeviceError, name: str, longest_s: float) -> None:
    print(  # noqa: T201  # the person at the prompt waits for the run
        f"Suspended: {error.what}\n  seen: {error.seen}\n"
        f"The run goes on by itself when {name} answers, for at most {longest_s:g} s. Ctrl-C twice for the prompt."
    )
    notices.publish("run/suspended", devices=[name], what=error.what, seen=error.seen)
