"""mambactl doctor: every piece looked at, each broken one with its remedy."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import click

from mamba.cli.machine import check_machine
from mamba.cli.settings import Settings
from mamba.errors import MambaError, NotRunning
from mamba.facility.survey import Survey, take_survey
from mamba.facility.sweep import find_orphaned_memory, find_processes
from mamba.runtime import RuntimeDirectory

_SIGNS = {"ok": ("✓", "green"), "broken": ("✗", "red"), "note": ("–", "yellow")}
_LEAST_DISK_BYTES = 2 * 10**9
_LEAST_MEMORY_BYTES = 200 * 10**6


@dataclass(frozen=True)
class Finding:
    """What one check found; *note* is something that is not there and need not be."""

    verdict: Literal["ok", "broken", "note"]
    text: str
    remedy: str = ""


@click.command()
@click.pass_obj
def doctor(settings: Settings) -> int:
    """Check every piece; name each broken one and what to do.

    Works whether the beamline is up or not. Exit code 1 if anything is broken (✗); what is merely absent (–) is not.
    """
    broken = 0
    for finding in examine(settings):
        sign, color = _SIGNS[finding.verdict]
        click.echo(f"{click.style(sign, fg=color)} {finding.text}")
        if finding.remedy:
            click.echo(f"    do: {finding.remedy}")
        broken += finding.verdict == "broken"
    click.echo(f"\n{broken} broken" if broken else "\nall is well")
    return 1 if broken else 0


def examine(settings: Settings) -> Iterator[Finding]:
    """All checks, one after the other."""
    runtime = settings.find_runtime()
    yield from _check_runtime(runtime)
    yield from _check_profile(settings)
    data_base = Path.cwd()
    try:
        survey = take_survey(runtime)
    except NotRunning:
        yield from _check_leftovers(runtime)
    else:
        yield from _check_running(survey, runtime)
        data_base = Path(os.readlink(f"/proc/{survey.state['pid']}/cwd"))
    yield from _check_space(settings, data_base)
    for verdict, text, remedy in check_machine():
        yield Finding(verdict, text, remedy)


def _check_runtime(runtime: RuntimeDirectory) -> Iterator[Finding]:
    try:
        info = runtime.path.stat()
    except FileNotFoundError:
        yield Finding("note", f"runtime directory {runtime.path}: none yet, 'mambactl up' makes it")
        return
    mode = stat.S_IMODE(info.st_mode)
    if info.st_uid != os.getuid() or mode & 0o077:
        yield Finding(
            "broken",
            f"runtime directory {runtime.path}: others could reach the sockets in it (uid {info.st_uid}, {mode:04o})",
            f"chmod 700 {runtime.path}, or name another one with --runtime",
        )
    else:
        yield Finding("ok", f"runtime directory {runtime.path}, mode {mode:04o}")


def _check_profile(settings: Settings) -> Iterator[Finding]:
    try:
        profile = settings.profile
    except MambaError as error:
        yield Finding("broken", f"{error.what} {error.seen}".strip(), error.remedy)
    else:
        yield Finding("ok", f"profile {profile.path}")


def _check_leftovers(runtime: RuntimeDirectory) -> Iterator[Finding]:
    owner = runtime.owner("facility")
    if owner is not None:
        yield Finding(
            "broken",
            f"process {owner} holds the lock but wrote no state",
            f"'mambactl down', or look at process {owner}",
        )
        return
    orphans = find_processes(runtime)
    if orphans:
        names = ", ".join(f"{process.name} ({process.pid})" for process in orphans)
        yield Finding("broken", f"left by a supervisor that was killed: {names}", "'mambactl down' ends them")
    else:
        yield Finding("note", "the beamline is not up ('mambactl up'), and nothing was left behind")
    memory = sorted(str(file) for file in find_orphaned_memory())
    if memory:
        yield Finding("broken", f"shared memory that nobody uses: {', '.join(memory)}", "'mambactl down' removes it")


def _check_running(survey: Survey, runtime: RuntimeDirectory) -> Iterator[Finding]:
    state = survey.state
    yield Finding("ok", f"supervisor: process {state['pid']}, {state['phase']}")
    for process in state["processes"]:
        fine = process["state"] == "running"
        words = f"{process['name']}: {process['state']}, process {process['pid']}, restarts {process['restarts']}"
        remedy = f"read {process['log']}"
        if process["state"] == "failed":
            remedy += "; 'mambactl down' and 'up' start it anew"
        yield Finding("ok" if fine else "broken", words, "" if fine else remedy)
    yield from _check_tango(survey, runtime)
    if state["with_console"]:
        yield from _check_console(survey)
    else:
        yield Finding("note", "console: not asked for (--without-console)")


def _check_tango(survey: Survey, runtime: RuntimeDirectory) -> Iterator[Finding]:
    host = survey.state["tango_host"]
    if survey.tango_problem:
        yield Finding("broken", survey.tango_problem.replace("\n", " "), f"read {runtime.logs / 'database.log'}")
        return
    yield Finding("ok", f"Tango database {host} answers")
    if runtime.database.exists():
        from mamba.facility.database import read_journal_mode

        mode = read_journal_mode(runtime.database)
        yield Finding("ok" if mode == "wal" else "broken", f"Tango database file: journal mode {mode}")
    for server_name, server in survey.servers.items():
        if server["answers"]:
            yield Finding("ok", f"{server_name} answers")
        else:
            remedy = f"read {runtime.logs / server_name.replace('/', '-')}.log"
            if server_name in survey.state["site_servers"]:
                remedy = "it is the site's: see Astor, or whoever started it"
            yield Finding("broken", f"{server_name} does not answer: {server['why']}", remedy)
    for device in survey.devices:
        name, seen = device["name"] or device["tango"], device["state"]
        words = f"{name}: {seen} {device['status'] or device['why']}".rstrip()
        if seen in ("FAULT", "UNREACHABLE", "UNKNOWN"):
            remedy = f"Init the device, or restart its server; Tango name {device['tango']}"
            if "not defined in the database" in words:
                remedy = f"mend the name {device['tango']} in the profile, or register it in the database"
            yield Finding("broken", words, remedy)
        else:
            yield Finding("ok", words)


def _check_console(survey: Survey) -> Iterator[Finding]:
    console = survey.console
    if not console["answers"]:
        yield Finding(
            "broken",
            f"console: {console['why']}",
            "see logs/console.log and logs/ipython.log; 'mambactl down' and 'up' start it anew",
        )
    elif console["prompt"] in ("dead", "starting"):
        yield Finding(
            "broken",
            f"console: its prompt is {console['prompt']}",
            "see the transcript in logs/console.transcript; 'mambactl down' and 'up' start it anew",
        )
    else:
        yield Finding("ok", f"console answers, prompt {console['prompt']}")


def _check_space(settings: Settings, base: Path) -> Iterator[Finding]:
    places = [("shared memory", Path("/dev/shm"), _LEAST_MEMORY_BYTES)]  # noqa: S108  # looked at, not written to
    with contextlib.suppress(MambaError):  # the profile has its own finding
        places.insert(0, ("data", base / settings.profile.data.directory, _LEAST_DISK_BYTES))
    for name, folder, least in places:
        there = next(parent for parent in (folder, *folder.parents) if parent.exists())
        info = os.statvfs(there)
        free = info.f_bavail * info.f_frsize
        words = f"{name} {folder}: {free / 1e9:.1f} GB free"
        if free < least:
            yield Finding("broken", words, f"make room: at least {least / 1e9:.1f} GB")
        elif not os.access(there, os.W_OK):
            yield Finding("broken", f"{name} {folder}: cannot be written", f"see the rights of {there}")
        else:
            yield Finding("ok", words)
