"""The supervisor: one light process that brings the beamline up, watches it and takes it down.

Order up: database, registration, device servers (all at once), session host with the console. Order down: the reverse.
What dies is started again (`restarts`); what dies too often is reported as failed and the rest goes on.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sqlite3
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

from mamba.config import Profile
from mamba.errors import MambaError, ServerFailed
from mamba.facility import database
from mamba.facility.admin_link import AdminLink
from mamba.facility.console_link import wait_for_console
from mamba.facility.process import FacilityProcess, Kind, ProcessSpec
from mamba.facility.progress import Progress
from mamba.facility.registration import Wanted, store_value
from mamba.facility.restarts import RestartPolicy
from mamba.facility.site import find_site_servers
from mamba.facility.sweep import MARK, PROCESS_MARK, end_processes, find_processes, make_mark, sweep
from mamba.runtime import RuntimeDirectory

log = logging.getLogger(__name__)

STATE = "facility"
"""Name of the state file and of the lock."""
START_TIMEOUT_S = 30.0
"""What a single process has to become ready, in s; on a loaded machine imports alone take ten."""
_ANSWER_TIMEOUT_S = 3.0  # a database that runs answers in milliseconds
Ready = Callable[[FacilityProcess], Awaitable[None]]


class Supervisor:
    """Everything that runs in one runtime directory; `run` returns when it is cancelled, with all of it ended."""

    def __init__(
        self,
        runtime: RuntimeDirectory,
        profile: Profile,
        progress: Progress,
        *,
        with_console: bool = True,
        make_policy: Callable[[], RestartPolicy] = RestartPolicy,
    ) -> None:
        self.runtime = runtime
        self.profile = profile
        self.progress = progress
        self.with_console = with_console
        self.make_policy = make_policy
        self.tango_host = "" if profile.tango.host == "embedded" else profile.tango.host
        self.phase = "starting"
        self.processes: list[FacilityProcess] = []
        self.site_servers: dict[str, str] = {}
        self._started = time.time()
        self._port: socket.socket | None = None
        self._watches: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        """Bring up, watch until cancelled, take down.

        Raises:
            FacilityError: something did not come up; all that did has been taken down again.
        """
        try:
            await self._bring_up()
            self.phase = "running"
            self._write_state()
            self.progress.report_ready()
            await asyncio.gather(*self._watches)  # each ends only when its process failed for good
            await asyncio.Event().wait()
        finally:
            await self._take_down()

    # -- up

    async def _bring_up(self) -> None:
        self._write_state()
        async with AdminLink() as admin:
            if not self.tango_host:
                await self._start_database()
            await self._register(admin)
            await self._start_servers(admin)
        if self.with_console:
            await self._start_console()

    async def _start_database(self) -> None:
        since_s = time.monotonic()
        if self.runtime.database.exists():
            database.set_wal_mode(self.runtime.database)  # tells what is wrong with it more clearly than the server
        port = self.profile.tango.port
        self._port = database.reserve_same_port(self.runtime) if port == "auto" else database.reserve_port(port)
        number = self._port.getsockname()[1]
        self.tango_host = f"{database.LOOPBACK}:{number}"
        process = self._add("database", "database", database.make_command(number))
        await self._start(process, self._await_database)
        self._watch(process, self._await_database)
        self.progress.report_step("database", since_s=since_s, note=self.tango_host)

    async def _await_database(self, process: FacilityProcess) -> None:
        while not database.is_ready(process.read_new_log()):
            await asyncio.sleep(0.02)  # between two looks at its log; the caller has the deadline
        await asyncio.to_thread(database.set_wal_mode, self.runtime.database)

    async def _register(self, admin: AdminLink) -> None:
        since_s = time.monotonic()
        await admin.ask("answering", host=self.tango_host, timeout_s=_ANSWER_TIMEOUT_S)
        wanted = _list_wanted(self.profile)
        answer = await admin.ask(
            "register",
            host=self.tango_host,
            profile=self.profile.name,
            servers=wanted,
            is_shared=self.profile.tango.host != "embedded",
            timeout_s=START_TIMEOUT_S,
        )
        for change in answer["changes"]:
            log.info("registered: %s", change)
        self.progress.report_step("registration", since_s=since_s, note=f"{len(answer['changes'])} changes")

    async def _start_servers(self, admin: AdminLink) -> None:
        since_s = time.monotonic()
        if self.profile.tango.host != "embedded":
            self.site_servers = await find_site_servers(
                admin, self.tango_host, self.profile, self.progress, since_s=since_s
            )
        servers = {}
        for name, config in self.profile.servers.items():
            if name in self.site_servers:
                continue
            command = (sys.executable, "-m", config.module, name.partition("/")[2])
            process = self._add(name, "server", (*command, "-ORBendPoint", f"giop:tcp:{self.profile.tango.bind}:0"))
            process.start()
            servers[name] = process
        self._write_state()

        def note_ready(event: dict[str, Any]) -> None:
            name = event["ready"]
            servers[name].state = "running"
            self.progress.report_step(name, since_s=since_s, note=f"{len(self.profile.servers[name].devices)} devices")

        asking = admin.ask(
            "await",
            host=self.tango_host,
            servers={name: self._describe_wait(process) for name, process in servers.items()},
            timeout_s=START_TIMEOUT_S,
            on_event=note_ready,
        )
        answer = await self._race(asking, list(servers.values()), START_TIMEOUT_S + 5.0)
        for name, why in answer["waiting"].items():
            raise _make_late(servers[name], why)
        for process in servers.values():
            self._watch(process, self._await_server)

    def _describe_wait(self, process: FacilityProcess) -> dict[str, Any]:
        return {"pid": process.pid, "devices": list(self.profile.servers[process.spec.name].devices)}

    async def _await_server(self, process: FacilityProcess) -> None:
        async with AdminLink() as admin:
            servers = {process.spec.name: self._describe_wait(process)}
            answer = await admin.ask("await", host=self.tango_host, servers=servers, timeout_s=START_TIMEOUT_S)
        for why in answer["waiting"].values():
            raise _make_late(process, why)

    async def _start_console(self) -> None:
        since_s = time.monotonic()
        where = ("--runtime", str(self.runtime.path), "--profile", str(self.profile.path))
        process = self._add("console", "console", (sys.executable, "-m", "mamba.session", *where))
        await self._start(process, self._await_console)
        self._watch(process, self._await_console)
        self.progress.report_step("console", since_s=since_s)

    async def _await_console(self, process: FacilityProcess) -> None:
        devices = self.profile.devices
        await wait_for_console(
            self.runtime,
            timeout_s=START_TIMEOUT_S,
            log=process.spec.log,
            with_devices=bool(devices.M or devices.D),
        )

    # -- one process

    def _make_spec(self, name: str, kind: Kind, argv: tuple[str, ...]) -> ProcessSpec:
        environment = {
            **os.environ,
            "MAMBA_RUNTIME_DIR": str(self.runtime.path),
            "MAMBA_PROFILE": str(self.profile.path),
            "MAMBA_TRUTH_DIR": str(self.runtime.truth),
            "PYTANGO_DATABASE_NAME": str(self.runtime.database),
            "TANGO_HOST": self.tango_host,
            "PYTHONUNBUFFERED": "1",  # a log must hold what was said before a crash
            MARK: make_mark(self.runtime),
            PROCESS_MARK: name,
        }
        # A console in the middle of a scan needs time to end it cleanly; one that had to be killed, to be made safe.
        stop_within_s = 12.0 if kind == "console" else 3.0
        file = self.runtime.logs / f"{name.replace('/', '-')}.log"
        return ProcessSpec(name, kind, argv, environment, file, stop_within_s)

    def _add(self, name: str, kind: Kind, argv: tuple[str, ...]) -> FacilityProcess:
        process = FacilityProcess(self._make_spec(name, kind, argv))
        if process.spec.log.exists():
            process.spec.log.replace(process.spec.log.with_suffix(".log.1"))
        self.processes.append(process)
        return process

    async def _start(self, process: FacilityProcess, ready: Ready) -> None:
        """Start it and wait until `ready` says so; an end before that is a failure."""
        process.start()
        self._write_state()
        await self._race(ready(process), [process], START_TIMEOUT_S + 5.0)  # it keeps to its time itself
        process.state = "running"
        self._write_state()

    async def _race(self, work: Awaitable[Any], processes: list[FacilityProcess], timeout_s: float) -> Any:
        """The result of `work`, unless one of `processes` ends first.

        Raises:
            ServerFailed: one ended, or the time was over.
        """
        wanted = asyncio.ensure_future(work)
        ends = {asyncio.create_task(process.wait()): process for process in processes}
        try:
            done, _ = await asyncio.wait({wanted, *ends}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            if wanted in done:
                return wanted.result()
            for task in done:
                raise ends[task].make_failure("ended before it was ready")
            raise processes[0].make_failure(f"was not ready within {timeout_s:g} s")
        finally:
            await _cancel([wanted, *ends])

    def _watch(self, process: FacilityProcess, ready: Ready) -> None:
        self._watches.append(asyncio.create_task(self._keep_running(process, ready)))

    async def _keep_running(self, process: FacilityProcess, ready: Ready) -> None:
        """Start it again whenever it dies, until it dies too often."""
        policy = self.make_policy()
        while True:
            await process.wait()
            delay_s = policy.plan_restart(time.monotonic())
            failure = process.make_failure("died")
            log.warning("%s", failure)
            await self._end_remains(process)
            if delay_s is None:
                process.state = "failed"
                log.error("%s: died too often, it stays down", process.spec.name)
                self._write_state()
                return
            process.state = "restarting"
            self._write_state()
            await asyncio.sleep(delay_s)
            process.restarts += 1
            await self._restart(process, ready)

    async def _restart(self, process: FacilityProcess, ready: Ready) -> None:
        try:
            await self._start(process, ready)
        except MambaError as error:
            # Whether it ended or hangs: the next turn of the watch finds it ended and counts it.
            log.warning("%s: the restart failed: %s", process.spec.name, error)
            await process.stop()
        else:
            log.info("%s: runs again as process %s", process.spec.name, process.pid)

    async def _end_remains(self, process: FacilityProcess) -> None:
        """End what a dead process left running (an IPython without its host, Ray), so that it cannot meet its heir."""
        remains = await asyncio.to_thread(find_processes, self.runtime, name=process.spec.name)
        await asyncio.to_thread(end_processes, remains, timeout_s=process.spec.stop_within_s)

    # -- down

    async def _take_down(self) -> None:
        self.phase = "stopping"
        self._write_state()
        await _cancel(self._watches)
        for kind in ("console", "server", "database"):
            group = [process for process in self.processes if process.spec.kind == kind]
            await asyncio.gather(*(process.stop() for process in group))
            if kind == "console":
                for process in group:
                    await self._end_remains(process)
        ended, removed = await asyncio.to_thread(sweep, self.runtime)
        for left in ended:
            log.warning("swept: process %s of %s", left.pid, left.name)
        for file in removed:
            log.info("swept: %s", file)
        if self._port is not None:
            self._port.close()
        if self.runtime.database.exists():
            try:
                database.close_wal(self.runtime.database)
            except sqlite3.Error as error:  # nothing is lost: whoever opens the file next reads the log beside it
                log.warning("%s: its write-ahead log stays: %s", self.runtime.database, error)
        (self.runtime.path / f"{STATE}.json").unlink(missing_ok=True)

    def _write_state(self) -> None:
        self.runtime.write_state(
            STATE,
            {
                "pid": os.getpid(),
                "phase": self.phase,
                "started": self._started,
                "profile": {
                    "name": self.profile.name,
                    "path": str(self.profile.path),
                    "title": self.profile.title,
                },
                "tango_host": self.tango_host,
                "with_console": self.with_console,
                "site_servers": self.site_servers,
                "processes": [process.describe() for process in self.processes],
            },
        )


async def _cancel(tasks: list[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _make_late(process: FacilityProcess, why: str) -> ServerFailed:
    return ServerFailed(
        f"{process.spec.name}: was not ready within {START_TIMEOUT_S:g} s",
        seen=why,
        remedy=f"read {process.spec.log}",
    )


def _list_wanted(profile: Profile) -> dict[str, dict[str, Wanted]]:
    return {
        server: {
            name: {
                "server": server,
                "class": device.class_name,
                "alias": device.alias or "",
                "properties": {key: store_value(value) for key, value in device.properties.items()},
            }
            for name, device in config.devices.items()
        }
        for server, config in profile.servers.items()
    }
