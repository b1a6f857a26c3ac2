"""mambactl mdw verify: check a raw file block by block."""

from __future__ import annotations

from pathlib import Path

import click

from mamba.cli.mdw.recover import format_ranges


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
def verify(*, files: tuple[Path, ...]) -> int:
    """Check a raw FILE block by block against the checksums in it.

    Exit code 1 when a block is not what was written.
    """
    from mamba.data_worker.sinks.verification import verify_file

    bad = 0
    for path in files:
        for checked in verify_file(path):
            lost = f", {checked.missing} never came" if checked.missing else ""
            sign = click.style("bad", fg="red") if checked.bad else click.style("ok ", fg="green")
            click.echo(f"{sign}  {checked.file.name}{checked.path}: {checked.rows} rows, {checked.blocks} blocks{lost}")
            if checked.bad:
                bad += 1
                click.echo(f"     rows {format_ranges(checked.bad)}; frames {format_ranges(checked.numbers)}")
    return 1 if bad else 0
