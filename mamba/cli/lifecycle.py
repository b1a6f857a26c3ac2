"""mambactl up, down, status."""

from __future__ import annotations

import datetime
import json
import time
from typing import Any

import click

from mamba.cli.settings import Settings
from mamba.errors import NotRunning


@click.command()
@click.option("--without-console", is_flag=True, help="Database and device servers only.")
@click.pass_obj
def up(settings: Settings, *, without_console: bool) -> None:
    """Bring the beamline up and return when all of it is ready.

    Database, registration of the profile's devices, device servers, console: each is reported with the time since its
    start. If a piece fails, one message names it, its last words and its log, and nothing is left running.
    """
    from mamba.config import load_profile
    from mamba.facility.launch import refuse_second, start_facility

    profile = load_profile(settings.profile_path)  # a typing error is told before anything is touched
    runtime = settings.open_runtime()
    refuse_second(runtime)
    click.echo(f"{profile.title or profile.name}  ({profile.path})")
    started_s = time.monotonic()
    start_facility(runtime, profile.path, with_console=not without_console, on_step=_print_step)
    click.echo(f"up in {time.monotonic() - started_s:.1f} s; runtime directory {runtime.path}")


def _print_step(step: dict[str, Any]) -> None:
    if "step" in step:
        click.echo(f"  {click.style('✓', fg='green')} {step['step']:<24} {step['seconds']:5.1f} s  {step['note']}")


@click.command()
@click.pass_obj
def down(settings: Settings) -> int:
    """Take everything down, also what a killed supervisor left behind.

    Exit code 0 also when nothing runs: afterwards nothing runs, as was asked.
    """
    from mamba.facility.launch import stop_facility

    runtime = settings.find_runtime()
    started_s = time.monotonic()
    try:
        done = stop_facility(runtime)
    except NotRunning as error:
        click.echo(error.what)
        return 0
    if done.ended:
        click.echo(f"ended: {', '.join(done.ended)}")
    if done.swept:
        click.echo(f"swept what was left of an earlier facility: {', '.join(done.swept)}")
    click.echo(f"down in {time.monotonic() - started_s:.1f} s")
    return 0


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object for programs.")
@click.pass_obj
def status(settings: Settings, *, as_json: bool) -> int:
    """Say what runs, how to reach it, and how the devices are.

    Exit code 0: all is well; 1: something is broken (see 'problems'); 3: nothing runs.
    """
    from mamba.facility.survey import take_survey

    runtime = settings.find_runtime()
    try:
        survey = take_survey(runtime)
    except NotRunning as error:
        click.echo(json.dumps({"running": False, "runtime": str(runtime.path)}) if as_json else str(error))
        return 3
    state = survey.state
    report = {
        "running": True,
        "phase": state["phase"],
        "pid": state["pid"],
        "started": state["started"],
        "runtime": str(runtime.path),
        "profile": state["profile"],
        "tango_host": state["tango_host"],
        "sockets": {"rpc": runtime.rpc, "notify": runtime.notify, "keys": runtime.keys},
        "processes": state["processes"],
        "site_servers": state["site_servers"],
        "devices": survey.devices,
        "console": survey.console,
        "problems": survey.problems,
    }
    click.echo(json.dumps(report, indent=1)) if as_json else _print_status(report)
    return 1 if survey.problems else 0


def _print_status(report: dict[str, Any]) -> None:
    since = datetime.datetime.fromtimestamp(report["started"]).strftime("%Y-%m-%d %H:%M:%S")
    profile = report["profile"]
    click.secho(f"{profile['title'] or profile['name']}  ", bold=True, nl=False)
    click.echo(f"{report['phase']} since {since}, supervisor {report['pid']}")
    click.echo(f"  profile     {profile['path']}")
    click.echo(f"  runtime     {report['runtime']}")
    click.echo(f"  TANGO_HOST  {report['tango_host']}")
    click.echo(f"  requests    {report['sockets']['rpc']}\n")
    _print_table(
        ("process", "pid", "state", "restarts", "MB"),
        [[p["name"], p["pid"], p["state"], p["restarts"], p["rss_mb"]] for p in report["processes"]]
        + [[name, None, "the site's", None, None] for name in report["site_servers"]],
    )
    _print_table(
        ("device", "Tango", "state", "status"),
        [[d["name"], d["tango"], d["state"], d["status"] or d["why"]] for d in report["devices"]],
    )
    console = report["console"]
    if console.get("answers"):
        run = (console["run"] or {}).get("state", "")
        click.echo(f"  console     prompt {console['prompt']}, run {run}, person {console['person'] or 'nobody'}")
    for problem in report["problems"]:
        click.echo(f"  {click.style('✗', fg='red')} {problem}")


def _print_table(header: tuple[str, ...], rows: list[list[Any]]) -> None:
    cells = [list(header)] + [["" if cell is None else str(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    for number, row in enumerate(cells):
        line = "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.secho(line.rstrip()[:160], bold=number == 0)
    click.echo()
