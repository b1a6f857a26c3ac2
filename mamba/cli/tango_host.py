"""Which Tango control system a command speaks to."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import click

from mamba.cli.settings import Settings
from mamba.errors import FacilityError, NotRunning

HOST = re.compile(r"[^\s:/,]+:\d{1,5}")


def find_tango_host(settings: Settings, given: str | None) -> str:
    """HOST:PORT: `given`, else that of the beamline that runs in the runtime directory, else TANGO_HOST.

    Raises:
        NotRunning: none of the three.
        FacilityError: not HOST:PORT, or several of them; Tango's own message for that names nothing.
    """
    runtime = settings.find_runtime()
    state = (runtime.read_state("facility") or {}) if runtime.owner("facility") is not None else {}
    origin, host = next(
        (
            (origin, host)
            for origin, host in (
                ("--host", given),
                ("the beamline that runs here", state.get("tango_host")),
                ("TANGO_HOST", settings.environment.tango_host),
            )
            if host
        ),
        ("", ""),
    )
    if not host:
        raise NotRunning(
            f"{runtime.path}: nothing runs here, and TANGO_HOST is not set",
            remedy="start a beamline with 'mambactl up', or give --host HOST:PORT",
        )
    if HOST.fullmatch(host) is None:
        raise FacilityError(
            "Tango: no control system can be found", seen=f"{origin} says {host!r}", remedy="write one HOST:PORT"
        )
    return host


def host_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """The option --host, the same for every command of a control system."""
    return click.option("--host", metavar="HOST:PORT", help="Tango control system.")(command)
