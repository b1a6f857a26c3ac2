"""mambactl tango pull, diff, plan, apply and undo: the configuration as files in git."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mamba.cli.settings import Settings
from mamba.cli.tango_host import find_tango_host, host_option

if TYPE_CHECKING:
    from mamba.administration.configuration.plan import Plan

_FILE = click.Path(dir_okay=False, path_type=Path)


def _prune_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--prune", is_flag=True, help="Remove what the file does not say of the servers and classes it names."
    )(command)


def _undo_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option("--undo", "undo_file", type=_FILE, help="Where the undo goes.  [tango-undo-TIME.json]")(command)


@click.command()
@click.argument("servers", nargs=-1, metavar="[SERVER/INSTANCE]...")
@click.option("--out", type=_FILE, help="File to write.  [the standard output]")
@click.option("--dsconfig", is_flag=True, help="Write dsconfig's JSON instead of YAML.")
@host_option
@click.pass_obj
def pull(settings: Settings, *, servers: tuple[str, ...], out: Path | None, dsconfig: bool, host: str | None) -> None:
    """Write what the database keeps of all servers, or of those that fit (`Motor/*`), as a file."""
    from mamba.administration.configuration.database import read_snapshot
    from mamba.administration.configuration.writing import choose_servers, dump_dsconfig, dump_yaml
    from mamba.administration.control_system import open_database

    snapshot = choose_servers(read_snapshot(open_database(find_tango_host(settings, host))), servers)
    text = dump_dsconfig(snapshot) if dsconfig else dump_yaml(snapshot)
    if out is None:
        click.echo(text, nl=False)
    else:
        out.write_text(text, encoding="utf-8")


@click.command()
@click.argument("file", type=_FILE)
@host_option
@click.pass_obj
def diff(settings: Settings, *, file: Path, host: str | None) -> int:
    """Say how the database differs from FILE, what FILE leaves out included; exit code 1 when it does."""
    made = _make_plan(settings, file, host, prune=True)
    _show(made)
    return 1 if made.changes else 0


@click.command()
@click.argument("file", type=_FILE)
@click.option("--out", type=_FILE, help="Write the plan here, for 'mambactl tango apply'.")
@_prune_option
@host_option
@click.pass_obj
def plan(settings: Settings, *, file: Path, out: Path | None, prune: bool, host: str | None) -> None:
    """Say exactly what FILE would change; nothing is written to the database."""
    from mamba.administration.configuration.plan import write_plan

    made = _make_plan(settings, file, host, prune=prune)
    _show(made)
    if out is not None:
        write_plan(made, out)


@click.command()
@click.argument("file", type=_FILE)
@click.option("--yes", is_flag=True, help="Do not ask.")
@_prune_option
@_undo_option
@host_option
@click.pass_obj
def apply(settings: Settings, *, file: Path, yes: bool, prune: bool, undo_file: Path | None, host: str | None) -> None:
    """Write what FILE says, a plan or a configuration, to the database and to the servers that run.

    A plan is refused when the database moved since it was made. All is written, or nothing.
    """
    if _is_plan(file):
        from mamba.administration.configuration.plan import read_plan

        made = read_plan(file)
        if prune:
            raise click.UsageError("--prune belongs to 'plan': a plan says already what it removes")
        yes = True
    else:
        made = _make_plan(settings, file, host, prune=prune)
    _show(made)
    _apply(settings, made, host, undo_file, yes=yes)


@click.command()
@click.argument("file", type=_FILE)
@_undo_option
@host_option
@click.pass_obj
def undo(settings: Settings, *, file: Path, undo_file: Path | None, host: str | None) -> None:
    """Take an apply back exactly, by the undo FILE that it left; refused when the database moved since."""
    from mamba.administration.configuration.plan import read_plan

    made = read_plan(file)
    _show(made)
    _apply(settings, made, host, undo_file, yes=True)


def _is_plan(file: Path) -> bool:
    from mamba.administration.configuration.plan import FORMAT

    try:
        with file.open(encoding="utf-8", errors="replace") as stream:
            return f'"format": "{FORMAT}"' in stream.read(200)
    except OSError:
        return False  # whoever reads it next says why


def _make_plan(settings: Settings, file: Path, host: str | None, *, prune: bool) -> Plan:
    from mamba.administration.configuration.applying import make_plan, read_wanted

    wanted = read_wanted(file)
    return make_plan(find_tango_host(settings, host), wanted, prune=prune)


def _show(made: Plan) -> None:
    from mamba.administration.configuration.show import COLORS, count_changes, show_changes

    for mark, line in show_changes(made.changes):
        click.secho(line, fg=COLORS.get(mark), bold=not mark)
    click.echo(count_changes(made.changes) if made.changes else "nothing to change")


def _apply(settings: Settings, made: Plan, host: str | None, undo_file: Path | None, *, yes: bool) -> None:
    from mamba.administration.configuration.applying import apply_plan

    if not made.changes:
        return
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("the standard input is no terminal: add --yes, or apply a plan")
        click.confirm("Write this?", abort=True)
    undo_file = undo_file or Path(f"tango-undo-{datetime.now():%Y%m%d-%H%M%S-%f}.json")
    try:
        notes = apply_plan(find_tango_host(settings, host), made, undo_file)
    except KeyboardInterrupt:
        click.echo(f"\n{made.source}: interrupted; the database is as it was", err=True)  # below the ^C
        raise click.Abort from None
    for note in notes:
        click.echo(f"not in force yet: {note}")
    click.echo(f"written; 'mambactl tango undo {undo_file}' takes it back")
