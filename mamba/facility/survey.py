"""What runs in a runtime directory and how it is: the one look that `mambactl status` and `doctor` share."""

from __future__ import annotations

import asyncio
import contextlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mamba.config import Profile, load_profile
from mamba.errors import FacilityError, MambaError, NotRunning
from mamba.facility.admin_link import AdminLink
from mamba.facility.console_link import look_at_console
from mamba.runtime import RuntimeDirectory

SURVEY_TIMEOUT_S = 3.0
"""What has not answered by then, in s, counts as not answering."""


@dataclass
class Survey:
    """One look; `problems` names in one line each what is not as it should be."""

    state: dict[str, Any]
    profile: Profile | None = None
    servers: dict[str, dict[str, Any]] = field(default_factory=dict)
    devices: list[dict[str, str | None]] = field(default_factory=list)
    console: dict[str, Any] = field(default_factory=dict)
    tango_problem: str = ""
    problems: list[str] = field(default_factory=list)


def take_survey(runtime: RuntimeDirectory) -> Survey:
    """Look at everything that runs here.

    Raises:
        NotRunning: no supervisor does.
    """
    owner = runtime.owner("facility")
    state = runtime.read_state("facility")
    if owner is None or state is None:
        raise NotRunning(f"{runtime.path}: nothing runs here", remedy="start it with 'mambactl up'")
    survey = Survey(state)
    for process in state["processes"]:
        process["rss_mb"] = read_rss_mb(process["pid"])
        if process["state"] != "running":
            survey.problems.append(f"{process['name']}: {process['state']}, see {process['log']}")
    _load_profile(survey)
    _look_at_tango(survey)
    if state["with_console"]:
        _look_at_console(survey, runtime)
    return survey


def read_rss_mb(pid: int | None) -> float | None:
    """Resident memory of a process in MB; None when it is gone."""
    if pid is None:
        return None
    with contextlib.suppress(OSError):
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)
    return None


def _load_profile(survey: Survey) -> None:
    try:
        survey.profile = load_profile(Path(survey.state["profile"]["path"]))
    except MambaError as error:
        survey.problems.append(f"the profile cannot be read any more: {error.what}")


def _look_at_tango(survey: Survey) -> None:
    profile, host = survey.profile, survey.state["tango_host"]
    if profile is None or not host:
        return
    named = name_devices(profile)
    unanswered = f"no answer within {SURVEY_TIMEOUT_S:g} s"
    servers = {name: {"answers": False, "pid": None, "why": unanswered} for name in profile.servers}
    devices = {tango: {"state": "UNREACHABLE", "status": "", "why": unanswered} for _, tango in named}
    try:
        asyncio.run(_ask_tango(host, servers, devices))
    except MambaError as error:
        survey.tango_problem = str(error)
        survey.problems.append(error.what)
        return
    survey.servers = servers
    for name, tango in named:
        seen = devices[tango]
        survey.devices.append({"name": name, "tango": tango, **seen})
        if seen["state"] == "UNREACHABLE":
            survey.problems.append(f"{name or tango}: {seen['why']}")
    for server, answer in servers.items():
        if not answer["answers"]:
            survey.problems.append(f"{server}: does not answer: {answer['why']}")


async def _ask_tango(host: str, servers: dict[str, dict[str, Any]], devices: dict[str, dict[str, str]]) -> None:
    """Fill in what answers; raises only when the database does not."""
    database_answers = False

    def take(event: dict[str, Any]) -> None:
        nonlocal database_answers
        database_answers = True
        if "server" in event:
            servers[event["server"]] = event["seen"]
        elif "device" in event:
            devices[event["device"]] = event["seen"]

    async with AdminLink() as link:
        try:
            await link.ask(
                "survey",
                host=host,
                timeout_s=SURVEY_TIMEOUT_S,
                servers=list(servers),
                devices=list(devices),
                on_event=take,
            )
        except FacilityError:
            if not database_answers:
                raise


def name_devices(profile: Profile) -> list[tuple[str | None, str]]:
    """Every device as (expression in the console or None, Tango name): those of `M` and `D`, then the other ones."""
    groups = (("M", profile.devices.M), ("D", profile.devices.D))
    named: list[tuple[str | None, str]] = [
        (f"{group}.{key}", device.tango) for group, devices in groups for key, device in devices.items()
    ]
    known = {tango.lower() for _, tango in named}
    served = [device for server in profile.servers.values() for device in server.devices]
    return named + [(None, device) for device in served if device.lower() not in known]


def _look_at_console(survey: Survey, runtime: RuntimeDirectory) -> None:
    try:
        state = look_at_console(runtime)
    except MambaError as error:
        survey.console = {"answers": False, "why": error.what}
        survey.problems.append(f"console: {error.what}")
        return
    kept = {key: state.get(key) for key in ("prompt", "running", "waiting", "run", "person")}
    survey.console = {"answers": True, "why": "", **kept}
    if state.get("prompt") == "dead":
        survey.problems.append("console: IPython has ended")
