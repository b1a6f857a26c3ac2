"""mambactl tango: for administrators; one file per subject."""

from __future__ import annotations

import click

from mamba.cli.lazy_group import LazyGroup

# name: (module, its one line in the help)
_COMMANDS = {
    "check": (
        "mamba.cli.tango.check",
        "Check that a device keeps the contract: documented, limits, Stop, events, restart.",
    ),
    "events": ("mamba.cli.tango.events", "Say where events come from, whether they come, and the repair."),
    "pull": ("mamba.cli.tango.configuration", "Write what the database keeps as a file."),
    "diff": ("mamba.cli.tango.configuration", "Say how the database differs from a file."),
    "plan": ("mamba.cli.tango.configuration", "Say exactly what a file would change."),
    "apply": ("mamba.cli.tango.configuration", "Write a plan or a file to the database and the servers that run."),
    "undo": ("mamba.cli.tango.configuration", "Take an apply back."),
}


@click.group(cls=LazyGroup, lazy=_COMMANDS)
def tango() -> None:
    """Look after the Tango side: configuration as files, contract of a server, events.

    Which control system: --host, else that of the beamline that runs here, else TANGO_HOST.
    """
