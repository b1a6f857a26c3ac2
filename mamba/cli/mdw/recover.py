"""mambactl mdw recover: mend the raw file of a dead writer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

_SHOWN = 8


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
def recover(*, files: tuple[Path, ...]) -> int:
    """Mend the raw FILE of a dead writer and say what it holds.

    A file that was closed stays as it is. One whose writer lives is refused.
    """
    from mamba.data_worker.sinks.recovery import recover_file

    for path in files:
        holding = recover_file(path)
        state = "mended" if holding.mended else "needs no mending"
        frames = sum(count for _, count in holding.numbers)
        click.echo(f"{path}: {state}; {frames} frames, {holding.missing} missing")
        if holding.numbers:
            click.echo(f"  frames: {format_ranges([(first, first + n - 1) for first, n in holding.numbers])}")
        if holding.reason:
            click.echo(f"  ended:  {holding.reason}")
        for info in holding.datasets.values():
            shape = " × ".join(map(str, info.shape))
            click.echo(f"  {info.path}: {shape} {info.dtype}{f' ({info.units})' if info.units else ''}")
    return 0


def format_ranges(ranges: Sequence[tuple[int, int]]) -> str:
    """`0–41, 43`, at most eight of them."""
    shown = ", ".join(str(first) if first == last else f"{first}–{last}" for first, last in ranges[:_SHOWN])
    return shown + (f" and {len(ranges) - _SHOWN} more" if len(ranges) > _SHOWN else "")
