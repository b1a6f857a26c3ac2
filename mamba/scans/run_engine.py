"""The run engine of a beamline: bluesky's, with what a beamline needs around it.

Runs are numbered across sessions, every run leaves a NeXus file and a verdict, a consumer that raises or blocks does
not end or hold a scan, device names may have dots, and the reason a person gives for an end reaches the stop document.
"""

from __future__ import annotations

import asyncio
import getpass
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

from bluesky import RunEngine
from bluesky.utils import FailedPause, FailedStatus, PlanHalt, RequestAbort, SigintHandler, maybe_await
from event_model import DocumentNames

from mamba.config import Profile
from mamba.devices.descriptors import record_objects_by_key
from mamba.devices.in_use import keep_names_in_runs
from mamba.devices.upstream_costs import remove_scan_costs
from mamba.errors import DeviceTimeout, DeviceUnreachable, MambaError
from mamba.scans.consumers import Consumer, GuardedConsumer, QueuedConsumer, wait_at_end
from mamba.scans.ending import act_in_main_thread_only, keep_reason
from mamba.scans.grouped_reads import read_signals_together
from mamba.scans.ledgers import LedgerKeeper
from mamba.scans.nexus import NexusWriter
from mamba.scans.scan_numbers import ScanNumbers
from mamba.scans.suspending import DeviceWaiting
from mamba.scans.upstream_clock import measure_delays_monotonically
from mamba.scans.verdict import VerdictKeeper

_ASKED_ENDS = (asyncio.CancelledError, FailedPause, PlanHalt, RequestAbort)
_RECORDED_VERSIONS = ("mamba-beamline", "bluesky", "ophyd", "event-model", "numpy", "h5py", "pytango")


class DeviceFailed(FailedStatus):
    """What a plan gets when a status fails: bluesky's exception, with the text of the device's own error."""

    def __str__(self) -> str:
        return str(self.__cause__)


@contextmanager
def _own_errors() -> Iterator[None]:
    try:
        yield
    except FailedStatus as failed:
        if isinstance(failed.__cause__, MambaError):
            raise failed.__cause__ from None
        raise


