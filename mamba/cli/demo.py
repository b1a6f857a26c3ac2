"""`mambactl demo`: a newcomer's first minute.

The facility comes up, a window is worked as an operator works it, a spectrum and 2,000 frames are measured, and
demo-output/ holds what a person would want to see. Nothing here measures anything itself: every scene is a click in
the real window, every file was written by the real run.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from mamba.cli.settings import Settings
from mamba.errors import FacilityError, RunError
from mamba.runtime import RuntimeDirectory

FRAMES = 2000
EDGE_EV = 8980.5
EDGE_TOLERANCE_EV = 1.0
# of the counting times of a real scan (620 s): 12.4 s, so that the whole scan takes well under a minute
TIME_SCALE = 0.02

out = Console(highlight=False)


@click.command()
@click.option("--keep", is_flag=True, help="Leave the beamline up and say how to join its console.")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("demo-output"),
    show_default=True,
    help="Folder for what the demo leaves; its former content is replaced.",
)
@click.pass_obj
def demo(settings: Settings, *, keep: bool, output: Path) -> None:
    """Bring the beamline up, measure a spectrum and 2,000 frames through the window, take it down."""
    started = time.monotonic()
    output = output.absolute()
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    out.rule("[bold]Mamba demo")
    transcript = settings.open_runtime().transcript
    said_before = transcript.stat().st_size if transcript.exists() else 0
    with _facility(settings, output, keep=keep) as runtime:
        try:
            receipts = _play(settings, runtime, output)
        finally:
            _write_transcript(transcript.read_bytes()[said_before:], output / "console.txt")
    summary = _report(receipts, output, started)
    out.print(f"\n  edge energy   {summary['e0_ev']:.2f} eV  (copper foil: {EDGE_EV} ± {EDGE_TOLERANCE_EV} eV)")
    out.print(
        f"  frames        {summary['frames_produced']} produced = {summary['frames_written']} written"
        f" + {summary['frames_produced'] - summary['frames_written']} missing,"
        f" {summary['frames_per_s']:.0f} frames/s"
    )
    out.print(f"  files         {output}")
    if keep:
        out.print(f"\n  The beamline is up. Join its console:  {_mambactl(settings)} console   (leave it with Ctrl-])")
        out.print(f"  Open a window:  {_mambactl(settings)} gui      End it all:  {_mambactl(settings)} down")
    out.print(f"  {summary['seconds']:.0f} s in all")
    print("demo: ok", flush=True)


@contextmanager
def _facility(settings: Settings, output: Path, *, keep: bool) -> Iterator[RuntimeDirectory]:
    """The facility, brought up and taken down by the same commands a person would type, with its data in `output`."""
    _run(settings, "up", cwd=output)
    done = False
    try:
        yield settings.open_runtime()
        done = True
    finally:
        # a demo that failed takes everything down too: what it would leave running helps nobody
        if not (keep and done):
            _run(settings, "down", cwd=output)


def _run(settings: Settings, *arguments: str, cwd: Path) -> None:
    command = [sys.executable, "-m", "mamba.cli", *settings.as_arguments(), *arguments]
    if subprocess.run(command, cwd=cwd, check=False).returncode:
        raise FacilityError(f"demo: 'mambactl {' '.join(arguments)}' failed", remedy="see above, or 'mambactl doctor'")


def _mambactl(settings: Settings) -> str:
    return " ".join([".venv/bin/mambactl" if Path(".venv").is_dir() else "mambactl", *settings.as_arguments()])


def _play(settings: Settings, runtime: RuntimeDirectory, output: Path) -> dict[str, Any]:
    """Work the window scene by scene; returns the receipts by name."""
    if not _has_screen(settings):
        os.environ["QT_QPA_PLATFORM"] = "offscreen"
    from taurus_gui.application import close_window, open_window  # Qt only now: 'mambactl --help' stays fast
    from taurus_gui.operator import Operator

    app, window = open_window(runtime, settings.profile)
    operator = Operator(window)
    receipts: dict[str, Any] = {}
    try:
        operator.log_in("operator")
        with _bar("XAFS scan, Cu K edge", "points") as on_progress:
            receipts["scan"] = operator.scan_xafs(time_scale=TIME_SCALE, on_progress=on_progress)
        operator.wait_at_rest()
        operator.screenshot(output / "window.png")
        _print_receipt(receipts["scan"])
        with _bar(f"{FRAMES} frames of 1024 × 1024", "frames") as on_progress:
            receipts["frames"] = operator.acquire(frames=FRAMES, on_progress=on_progress)
        _print_receipt(receipts["frames"])
        receipts["division"] = operator.type_command("1 / 0")
        _print_receipt(receipts["division"])
        receipts["logout"] = operator.log_out()
        _print_receipt(receipts["logout"])
        receipts["second logout"] = operator.log_out()
        _print_receipt(receipts["second logout"])
        operator.screenshot(output / "window-end.png")
    finally:
        close_window(app, window)
    _expect(receipts)
    return receipts


def _has_screen(settings: Settings) -> bool:
    """Whether a window can be opened; asked in another process, since Qt ends the one in which it fails."""
    if not settings.environment.graphical:
        return False
    probe = [sys.executable, "-c", "from PyQt5.QtWidgets import QApplication; QApplication([])"]
    found = subprocess.run(probe, capture_output=True, check=False).returncode == 0
    if not found:
        out.print("  the screen named by DISPLAY cannot be used; the window is rendered offscreen")
    return found


def _expect(receipts: dict[str, Any]) -> None:
    """The scenes end as the script says, or the demo fails here and names the one that did not."""
    expected = {"scan": "", "frames": "", "division": "exc", "logout": "", "second logout": "not-logged-in"}
    for name, code in expected.items():
        receipt = receipts[name]
        if receipt.err != code:
            raise RunError(
                f"demo: the command {receipt.text!r} ended otherwise than it should",
                seen=f"{receipt.err or 'no error'} {receipt.desc}",
                remedy=f"expected {code or 'a result'}; the console's transcript is console.txt",
            )


@contextmanager
def _bar(title: str, unit: str) -> Iterator[Callable[[int, int], None]]:
    columns = (TextColumn(f"  {title}"), BarColumn(40), MofNCompleteColumn(), TextColumn(unit), TimeElapsedColumn())
    with Progress(*columns, console=out) as progress:
        task = progress.add_task(title, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def _print_receipt(receipt: Any) -> None:
    mark = "[red]✗[/]" if receipt.err else "[green]✓[/]"
    result = receipt.desc.splitlines()[0] if receipt.err else _shorten(receipt.result)
    out.print(f"  {mark} [bold]In \\[{receipt.n}][/] ", end="")
    out.print(receipt.text, markup=False, soft_wrap=True)
    who = f"by {receipt.person or 'nobody'} at the {receipt.origin}, {receipt.duration_s:.1f} s"
    for line in (f"{who}: {result}", *(f"→ {file}" for file in receipt.files)):
        out.print(f"      {line}", markup=False, soft_wrap=True)


def _shorten(result: Any) -> str:
    text = "done" if result is None else str(result)
    return text if len(text) <= 100 else text[:99] + "…"


def _write_transcript(raw: bytes, target: Path) -> None:
    """What the console showed, as plain lines: the terminal's bytes are played through a terminal emulator."""
    import pyte

    screen = pyte.HistoryScreen(160, 50, history=100_000, ratio=1.0)
    pyte.ByteStream(screen).feed(raw)
    lines = ["".join(row[x].data for x in range(screen.columns)).rstrip() for row in screen.history.top]
    lines += [row.rstrip() for row in screen.display]
    target.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


