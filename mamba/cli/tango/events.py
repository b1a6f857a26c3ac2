"""mambactl tango events: where events come from, whether they come, and what to do when not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

import click

from mamba.administration.events import AttributeEvents, Diagnosis, Source, diagnose, set_abs_change, set_polling
from mamba.administration.events.survey import survey_events
from mamba.administration.subject import Subject, open_subject
from mamba.cli.settings import Settings
from mamba.cli.tango_host import find_tango_host, host_option

_HEADER = ("attribute", "source", "thresholds", "events", "last", "sent", "trouble")


@click.command()
@click.argument("device", required=False)
@click.option("--listen", "listen_s", type=click.FloatRange(0, 600), default=3.0, help="Seconds to listen.  [3]")
@click.option("--poll", multiple=True, metavar="ATTRIBUTE=MS", help="Poll it every MS milliseconds; 0: no longer.")
@click.option("--abs-change", multiple=True, metavar="ATTRIBUTE=CHANGE", help="Threshold of a number; 0: none.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@host_option
@click.pass_obj
def events(
    settings: Settings,
    *,
    device: str | None,
    listen_s: float,
    poll: Sequence[str],
    abs_change: Sequence[str],
    as_json: bool,
    host: str | None,
) -> int:
    """Say for each attribute of DEVICE where its change events come from, and the repair; for all devices in short.

    Subscribes for --listen seconds. With --poll or --abs-change it changes that and says what it was before.
    """
    found = find_tango_host(settings, host)
    if device is None:
        if poll or abs_change:
            raise click.UsageError("--poll and --abs-change need a DEVICE")
        return _print_survey(found, as_json=as_json)
    subject = open_subject(found, device)
    if poll or abs_change:
        return _repair(subject, poll, abs_change)
    diagnosis = diagnose(subject, listen_s)
    if as_json:
        click.echo(json.dumps(asdict(diagnosis), indent=2))
    else:
        _print_diagnosis(diagnosis)
    return 0


def _repair(subject: Subject, poll: Sequence[str], abs_change: Sequence[str]) -> int:
    # All are read before the first is written: a typing error changes nothing.
    changes = [_read_assignment("--abs-change", text) for text in abs_change]
    periods = [_read_assignment("--poll", text) for text in poll]
    for name, change in changes:
        click.echo(set_abs_change(subject, name, change))
    for name, period_ms in periods:
        click.echo(set_polling(subject, name, int(period_ms)))
    return 0


def _read_assignment(option: str, text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not name or not 0 <= number < 1e9:
        raise click.BadOptionUsage(option, f"{option} {text}: write ATTRIBUTE=NUMBER, not below 0")
    return name, number


def _print_survey(host: str, *, as_json: bool) -> int:
    lines = survey_events(host)
    if as_json:
        click.echo(json.dumps([asdict(line) for line in lines], indent=2))
        return 0
    rows: list[tuple[str, ...]] = [("device", "State", "pushed", "polled", "no events", "trouble")]
    for line in lines:
        if line.seen:
            rows.append((line.device, "?", "", "", "", line.seen))
        else:
            numbers = (line.pushed, line.polled, line.without)
            rows.append((line.device, line.state, *map(str, numbers), str(line.troubled or "")))
    _print_rows(rows)
    click.echo("\nState is what waiting for a move relies on. More: mambactl tango events DEVICE")
    return 0


def _print_diagnosis(diagnosis: Diagnosis) -> None:
    click.echo(f"{diagnosis.device}: change events, listened for {diagnosis.listened_s:g} s\n")
    _print_rows([_HEADER, *(_make_row(line) for line in diagnosis.attributes)])
    repairs = [line.repair for line in diagnosis.attributes if line.repair]
    if repairs:
        click.echo("\nRepair (polling costs a reading each time; a push from the server's code is better):")
        for repair in repairs:
            click.echo(f"  {repair}")
    click.echo("\nSubscribers of the whole server, from the last 50 calls of its admin device:")
    for subscriber in diagnosis.subscribers or ["none there"]:
        click.echo(f"  {subscriber}")
    click.echo("Tango does not tell who subscribed to which attribute" + _describe_counts(diagnosis))


def _describe_counts(diagnosis: Diagnosis) -> str:
    if diagnosis.counts_known:
        return "; sent counts from the first subscription on."
    return "; this server, older than Tango 10, does not count what it sent."


def _make_row(line: AttributeEvents) -> tuple[str, ...]:
    polled = "by trigger" if line.period_ms is None else f"{line.period_ms} ms"
    return (
        line.name,
        f"polled {polled}" if line.source == Source.POLLED else str(line.source),
        line.thresholds or "–",
        str(line.came),
        "–" if line.age_s is None else f"{line.age_s:.1f} s ago",
        "–" if line.sent is None else str(line.sent),
        line.trouble,
    )


def _print_rows(rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        click.echo("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
