"""mambactl gui."""

from __future__ import annotations

import os
import sys

import click

from mamba.cli.settings import Settings
from mamba.errors import FacilityError, NotRunning


@click.command()
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def gui(settings: Settings, *, arguments: tuple[str, ...]) -> None:
    """Open the operator's window on the running beamline.

    The window is a program of its own: closing it ends nothing else. ARGUMENTS go to it as they are.
    """
    import importlib.util

    runtime = settings.find_runtime()
    state = runtime.read_state("facility")
    if state is None or runtime.owner("facility") is None:
        raise NotRunning(f"{runtime.path}: nothing runs here", remedy="start it with 'mambactl up'")
    if importlib.util.find_spec("PyQt5") is None:
        raise FacilityError(
            "gui: PyQt5 is not installed", remedy="pip install 'mamba-beamline[windows]' in this environment"
        )
    environment = {
        **os.environ,
        "MAMBA_RUNTIME_DIR": str(runtime.path),
        "MAMBA_PROFILE": state["profile"]["path"],
        "TANGO_HOST": state["tango_host"],
    }
    # The window takes the place of this process: its exit code and its signals are the window's own.
    os.execve(sys.executable, [sys.executable, "-m", "taurus_gui", *arguments], environment)  # noqa: S606  # no shell
