"""Servers that may be killed, a motor and a detector on them, and a run engine, for the tests of lost devices."""

from __future__ import annotations

import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from mamba.config import BUILT_IN_PROFILE, DataConfig, load_profile
from mamba.config.profile import ScansConfig
from mamba.devices import Motor, TangoSignal
from mamba.errors import DeviceError
from mamba.scans import BeamlineRunEngine, make_run_engine
from tests.devices.support import rig
from tests.faults import slow_server
from tests.support.engines import ending
from tests.support.tango_facility import TangoFacility, running_facility, wait_until

RIG, SLOW = "Rig/lost", "Slow/lost"
MODULES = {RIG: "tests.devices.support.rig", SLOW: "tests.faults.slow_server"}
DEVICES = {RIG: (rig.NAME, "Rig"), SLOW: (slow_server.NAME, "Slow")}


@dataclass
class Lost:
    """What a test of lost devices works with; `documents` are those of the last run."""

    facility: TangoFacility
    motor: Motor
    level: TangoSignal
    slow: Motor
    engine: BeamlineRunEngine
    documents: list[tuple[str, dict[str, Any]]]

    def kill(self, server: str = RIG) -> None:
        process = self.facility.servers.pop(server)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()

    def start(self, server: str = RIG) -> float:
        """Start it again; when it was up, monotonic."""
        self.facility.start(server, MODULES[server])
        return time.monotonic()

    def signal(self, number: int, server: str = RIG) -> None:
        process = psutil.Process(self.facility.servers[server].pid)
        process.send_signal(number)
        if number == signal.SIGSTOP:
            wait_until(lambda: process.status() == psutil.STATUS_STOPPED, what="the server is stopped")

    @contextmanager
    def running(self, plan: Any) -> Iterator[Future[Any]]:
        """The plan runs in another thread."""
        self.documents.clear()
        with ThreadPoolExecutor(1) as pool:
            yield pool.submit(self.engine, plan)

    def wait_points(self, count: int) -> None:
        wait_until(lambda: len(self.points()) >= count, what=f"{count} points", timeout_s=20)

    def points(self) -> list[float]:
        return [doc["data"]["M_lost"] for name, doc in self.documents if name == "event"]

    def stop_document(self) -> dict[str, Any]:
        return next(doc for name, doc in self.documents if name == "stop")

    def wait_suspended(self) -> None:
        wait_until(lambda: self.engine.waiting.waits_for, what="the run is suspended", timeout_s=20)


@contextmanager
def lost_devices(*, longest_s: float = 60.0) -> Iterator[Lost]:
    """All of it, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="mb-lost-", dir="/tmp") as folder:
        profile = load_profile(BUILT_IN_PROFILE)
        profile = profile.model_copy(
            update={"data": DataConfig(directory=Path(folder)), "scans": ScansConfig(wait_for_devices_s=longest_s)}
        )
        with ending(make_run_engine(profile)) as engine, running_facility(Path(folder)) as facility:
            for server, (name, class_name) in DEVICES.items():
                facility.register(server, {name: (class_name, {})})
                facility.start(server, MODULES[server])
            with _devices(facility, engine) as lost:
                yield lost


@contextmanager
def _devices(facility: TangoFacility, engine: BeamlineRunEngine) -> Iterator[Lost]:
    address = f"tango://{facility.host}/"
    motor = Motor(f"{address}{rig.NAME}", name="M.lost", timeout_s=20)
    level = TangoSignal("Level", name="D.level", tango=f"{address}{rig.NAME}")
    slow = Motor(f"{address}{slow_server.NAME}", name="M.slow", timeout_s=20, call_timeout_s=0.6)
    documents: list[tuple[str, dict[str, Any]]] = []
    engine.subscribe_quick(lambda name, doc: documents.append((name, doc)))
    try:
        yield Lost(facility, motor, level, slow, engine, documents)
    finally:
        for device in (motor, level, slow):
            device.destroy()


def until_good(read: Callable[[], Any], timeout_s: float = 20.0) -> float:
    """Read until it succeeds; when it did, monotonic."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            read()
        except DeviceError:
            assert time.monotonic() < deadline, "no good read in time"
            threading.Event().wait(0.02)
        else:
            return time.monotonic()
