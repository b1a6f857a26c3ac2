"""mambactl mdw: the data worker; one file per subject."""

from __future__ import annotations

import click

from mamba.cli.lazy_group import LazyGroup

# name: (module, its one line in the help)
_COMMANDS = {
    "validate": ("mamba.cli.mdw.files", "Check a graph, and say what runs along each edge."),
    "show": ("mamba.cli.mdw.files", "Draw a graph, here or as a picture; print it as YAML, JSON or Python."),
    "kinds": ("mamba.cli.mdw.kinds", "List the kinds of nodes, or the parameters of one."),
    "arm": ("mamba.cli.mdw.running", "Make detector and graph ready for so many frames."),
    "start": ("mamba.cli.mdw.running", "Start what is armed, or arm and start."),
    "stop": ("mamba.cli.mdw.running", "End cleanly: what has come is written."),
    "status": ("mamba.cli.mdw.running", "Say what the graphs do, node by node."),
    "top": ("mamba.cli.mdw.running", "Watch them: rates, queues, drops, lag, CPU, memory, live."),
    "recover": ("mamba.cli.mdw.recover", "Mend the raw file of a dead writer and say what it holds."),
    "verify": ("mamba.cli.mdw.verify", "Check a raw file block by block against its checksums."),
}


@click.group(cls=LazyGroup, lazy=_COMMANDS)
def mdw() -> None:
    """The data worker: graphs that frames go through.

    For a FILE, and for kinds, nothing needs to run; the others ask the session in the runtime directory.
    """
