"""`python -m mamba.facility --runtime DIR --profile FILE`: the supervisor, in the foreground unless `--detach`."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
from pathlib import Path

from mamba.config import load_profile
from mamba.errors import FacilityError, MambaError
from mamba.facility.progress import Progress
from mamba.facility.supervisor import STATE, Supervisor
from mamba.facility.sweep import sweep
from mamba.runtime import RuntimeDirectory


def main() -> int:
    """Run until SIGTERM or SIGINT; 0 after an orderly end, 1 when something did not come up."""
    arguments = _parse_arguments()
    if arguments.detach and os.fork():
        # Whoever started us waits for this process only; the child belongs to init and to nobody's process table.
        os._exit(0)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    progress = Progress(arguments.progress)
    try:
        _run(arguments, progress)
    except MambaError as error:
        logging.getLogger(__name__).error("%s", error)
        progress.report_error(error)
        return 1
    return 0


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m mamba.facility", description="Supervise one beamline.")
    parser.add_argument("--runtime", type=Path, required=True, help="the runtime directory")
    parser.add_argument("--profile", type=Path, required=True, help="the beamline profile")
    parser.add_argument("--without-console", action="store_true", help="database and servers only")
    parser.add_argument("--progress", type=int, help="descriptor of a pipe for JSON lines (default: print them)")
    parser.add_argument("--detach", action="store_true", help="go on in a child that belongs to nobody")
    return parser.parse_args()


def _run(arguments: argparse.Namespace, progress: Progress) -> None:
    profile = load_profile(arguments.profile)
    runtime = RuntimeDirectory.create(arguments.runtime)
    lock = runtime.lock(STATE)
    try:
        sweep(runtime)  # of a supervisor that was killed
        supervisor = Supervisor(runtime, profile, progress, with_console=not arguments.without_console)
        asyncio.run(_supervise(supervisor))
    finally:
        lock.release()


async def _supervise(supervisor: Supervisor) -> None:
    loop = asyncio.get_running_loop()
    work = asyncio.create_task(supervisor.run())

    def end() -> None:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, lambda: None)  # it ends already; a second signal must not cut that short
        work.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    loop.add_signal_handler(signal.SIGHUP, lambda: None)  # a terminal that closes is no reason to end a beamline
    try:
        await work
    except asyncio.CancelledError:
        logging.getLogger(__name__).info("taken down")
        if not supervisor.progress.done:
            raise FacilityError(
                "facility: was told to end while it came up", remedy="'mambactl up' tries again"
            ) from None


if __name__ == "__main__":
    sys.exit(main())
