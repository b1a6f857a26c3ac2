"""mambactl tango check: does a device keep the contract that every server should keep."""

from __future__ import annotations

import json
from collections.abc import Iterable

import click

from mamba.administration.contract import Finding, Leave, Result, examine
from mamba.administration.subject import open_subject
from mamba.cli.settings import Settings
from mamba.cli.tango_host import find_tango_host, host_option

_COLORS = {Result.OK: "green", Result.FAILED: "red", Result.NOT_APPLICABLE: None, Result.NOT_TRIED: "yellow"}


@click.command()
@click.argument("device")
@click.option("--move", is_flag=True, help="Also write set points, start and stop; what was changed is put back.")
@click.option("--restart", is_flag=True, help="Also call Init and restart the device's whole server.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@host_option
@click.pass_obj
def check(settings: Settings, *, device: str, move: bool, restart: bool, as_json: bool, host: str | None) -> int:
    """Check that DEVICE keeps the contract: documented, limits, Stop, events, restart.

    Only reads, unless --move or --restart is given. Exit code 1 when a check failed.
    """
    subject = open_subject(find_tango_host(settings, host), device)
    leave = (Leave.MOVE if move else Leave(0)) | (Leave.RESTART if restart else Leave(0))
    findings = examine(subject, leave)
    if as_json:
        done = list(findings)
        click.echo(json.dumps({"device": subject.name, "findings": [f.export() for f in done]}, indent=2))
    else:
        info = subject.device.info()
        click.echo(f"{subject.name}: class {info.dev_class}, server {info.server_id}\n")
        done = _print_table(findings)
    return 1 if any(finding.result == Result.FAILED for finding in done) else 0


def _print_table(findings: Iterable[Finding]) -> list[Finding]:
    """Print each line as soon as it is known."""
    done = []
    for finding in findings:
        done.append(finding)
        sign = click.style(f"{finding.result:<15}", fg=_COLORS[finding.result])
        click.echo(f"{sign}{finding.check:<29}{finding.seen}")
        if finding.remedy:
            click.echo(f"{'':<44}do: {finding.remedy}")
    counts = ", ".join(f"{sum(f.result == result for f in done)} {result}" for result in Result)
    click.echo(f"\n{counts}")
    return done
