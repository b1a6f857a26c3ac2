"""Devices whose `trigger` takes time: what it began ends with a pause, and with the run.

A counter that is left counting refuses the next count time and the next start, so that a run that was paused could
not go on, and one that was aborted could not be begun again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ophyd.utils.errors import WaitTimeoutError

from mamba.devices.base import TangoDevice
from mamba.devices.waiting import Status, run_for_status
from mamba.errors import DeviceError, DeviceTimeout, DeviceUnreachable

log = logging.getLogger(__name__)

_STOPPING_S = 2.0
"""How long a pause waits for what was stopped to be over; a server may take a moment."""
_AGAIN_S = 0.2
"""Then the stop is given again: the first may have come before the start."""


class Acquiring(TangoDevice):
    """A device that takes one reading at a time, with a command to stop it."""

    def __init__(self, tango: str, *, name: str, **kwargs: Any) -> None:
        self._taking: tuple[Status, threading.Event] | None = None
        super().__init__(tango, name=name, **kwargs)

    def begin_taking(self, take: Callable[[], None]) -> Status:
        """Do `take` in a worker thread; the status ends with it, and without an error where it was cut short."""
        is_cut = threading.Event()

        def act() -> None:
            try:
                take()
            except DeviceError:
                if not is_cut.is_set():
                    raise

        status = Status(self)
        self._taking = (status, is_cut)
        return run_for_status(status, act, name=self.name)

    def stop(self, *, success: bool = False) -> None:
        """End it now; what was taken stays readable."""
        self.link.call(self.command_of["stop"])

    def pause(self) -> None:
        """The run is paused: stop what is under way, since it is begun anew at `resume`."""
        self._cut_short()

    def resume(self) -> None:
        """The run goes on; its plan triggers again."""

    def unstage(self) -> list[Any]:
        """The run is over: stop what is under way."""
        self._cut_short()
        unstaged: list[Any] = super().unstage()
        return unstaged

    def _cut_short(self) -> None:
        if self._taking is None:
            return
        status, is_cut = self._taking
        deadline = time.monotonic() + _STOPPING_S
        while not status.done and time.monotonic() < deadline:
            is_cut.set()
            try:
                self.stop()
            except (DeviceUnreachable, DeviceTimeout) as error:
                log.warning("%s: not stopped: %s", self.name, error.what)
                return
            with suppress(WaitTimeoutError):
                status.exception(_AGAIN_S)
