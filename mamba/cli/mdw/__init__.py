"""mambactl mdw: the data worker; one file per subject."""

from __future__ import annotations

import click

from mamba.cli.lazy_group import LazyGroup

# name: (module, its one line in the help)
_COMMANDS = {
    "validate": ("mamba.cli.mdw.files", "Check a graph, and say what runs along each edge."),
    "show": ("mamba.cli.mdw.files", "Draw a graph, here or as a picture; print it as YAML, JSON or Python."),
    "kinds": ("mamba.cli.mdw.kinds", "List the kinds of nodes, or the parameters of one."),
}


@click.group(cls=LazyGroup, lazy=_COMMANDS)
def mdw() -> None:
    """The data worker: graphs that frames go through."""
