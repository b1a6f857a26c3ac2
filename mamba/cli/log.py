"""mambactl log."""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import click

from mamba.cli.settings import Settings
from mamba.errors import FacilityError

_TEXT_CHARS = 60
_FOLLOW_LAST = 10
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class When(click.ParamType[float]):
    """A time: s since 1970 in the end.

    Args:
        end_of_day: a day without a time means its end, not its beginning.
    """

    name = "when"

    def __init__(self, *, end_of_day: bool = False) -> None:
        self._time = time.max if end_of_day else time.min

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read `10:30` (today), `2026-11-24`, `2026-11-24 10:30`, `2h`, `30m` (that long ago)."""
        text, now = str(value).strip(), datetime.now()
        if ago := re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text):
            return (now - timedelta(seconds=float(ago[1]) * _SECONDS[ago[2]])).timestamp()
        try:
            if re.fullmatch(r"\d{1,2}:\d\d(:\d\d)?", text):
                return datetime.combine(
                    now.date(), time.fromisoformat(text.zfill(5 if text.count(":") == 1 else 8))
                ).timestamp()
            if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
                return datetime.combine(date.fromisoformat(text), self._time).timestamp()
            return datetime.fromisoformat(text).timestamp()
        except (ValueError, OverflowError):
            self.fail(f"{text!r} is no time; write 10:30, 2026-11-24, '2026-11-24 10:30', 2h or 30m", param, ctx)


@dataclass(frozen=True)
class _Selection:
    who: str | None
    since: float | None
    until: float | None
    failed: bool
    verb: str

    def takes(self, entry: dict[str, Any]) -> bool:
        at = float(entry.get("time") or 0.0)
        return (
            (self.who is None or entry.get("person") == self.who)
            and (self.since is None or at >= self.since)
            and (self.until is None or at <= self.until)
            and (not self.failed or bool(entry.get("result")))
            and str(entry.get("verb")).startswith(self.verb)
        )


@click.command()
@click.option("--who", metavar="PERSON", help="Only what this person did.")
@click.option("--since", type=When(), help="From then on: 10:30, 2026-11-24, '2026-11-24 10:30', 2h or 30m ago.")
@click.option("--until", type=When(end_of_day=True), help="Up to then; a day is meant with all its hours.")
@click.option("--failed", is_flag=True, help="Only what ended with an error.")
@click.option("--verb", metavar="PREFIX", default="", help="Only requests that begin so: cmd, run/, auth/ …")
@click.option("--last", type=click.IntRange(min=0), metavar="N", help="Only the last N of them.")
@click.option("--follow", is_flag=True, help=f"Go on with what comes, until Ctrl-C; first the last {_FOLLOW_LAST}.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object in a line each, with everything that is kept.")
@click.option("--verify", "verifies", is_flag=True, help="Check that nobody changed the log; shows no entries.")
@click.pass_obj
def log(
    settings: Settings, /, *, last: int | None, follow: bool, as_json: bool, verifies: bool, **selection: Any
) -> int:
    """Show what was asked of the session: when, by whom, from where, with which result.

    It is read from the audit log, so no session needs to run. --verify ends with exit code 1 when an entry was changed,
    removed, inserted, put elsewhere or torn, or the newest ones were cut off, and names each place.
    """
    from mamba.session.audit import find_audit_file
    from mamba.session.audit_chain import follow_entries, list_files, read_entries

    file = find_audit_file(settings.profile, settings.find_runtime())
    if verifies:
        return _verify(file)
    if not list_files(file) and not follow:
        raise FacilityError(f"{file}: there is no audit log yet", remedy="'mambactl up' begins one")
    taken, show = _Selection(**selection).takes, _show_json if as_json else _show
    read = 0

    def note(entry: dict[str, Any]) -> bool:
        nonlocal read
        read = entry["n"]
        return taken(entry)

    _show_all(filter(note, read_entries(file)), show, last=_FOLLOW_LAST if follow and last is None else last)
    if follow:
        _show_all(filter(taken, follow_entries(file, after=read)), show, last=None)
    return 0


def _show_all(entries: Iterable[dict[str, Any]], show: Callable[[dict[str, Any]], None], *, last: int | None) -> None:
    for entry in entries if last is None else deque(entries, maxlen=last):
        show(entry)


def _show_json(entry: dict[str, Any]) -> None:
    click.echo(json.dumps(entry, ensure_ascii=False))


def _show(entry: dict[str, Any]) -> None:
    failed = bool(entry.get("result"))
    what = f"In [{entry['cell']}]" if entry.get("cell") is not None else str(entry.get("verb"))
    columns = (
        datetime.fromtimestamp(entry["time"]).strftime("%Y-%m-%d %H:%M:%S"),
        _fit(entry.get("person"), 12),
        _fit(entry.get("origin"), 14),
        _fit(what, 17),
        _fit(entry.get("text") if entry.get("text") or failed else entry.get("desc"), _TEXT_CHARS),
        click.style(entry["result"], fg="red") if failed else "ok",
        "" if entry.get("duration_s") is None else f"{entry['duration_s']:.3g} s",
    )
    click.echo("  ".join(columns).rstrip())
    if failed and entry.get("desc"):
        click.echo(f"{'':19}  {_first_line(entry['desc'], 120)}")


def _fit(value: Any, width: int) -> str:
    return _first_line(value, width).ljust(width)


def _first_line(value: Any, limit: int) -> str:
    """The first line, safe to print: what a control character would do to the terminal it does not do."""
    lines: Iterator[str] = (line for line in str(value or "").splitlines() if line.strip())
    first = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in next(lines, ""))
    more = len(first) > limit or next(lines, None) is not None
    return f"{first[: limit - 1]}…" if more else first


def _verify(file: Path) -> int:
    from mamba.session.audit_chain import read_entries, read_head, verify

    problems = verify(file)
    for problem in problems:
        click.echo(str(problem), err=True)
    if problems:
        return 1
    head, count = read_head(file), sum(1 for _ in read_entries(file))
    click.echo(f"{count:,} entries, chain unbroken, head {head.digest if head else 'none'} ({file})")
    return 0
