"""mambactl mdw: the data worker; one file per command."""

from __future__ import annotations

import click

from mamba.cli.lazy_group import LazyGroup

# name: (module, its one line in the help)
_COMMANDS = {
    "recover": ("mamba.cli.mdw.recover", "Mend the raw file of a dead writer and say what it holds."),
    "verify": ("mamba.cli.mdw.verify", "Check a raw file block by block against its checksums."),
}


@click.group(cls=LazyGroup, lazy=_COMMANDS)
def mdw() -> None:
    """Look after the data worker: graphs that run, and the files they wrote."""