def _report(receipts: dict[str, Any], output: Path, started: float) -> dict[str, Any]:
    """Draw the picture, join the two runs in one NeXus file, validate all of them, write summary.json."""
    from mamba.cli.report import draw_report, summarise, validate_nexus
    from mamba.scans.nexus import combine

    runs = [next(Path(f) for f in receipts[name].files if f.endswith(".nxs")) for name in ("scan", "frames")]
    joined = output / "demo.nxs"
    combine(runs, joined)
    draw_report(runs[0], runs[1], output / "demo.png")
    for file in (joined, *runs):
        errors = validate_nexus(file)
        if errors:
            raise RunError(f"demo: {file.name} is not valid NeXus", seen="; ".join(errors[:3]))
    summary = summarise(runs[0], runs[1])
    files = sorted(str(f.relative_to(output)) for f in output.rglob("*") if f.is_file())
    summary |= {
        "files": [*files, "summary.json"],
        "seconds": round(time.monotonic() - started, 1),
        "versions": {
            name: importlib.metadata.version(name) for name in ("mamba-beamline", "bluesky", "pytango", "ray")
        },
    }
    (output / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")
    if abs(summary["e0_ev"] - EDGE_EV) > EDGE_TOLERANCE_EV:
        raise RunError(f"demo: the edge was found at {summary['e0_ev']:.2f} eV", seen=f"expected {EDGE_EV} eV")
    if summary["frames_produced"] != FRAMES or summary["frames_written"] != FRAMES:
        raise RunError("demo: the ledger is not 2000 = 2000 + 0", seen=str(summary["missing_ranges"]))
    return summary
