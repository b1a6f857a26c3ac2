"""mambactl: one file per group of commands; the only place where an error becomes an exit code."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from mamba.cli.lazy_group import LazyGroup
from mamba.cli.settings import Settings
from mamba.errors import FacilityError, MambaError, NotRunning

DONE, FAILED, USAGE, NOT_RUNNING, INTERRUPTED = 0, 1, 2, 3, 130
"""Exit codes; docs/reference/exit-codes.md says when each is given."""

# name: (module, its one line in the help)
_COMMANDS = {
    "up": ("mamba.cli.lifecycle", "Bring the beamline up: Tango database, device servers, console."),
    "down": ("mamba.cli.lifecycle", "Take everything down; nothing is left running."),
    "status": ("mamba.cli.lifecycle", "Say what runs, how to reach it, and how the devices are."),
    "console": ("mamba.cli.console", "Join the running console; Ctrl-] leaves it running."),
    "run": ("mamba.cli.console", "Execute TEXT in the running console and print its result."),
    "restart": ("mamba.cli.console", "End IPython, also one that hangs, and start a new one."),
    "log": ("mamba.cli.log", "Show who did what from where; --verify checks that nobody changed it."),
    "gui": ("mamba.cli.gui", "Open the operator's window."),
    "user": ("mamba.cli.user", "Keep the accounts of those who log in: add, remove, list, password, role, …"),
    "mdw": ("mamba.cli.mdw", "The data worker: check and draw graphs, list kinds of nodes, watch what runs."),
    "tango": ("mamba.cli.tango", "Administrators: configuration as files, contract of a server, events."),
    "sim": ("mamba.cli.sim", "Let a simulated device misbehave, for training: stuck, slow, timeout, …"),
    "doctor": ("mamba.cli.doctor", "Check every piece; name what is broken and what to do."),
    "demo": ("mamba.cli.demo", "Measure a spectrum and 2,000 frames on the virtual beamline."),
}

_EPILOG = """\b
Exit codes:
  0  done                        1  failed, or something is broken
  2  wrong usage                 3  nothing runs in the runtime directory
  130  interrupted by Ctrl-C
"""


@click.group(cls=LazyGroup, lazy=_COMMANDS, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--runtime",
    type=click.Path(file_okay=False, path_type=Path),
    help="Runtime directory: sockets, logs, database.  [MAMBA_RUNTIME_DIR, else a folder of this user]",
)
@click.option(
    "--profile",
    type=click.Path(path_type=Path),
    help="Beamline profile.  [MAMBA_PROFILE, else ./beamline.yaml, else the virtual beamline]",
)
@click.version_option(package_name="mamba-beamline", prog_name="mambactl")
@click.pass_context
def cli(context: click.Context, *, runtime: Path | None, profile: Path | None) -> None:
    """Bring up, watch and use one beamline."""
    context.obj = Settings(runtime, profile)


def main(arguments: list[str] | None = None) -> None:
    """Run mambactl; errors that Mamba raises on purpose are printed as they are, without a traceback."""
    sys.exit(_run(arguments))


def _run(arguments: list[str] | None) -> int:
    try:
        result: Any = cli.main(arguments, prog_name="mambactl", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return USAGE
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    except MambaError as error:
        click.echo(str(error), err=True)
        return NOT_RUNNING if isinstance(error, NotRunning) else FAILED
    except BrokenPipeError:
        sys.stderr.close()  # the reader of a pipe went away; Python would complain once more at its exit
        return FAILED
    except OSError as error:
        if error.filename is None:
            raise  # nothing a person could look at: a defect
        what = FacilityError(
            f"{error.filename}: cannot be used",
            seen=error.strerror or type(error).__name__,
            remedy="see its rights and those of the folders above it, or name another folder with --runtime",
        )
        click.echo(str(what), err=True)
        return FAILED
    return result if isinstance(result, int) else DONE
