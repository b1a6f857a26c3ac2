"""How every server process starts and ends: loopback only, one line `ready` on stderr, clean on SIGTERM.

The only reader of the environment in these packages: MAMBA_TRUTH_DIR (folder of the truth record, none if unset) and
MAMBA_RUNTIME_DIR (its folder `mdw` holds the sockets of data streams, a temporary one if unset).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import tango
from tango.server import Device, run

from tango_servers.memory import Memory
from tango_servers.pacer import join_pacers
from tango_servers.truth import TruthRecord

# Tango listens on every address unless told otherwise.
_LOOPBACK = ("-ORBendPoint", "giop:tcp:127.0.0.1:0")

memory = Memory()
"""Set points of this process."""


class _Process:
    truth = TruthRecord()


def get_truth() -> TruthRecord:
    """The truth record of this process."""
    return _Process.truth


def find_runtime_directory() -> Path | None:
    """The runtime directory of the facility that started this server; None where none did."""
    runtime = os.environ.get("MAMBA_RUNTIME_DIR")
    return Path(runtime) if runtime else None


def find_stream_directory() -> Path | None:
    """Where data streams put their sockets; None for a temporary folder."""
    runtime = find_runtime_directory()
    folder = runtime / "mdw" if runtime else None
    return folder if folder is not None and folder.is_dir() else None


def run_server(server: str, classes: Sequence[type[Device]], arguments: Sequence[str] | None = None) -> None:
    """Run device server `server` with the arguments of the command line (INSTANCE first); returns after SIGTERM."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given:
        sys.exit(f"usage: python -m tango_servers.NAME INSTANCE [options of Tango]; {server}: no INSTANCE given")
    if "-ORBendPoint" not in given:
        given += _LOOPBACK
    folder = os.environ.get("MAMBA_TRUTH_DIR")
    if folder:
        _Process.truth = TruthRecord(Path(folder) / f"{server}-{given[0]}.jsonl")
    try:
        run(classes, args=[server, *given], post_init_callback=_tell_ready, raises=True)
    except tango.DevFailed as failure:
        sys.exit(f"{server}/{given[0]} cannot run: {failure.args[0].desc.strip()}")
    finally:
        join_pacers()
        memory.close()
        get_truth().close()


def _tell_ready() -> None:
    print("ready", file=sys.stderr, flush=True)  # noqa: T201  # what the facility waits for
