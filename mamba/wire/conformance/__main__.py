"""Run the checks and print the table: `python -m mamba.wire.conformance [--runtime DIR] [--person NAME] [--json]`.

Exit status: 0 when every check that could be made passed, 1 when one did not, or nobody answers.
"""

from __future__ import annotations

import argparse
import dataclasses
import getpass
import json
import os
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from mamba.errors import MambaError
from mamba.runtime import RuntimeDirectory
from mamba.wire.client import Client
from mamba.wire.conformance import commands, framing, requests
from mamba.wire.conformance.probe import Outcome, Probe, run_checks

__all__ = ["commands", "framing", "main", "requests"]  # importing them enters their checks

_MARKS = {True: "[green]ok[/]", False: "[bold red]differs[/]", None: "[yellow]skipped[/]"}


def main(arguments: list[str] | None = None) -> int:
    """Run the checks; returns the exit status."""
    options = _parse(arguments)
    runtime = RuntimeDirectory(options.runtime.absolute())
    try:
        outcomes = _check(runtime, options.person)
    except MambaError as error:
        print(f"mamba.wire.conformance: {error}", file=sys.stderr)  # noqa: T201  # for the person who started it
        return 1
    if options.json:
        print(json.dumps([dataclasses.asdict(outcome) for outcome in outcomes], indent=1))  # noqa: T201  # the answer
    else:
        print_table(outcomes)
    return int(any(outcome.ok is False for outcome in outcomes))


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m mamba.wire.conformance", description=(__doc__ or "").partition(":")[0]
    )
    default = os.environ.get("MAMBA_RUNTIME_DIR")
    parser.add_argument(
        "--runtime",
        type=Path,
        required=default is None,
        default=default and Path(default),
        help="runtime directory of the session; default: MAMBA_RUNTIME_DIR",
    )
    parser.add_argument("--person", help="log in as this person; the password is asked for")
    parser.add_argument("--json", action="store_true", help="print the table as JSON")
    return parser.parse_args(arguments)


def _check(runtime: RuntimeDirectory, person: str | None) -> list[Outcome]:
    with Client(runtime.rpc) as client:
        client.request("ping")
        if person:
            client.login(person, getpass.getpass(f"password of {person}: "))
        probe = Probe(runtime, token=client.token)
        try:
            return run_checks(probe)
        finally:
            probe.close()
            if client.token:
                client.logout()


def print_table(outcomes: list[Outcome]) -> None:
    """The table as people read it, and a line that counts."""
    table = Table("check", "expected", "seen", "", show_lines=False, title="Conformance of a session with the wire")
    for outcome in outcomes:
        # as texts: what was seen may look like markup
        table.add_row(
            *(text.replace("[", r"\[") for text in (outcome.check, outcome.expected, outcome.seen)), _MARKS[outcome.ok]
        )
    console = Console()
    console.print(table)
    counts = [sum(outcome.ok is verdict for outcome in outcomes) for verdict in (True, False, None)]
    console.print("{} passed, {} differ, {} skipped".format(*counts))


if __name__ == "__main__":
    sys.exit(main())
