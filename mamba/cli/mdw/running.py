"""mambactl mdw status, top, arm, start, stop: the graphs of the session that runs here."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mamba.cli.console import connect, login_option
from mamba.cli.settings import Settings
from mamba.errors import FacilityError, ZError

if TYPE_CHECKING:
    from rich.console import Console

    from mamba.data_worker.status_table import GraphStatus
    from mamba.wire.client import Client

_FILE_WIDTH = 160
_detector = click.option(
    "--detector", metavar="D.NAME", default="", help="Whose graph, or its name; else the only one."
)


@click.command()
@_detector
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@login_option
@click.pass_obj
def status(settings: Settings, *, detector: str, as_json: bool, person: str | None) -> int:
    """Say what the graphs do, node by node: rows/s, MB/s, queue, credits, drops, lag, CPU, memory."""
    with connect(settings, person) as client:
        found = _read(client, detector)
    if as_json:
        click.echo(json.dumps([each.as_data() for each in found], indent=2))
    else:
        _print(found)
    return 0


@click.command()
@_detector
@click.option(
    "--every", "every_s", type=click.FloatRange(0.1, 60), default=0.5, help="Seconds from look to look.  [0.5]"
)
@click.option("--for", "for_s", type=click.FloatRange(min=0), help="End after that many seconds; else with Ctrl-C.")
@login_option
@click.pass_obj
def top(settings: Settings, *, detector: str, every_s: float, for_s: float | None, person: str | None) -> int:
    """Watch the graphs: the table of 'status', live."""
    from rich.live import Live

    from mamba.data_worker.status_table import make_table

    console = _make_console()
    end = None if for_s is None else time.monotonic() + for_s
    with connect(settings, person) as client, Live(console=console, auto_refresh=False) as live:
        while True:
            began = time.monotonic()
            live.update(make_table(_read(client, detector), console.width), refresh=True)
            if end is not None and time.monotonic() >= end:
                return 0
            time.sleep(max(0.0, began + every_s - time.monotonic()))  # the pace of the screen, not a wait


def _acquisition_options(command: Callable[..., Any]) -> Callable[..., Any]:
    options = [
        click.option("--exposure", "exposure_s", type=click.FloatRange(min=0), help="Of one frame, s; else as it is."),
        click.option("--period", "period_s", type=click.FloatRange(min=0), default=0.0, help="From frame to frame, s."),
        _detector,
        login_option,
    ]
    for option in reversed(options):
        command = option(command)
    return command


@click.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--frames", type=click.IntRange(min=1), required=True, help="How many frames.")
@_acquisition_options
@click.pass_obj
def arm(
    settings: Settings,
    *,
    file: Path | None,
    frames: int,
    exposure_s: float | None,
    period_s: float,
    detector: str,
    person: str | None,
) -> int:
    """Make detector and graph ready: the graph in FILE, which the detector uses from now on, else the one it uses.

    It is a command in the console, like all that changes something.
    """
    call = f".arm({_write_settings(frames, exposure_s, period_s)})"
    return _command(settings, person, detector, file, call)


@click.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option(
    "--frames", type=click.IntRange(min=1), help="Arm and start for so many frames; else start what is armed."
)
@_acquisition_options
@click.pass_obj
def start(
    settings: Settings,
    *,
    file: Path | None,
    frames: int | None,
    exposure_s: float | None,
    period_s: float,
    detector: str,
    person: str | None,
) -> int:
    """Start the detector; returns when it runs. With --frames it is armed first, with FILE through that graph.

    It is no run: there are no documents. For a run: mambactl run "RE(acquire(D.camera, frames=100))".
    """
    if frames is None and file is not None:
        raise click.UsageError("FILE needs --frames: what is armed has its graph")
    call = f".start({'' if frames is None else _write_settings(frames, exposure_s, period_s)})"
    return _command(settings, person, detector, file, call)


@click.command()
@_detector
@login_option
@click.pass_obj
def stop(settings: Settings, *, detector: str, person: str | None) -> int:
    """End the acquisition cleanly: what has come is written. A run that waits for it ends, too, as a success."""
    return _command(settings, person, detector, None, ".stop()")


def _write_settings(frames: int, exposure_s: float | None, period_s: float) -> str:
    words = [f"frames={frames}"]
    words += [] if exposure_s is None else [f"exposure_s={exposure_s:g}"]
    words += [f"period_s={period_s:g}"] if period_s else []
    return ", ".join(words)


def _command(settings: Settings, person: str | None, detector: str, file: Path | None, call: str) -> int:
    """Send `graph(…)…` as a visible command, and say what came of it."""
    # what is wrong with a file is told here, before anything is sent
    own = None if file is None else _find_own_sources(file)
    with connect(settings, person) as client:
        device = own or _find_device(client, detector)
        if own:
            source = repr(str(file and file.absolute()))
        elif file is not None:
            source = f"{str(file.absolute())!r}, {device}"
        else:
            source = device if _is_detector(device) else repr(_read(client, device)[0].source)
        try:
            client.command(f"graph({source}){call};", origin="mambactl")
        except ZError as error:
            click.echo(error.desc if error.code == "exc" else f"{error.code}: {error.desc}", err=True)
            return 1
        _print(_read(client, device))
    return 0


def _find_own_sources(file: Path) -> str | None:
    """The name of a graph that no detector of the console sends to; None for one that takes a detector."""
    from mamba.data_worker.edge_flows import list_streams
    from mamba.data_worker.graph import load_graph

    graph = load_graph(file)
    return None if list_streams(graph) else graph.name


def _is_detector(device: str) -> bool:
    """It is a device, `D.camera`; otherwise the name of a graph with its own sources."""
    return "." in device


def _find_device(client: Client, detector: str) -> str:
    names = [each["device"] for each in client.request("graph/list")] if not detector else [detector]
    if len(names) > 1:
        names = [name for name in names if _is_detector(name)]
    if len(names) != 1:
        raise FacilityError(
            "which detector's graph?",
            seen=", ".join(names) or "no detector has one",
            remedy="name it: --detector D.NAME",
        )
    return str(names[0])


def _read(client: Client, detector: str) -> list[GraphStatus]:
    from mamba.data_worker.status_table import GraphStatus

    names = [each["device"] for each in client.request("graph/list")] if not detector else [detector]
    return [GraphStatus.load(client.request("graph/status", path=name)) for name in names]


def _print(found: list[GraphStatus]) -> None:
    from mamba.data_worker.status_table import make_table

    console = _make_console()
    console.print(make_table(found, console.width))


def _make_console() -> Console:
    """As wide as the terminal; a file or a pipe gets every column."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else _FILE_WIDTH, highlight=False)