class BeamlineRunEngine(RunEngine):
    """bluesky's RunEngine for one beamline; made by `make_run_engine`.

    Attributes:
        writer: the NeXus writer that is subscribed first, so that a run's files are complete when a later consumer
            sees its stop document.
        verdicts: what is wrong with each run, subscribed second.
        waiting: suspends a run while a device is lost.
        guards: the consumers that are subscribed, by token, with what failed, waits or was dropped.
    """

    def __init__(self, *, directory: Path, md: dict[str, Any], wait_for_devices_s: float = 0.0) -> None:
        super().__init__(
            md, scan_id_source=ScanNumbers(directory), context_managers=[act_in_main_thread_only(SigintHandler)]
        )
        self.log.logger.addFilter(_quiet_end)
        self.guards: dict[int, GuardedConsumer] = {}
        keep_reason(self)
        keep_names_in_runs(self)
        read_signals_together(self)
        self._ledgers = LedgerKeeper(self)
        self.waiting = DeviceWaiting(self, longest_s=wait_for_devices_s)
        self.writer = NexusWriter(directory)
        self.verdicts = VerdictKeeper(self.writer.files_of)
        self.subscribe_quick(self.writer)
        self.subscribe_quick(self.verdicts)

    def files_of(self, uid: str) -> list[Path]:
        """Files that the run with start uid `uid` left, the NeXus master file first; empty for an unknown run."""
        return self.writer.files_of(uid)

    def problems_of(self, uid: str) -> list[str]:
        """What is wrong with the finished run `uid`, one sentence each; empty when all is well."""
        return [*self.verdicts.problems_of(uid), *self.writer.problems_of(uid)]

    def subscribe(self, func: Consumer, name: str = "all") -> int:
        """As bluesky's, but a consumer that raises is logged and counted, and one that blocks is not waited for.

        The consumer is called in a thread of its own, and held strongly (bluesky lets bound methods go when nobody
        else holds their object).
        """
        return self._add_guard(QueuedConsumer(func), name)

    def subscribe_quick(self, func: Consumer) -> int:
        """As `subscribe`, but called in the engine's own thread: for a consumer that never blocks."""
        return self._add_guard(GuardedConsumer(func), "all")

    def _add_guard(self, guard: GuardedConsumer, name: str) -> int:
        token: int = super().subscribe(guard, name)
        self.guards[token] = guard
        return token

    def unsubscribe(self, token: int) -> None:
        """As bluesky's; a consumer that is behind still gets what waits for it."""
        guard = self.guards.pop(token, None)
        super().unsubscribe(token)
        if guard is not None:
            guard.close()

    async def emit(self, name: DocumentNames, doc: dict[str, Any]) -> None:
        """As bluesky's; a stop document says what became of the frames: `ledgers`, one entry for each detector."""
        if name is DocumentNames.stop and (told := self._ledgers.summarize()):
            doc["ledgers"] = told
        await super().emit(name, doc)
        if name is DocumentNames.stop:
            wait_at_end(self.guards.values())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """As bluesky's; a device's own error comes out instead of a `FailedStatus` around it."""
        if self.state == "idle":
            self.waiting.begin()
        with _own_errors(), self._tell_about_consumers():
            return super().__call__(*args, **kwargs)

    def resume(self) -> Any:
        """As bluesky's; a device's own error comes out instead of a `FailedStatus` around it."""
        with _own_errors(), self._tell_about_consumers():
            return super().resume()

    @contextmanager
    def _tell_about_consumers(self) -> Iterator[None]:
        """Say on the screen, when the run is over, which consumers failed in it or are behind."""
        before = {token: (guard.failures, guard.dropped) for token, guard in self.guards.items()}
        try:
            yield
        finally:
            for token, guard in tuple(self.guards.items()):
                failures, dropped = before.get(token, (0, 0))
                if told := guard.describe_trouble(since_failures=failures, since_dropped=dropped):
                    print(told)  # noqa: T201  # the person at the prompt waits for what this consumer shows

    def abort(self, reason: str = "") -> Any:
        """End the run after clean-up, marked `abort`; `reason` reaches the stop document."""
        return self._end_with(reason, super().abort, reason)

    def stop(self, reason: str = "") -> Any:
        """End the run after clean-up, marked `success`; `reason` reaches the stop document."""
        return self._end_with(reason, super().stop)

    def halt(self, reason: str = "") -> Any:
        """End the run without clean-up, marked `abort`; `reason` reaches the stop document."""
        return self._end_with(reason, super().halt)

    def _end_with(self, reason: str, end: Any, *args: str) -> Any:
        self._reason = reason
        with _own_errors():  # what the clean-up of a paused plan raises
            return end(*args)

    def _status_object_completed(self, ret: Any, fut: Any, pardon_failures: Any) -> None:
        if not ret.success and not pardon_failures.is_set() and self.waiting.take_failed(ret.exception(0), fut):
            return
        # a plan still catches FailedStatus, but its text, which becomes the reason, is what the device said
        super()._status_object_completed(ret, fut, pardon_failures)
        with self._state_lock:
            failed: Any = self._exception  # type: ignore[has-type]  # set by bluesky, untyped
            if type(failed) is FailedStatus and failed.__cause__ is not None:
                self._exception = DeviceFailed(*failed.args)
                self._exception.__cause__ = failed.__cause__

    def _rewind(self) -> Any:
        return self.waiting.hand_on_answer(super()._rewind())

    async def _stop_movable_objects(self, *, success: bool = True) -> None:
        """As bluesky's; a device that is lost is no error of the engine: it is stopped when it answers."""
        for device in tuple(self._movable_objs_touched):
            stop = getattr(device, "stop", None)
            if stop is None:
                continue
            try:
                await maybe_await(stop(success=success))
            except (DeviceUnreachable, DeviceTimeout) as error:
                self.log.warning("%s; it is stopped when it answers", error.what)
            except Exception:  # whatever a device raises, the others are stopped
                self.log.exception("Failed to stop %r.", device)


def _quiet_end(record: logging.LogRecord) -> bool:
    """A run that ended is no error of the run engine: whoever called it gets the exception."""
    if record.msg == "Run aborted":
        record.levelno, record.levelname = logging.INFO, "INFO"
        if record.exc_info and isinstance(record.exc_info[1], _ASKED_ENDS):
            record.exc_info = None  # somebody ended it: where the plan was then explains nothing
    return True


def make_run_engine(profile: Profile) -> BeamlineRunEngine:
    """The run engine for `profile`: NeXus writer subscribed, metadata filled in, upstream's costs removed.

    Files go to `profile.data.directory`, taken from the current directory when it is relative; it is made with the
    first run. `md` starts with beamline, facility, person and the versions of the packages involved.
    """
    remove_scan_costs()
    measure_delays_monotonically()
    record_objects_by_key()
    md: dict[str, Any] = {
        "beamline": profile.title or profile.name,
        "facility": profile.facility,
        "person": profile.person or getpass.getuser(),
        "packages": read_versions(),
    }
    return BeamlineRunEngine(
        directory=profile.data.directory.absolute(), md=md, wait_for_devices_s=profile.scans.wait_for_devices_s
    )


def read_versions() -> dict[str, str]:
    """Versions of the packages that take part in a run; those that are not installed are left out."""
    versions = {}
    for package in _RECORDED_VERSIONS:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions
