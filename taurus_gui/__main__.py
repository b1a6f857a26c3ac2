"""`python -m taurus_gui [--runtime DIR] [--profile FILE]`: the operator's window as a program of its own."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import click

from mamba.config import read_environment
from mamba.errors import MambaError

_WAKE_MS = 200


@click.command()
@click.option("--runtime", type=click.Path(path_type=Path), help="Runtime directory of the beamline.")
@click.option("--profile", type=click.Path(path_type=Path), help="Beamline profile (YAML).")
def main(runtime: Path | None, profile: Path | None) -> None:
    """Open the operator's window on a running beamline."""
    environment = read_environment()
    if not environment.graphical:
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    # Qt reads its platform when it is imported
    from taurus.external.qt import QtCore

    from taurus_gui.application import close_window, open_window

    try:
        app, window = open_window(runtime or environment.runtime_dir, profile or environment.profile)
    except MambaError as error:
        raise click.ClickException(str(error)) from None
    for number in (signal.SIGINT, signal.SIGTERM):
        # the handler may interrupt any line of Python, the reading of a socket too: the event loop closes the window
        signal.signal(number, lambda *_: QtCore.QTimer.singleShot(0, window.close))
    # Python's signal handlers run only while Python code does
    waker = QtCore.QTimer(window)
    waker.timeout.connect(lambda: None)
    waker.start(_WAKE_MS)
    app.setQuitOnLastWindowClosed(True)
    code = app.exec_()
    close_window(app, window)
    sys.exit(code)


if __name__ == "__main__":
    main(prog_name="python -m taurus_gui")
