"""Plan a file, apply a plan, and take it back; a failure or a Ctrl-C in the middle leaves the database as it was."""

from __future__ import annotations

from pathlib import Path

import tango

from mamba.administration.configuration.database import read_snapshot, write_changes
from mamba.administration.configuration.difference import Change, compare, find_changes, find_covered
from mamba.administration.configuration.entries import ALIAS, DEVICE, Snapshot, digest_subjects, is_same, make_key
from mamba.administration.configuration.files import read_yaml
from mamba.administration.configuration.interrupts import hold_interrupts
from mamba.administration.configuration.plan import Plan, write_plan
from mamba.administration.configuration.rules import check_wanted
from mamba.administration.configuration.running import read_declared, tell_servers
from mamba.administration.configuration.wanted import Wanted
from mamba.administration.configuration.writing import read_dsconfig
from mamba.administration.control_system import open_database, read_reason
from mamba.errors import ConfigurationError


def read_wanted(path: Path) -> Wanted:
    """Read a file: dsconfig's JSON by its name's ending, else YAML.

    Raises:
        ConfigurationError: it cannot be used; names the line.
    """
    return read_dsconfig(path) if path.suffix == ".json" else read_yaml(path)


def make_plan(host: str, wanted: Wanted, *, prune: bool = False) -> Plan:
    """Check a file against the live database and say what it would change; nothing is written.

    Raises:
        ConfigurationError: the database does not answer, or something in the file cannot be written.
    """
    database = open_database(host)
    live = read_snapshot(database)
    check_wanted(wanted, live, read_declared(database, host, wanted))
    changes = find_changes(live, wanted, prune=prune)
    subjects = find_covered(live, wanted) | {change.entry.subject for change in changes}
    return Plan(host, wanted.path, changes, digest_subjects(live, sorted(subjects)))


def apply_plan(host: str, plan: Plan, undo: Path) -> list[str]:
    """Write the changes of a plan and tell the servers that run; returns what is not in force yet, one line each.

    The undo file is there before the first change is written: a machine that stops in the middle is undone, too.
    Ctrl-C ends the writing and has all put back; while that is done, and once all is written, it has no effect.

    Raises:
        KeyboardInterrupt: Ctrl-C; the database is as it was.
        ConfigurationMoved: the database is not what the plan was made for; nothing was written.
        ConfigurationError: a change was refused; all was put back, or the message says that it could not be.
    """
    database = open_database(host)
    before = read_snapshot(database)
    plan.check(before)
    changes = [change for change in plan.changes if not is_same(before.get(change.key), change.after)]
    _check_devices(changes, before)
    with hold_interrupts() as held:
        write_plan(plan.invert(), undo)
        try:
            with held.let_through():
                write_changes(database, changes, before)
                notes = tell_servers(database, host, changes)
                after = _settle(database, changes)
        except BaseException as error:
            reason = read_reason(error) if isinstance(error, tango.DevFailed) else str(error) or type(error).__name__
            _roll_back(database, host, before, changes, undo, reason)
            if not isinstance(error, tango.DevFailed | ConfigurationError):
                raise
            raise ConfigurationError(
                f"{plan.source}: a change was refused; the database is as it was",
                seen=reason,
                remedy="mend it and plan again",
            ) from None
        write_plan(plan.invert(after), undo)
    return notes


def _check_devices(changes: list[Change], live: Snapshot) -> None:
    """A class may be unknown and a server stopped, but a device that is changed must be there when all is written."""
    entered = {c.key[1] for c in changes if c.key[0] == DEVICE and c.after is not None}
    for change in changes:
        is_device = change.entry.subject.startswith("device ")
        if (
            is_device
            and change.after is not None
            and change.key[1] not in entered
            and (DEVICE, change.key[1]) not in live
        ):
            raise ConfigurationError(
                f"{change.entry.names[0]}: no such device in the database", remedy="plan again; nothing was written"
            )


def _settle(database: tango.Database, changes: list[Change]) -> Snapshot:
    """A server that was told writes to the database in its own words: write ours again where they differ."""
    live = read_snapshot(database)
    wanted = {change.key: change.after for change in changes}
    again = compare({key: live[key] for key in wanted if key in live}, wanted)
    again = [change for change in again if not change.entry.is_private]
    if not again:
        return live
    write_changes(database, again, live)
    return read_snapshot(database)


def _roll_back(
    database: tango.Database, host: str, before: Snapshot, changes: list[Change], undo: Path, reason: str
) -> None:
    try:
        touched = {change.key for change in changes}
        # the database drops the alias of a device that is entered anew, and it may not have been written again yet
        touched |= {make_key(ALIAS, change.key[1]) for change in changes if change.key[0] == DEVICE}
        live = read_snapshot(database)
        back = compare(
            {key: live[key] for key in touched if key in live}, {key: before[key] for key in touched if key in before}
        )
        write_changes(database, back, live)
        tell_servers(database, host, back, is_putting_back=True)
        _settle(database, back)
    except (tango.DevFailed, ConfigurationError) as error:
        seen = read_reason(error) if isinstance(error, tango.DevFailed) else error.seen
        raise ConfigurationError(
            "Tango database: an apply broke off and could not be put back",
            seen=f"{reason}; then: {seen}",
            remedy=f"when the database answers again: mambactl tango undo {undo}",
        ) from None
    undo.unlink(missing_ok=True)
