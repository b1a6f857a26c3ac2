"""Waiting for a device: statuses for bluesky, and the one loop that decides when something is over.

*Over* is decided by reading the device, never by an event alone: an event only wakes the reader, so that one that is
late, doubled or from before the command cannot end a move. Until events are proven the reader looks every 20 ms,
then ten times a second in case they stop. When the time is up it reads once more before it judges.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from types import FunctionType
from typing import Any

from ophyd.status import StatusBase

from mamba.devices.attribute import Reading
from mamba.devices.link import TangoLink
from mamba.devices.workers import run_in_worker
from mamba.errors import DeviceError, DeviceTimeout, DeviceUnreachable

log = logging.getLogger(__name__)

Readings = dict[str, Reading]
Watcher = Callable[..., None]

_POLL_FIRST_S = 0.002
_POLL_S = 0.02
_POLL_PROVEN_S = 0.1
_GRACE_S = 2.0
"""A server that does not answer for this long is gone; a shorter gap is a reconnection."""


class Status(StatusBase):
    """What bluesky waits for; `watch` reports progress as its progress bars want it.

    It has no time-out of its own: ophyd's would judge without asking the device.
    """

    def __init__(self, device: Any) -> None:
        self.device = device
        self._watchers: list[Watcher] = []
        super().__init__()

    def __repr__(self) -> str:
        outcome = "under way" if not self.done else "done" if self.success else f"failed: {self._first_line()}"
        return f"Status({self.device.name}: {outcome})"

    __str__ = __repr__

    def _first_line(self) -> str:
        return str(self.exception(0)).partition("\n")[0]

    def add_callback(self, callback: Callable[..., None]) -> None:
        """Call `callback(status)` when it is done, or at once; ophyd's asks for the signature of each, which costs."""
        if not isinstance(callback, FunctionType) or not callback.__code__.co_argcount:
            super().add_callback(callback)
            return
        with self._lock:
            if not self.done:
                self._callbacks.append(callback)
                return
        callback(self)

    def watch(self, watcher: Watcher) -> None:
        """Call `watcher(name=, current=, initial=, target=, unit=, precision=, fraction=, …)` now and then."""
        self._watchers.append(watcher)

    def report(self, **progress: Any) -> None:
        """Tell the watchers; one that raises is logged and dropped, the action goes on."""
        for watcher in tuple(self._watchers):
            try:
                watcher(**progress)
            except Exception:  # a progress bar must not end a move
                log.exception("%s: a watcher of its progress raised", getattr(self.device, "name", ""))
                self._watchers.remove(watcher)


def finish_now(device: Any) -> Status:
    """A status of something that needed no time."""
    status = Status(device)
    status.set_finished()
    return status


def run_for_status(status: Status, action: Callable[[], None], *, name: str) -> Status:
    """Do `action` in a worker thread; its end, or what it raises, ends the status."""

    def act() -> None:
        try:
            action()
        except Exception as error:  # noqa: BLE001  # whoever waits for the status gets it
            status.set_exception(error)
        else:
            status.set_finished()

    run_in_worker(name, act)
    return status


def wait_until(
    link: TangoLink,
    is_over: Callable[[Readings], bool],
    *,
    attributes: tuple[str, ...],
    timeout_s: float,
    doing: str,
    look: Callable[[Readings], None] | None = None,
    holds: Callable[[Readings], bool] | None = None,
    state_decides: bool = True,
) -> Readings:
    """Read State until `is_over`; events of it hasten that. Returns the last readings.

    Args:
        link: the device.
        is_over: decides on the readings.
        attributes: what is read together each time, "State" among them; at the first time State alone, since what is
            over by then needs no more.
        timeout_s: longest time.
        doing: what is waited for, for the message ("reach 9 keV").
        look: called with all readings but the first.
        holds: decides, where the server was lost and found meanwhile, whether the readings of all attributes show that
            it was done all the same; without it that counts as lost, since a server that was restarted forgot it.
        state_decides: `is_over` looks at State only; else all attributes are read at the first time, too.

    Raises:
        DeviceTimeout: not over in time; says what the device does now.
        DeviceUnreachable: the server was gone for two seconds, or came back without what was waited for.
    """
    wake = threading.Event()
    ignore = link.listen("State", lambda _: wake.set())
    try:
        wait = _Wait(link, is_over, attributes, timeout_s, doing, look, holds)
        return wait.run(wake, state_decides=state_decides)
    finally:
        ignore()


class _Wait:
    def __init__(
        self,
        link: TangoLink,
        is_over: Callable[[Readings], bool],
        attributes: tuple[str, ...],
        timeout_s: float,
        doing: str,
        look: Callable[[Readings], None] | None,
        holds: Callable[[Readings], bool] | None,
    ) -> None:
        self.holds = holds
        self.link, self.is_over, self.attributes = link, is_over, attributes
        self.timeout_s, self.doing, self.look = timeout_s, doing, look
        self.last: Readings | None = None
        self.lost_since: float | None = None

    def run(self, wake: threading.Event, *, state_decides: bool) -> Readings:
        deadline = time.monotonic() + self.timeout_s
        generation = self.link.generation
        pause, woken = _POLL_FIRST_S, True
        read = self._read_state if state_decides else self._read_all
        while True:
            wake.clear()
            proven = self.link.is_proven("State")
            readings = self._try(read)
            if readings is not None and self.is_over(readings):
                if self.link.generation != generation:
                    readings = self._check_restarted()
                if proven and not woken and not wake.wait(_POLL_S):
                    self.link.doubt_events("State")
                return readings
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise self._too_late()
            pause = _POLL_PROVEN_S if proven else min(2 * pause, _POLL_S)
            woken = wake.wait(min(pause, remaining))
            read = self._read_all

    def _read_state(self) -> Readings:
        """State alone, by the quickest call."""
        return {"State": Reading(self.link.state(), None, time.time())}

    def _read_all(self) -> Readings:
        readings = self.link.read(*self.attributes)
        if self.look is not None:
            self.look(readings)
        return readings

    def _try(self, read: Callable[[], Readings]) -> Readings | None:
        """The readings, None where the device did not answer but may come back."""
        try:
            readings = read()
        except DeviceUnreachable:
            now = time.monotonic()
            self.lost_since = self.lost_since or now
            if now - self.lost_since > _GRACE_S:
                raise
            return None
        except DeviceTimeout:
            return None  # busy, perhaps; the deadline decides
        self.lost_since, self.last = None, readings
        return readings

    def _check_restarted(self) -> Readings:
        """The readings after the server was lost and found, where they show that it was done."""
        readings = self.link.read(*self.attributes)
        if self.holds is not None and self.holds(readings):
            return readings
        seen = ", ".join(f"{name} {reading.value}" for name, reading in readings.items())
        error = DeviceUnreachable(
            f"{self.link.name}: lost its server before it could {self.doing}",
            seen=f"it answers again: {seen}",
            remedy="do it again; look at why the server ended",
        )
        error.link = self.link
        raise error

    def _too_late(self) -> DeviceError:
        if self.last is None:
            seen = "it did not answer"
        else:
            seen = ", ".join(f"{name} {reading.value}" for name, reading in self.last.items())
        return DeviceTimeout(
            f"{self.link.name}: did not {self.doing} in {self.timeout_s:g} s",
            seen=seen,
            remedy=f"look at {self.link.device}; a longer time is the option timeout_s",
        )
