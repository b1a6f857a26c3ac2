"""`make bench`: timed figures as ratios against a reference in the same run.

Each part has `measure() -> list of {"name", "value", "unit", "reference", "ratio", "samples"}`; the list goes to
bench-output/results.json and to the screen. A ratio is value / reference; samples are the values of the rounds.
"""

import importlib
import json
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

PARTS = ("inject", "status", "notices", "graph", "step_scan", "connect", "stop_all")
FIELDS = ("name", "value", "unit", "reference", "ratio", "samples")


def main(names: list[str]) -> None:
    results = []
    for name in names or PARTS:
        print(f"bench: {name}, a minute at the most …", file=sys.stderr, flush=True)
        results += importlib.import_module(f"tests.bench.{name}").measure()
    folder = Path("bench-output")
    folder.mkdir(exist_ok=True)
    (folder / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    table = Table(*FIELDS)
    for entry in results:
        table.add_row(*(_show(entry[field]) for field in FIELDS))
    Console().print(table)


def _show(value: object) -> str:
    """A number with four digits, a list of numbers as its span."""
    if isinstance(value, list):
        return f"{min(value):.4g} … {max(value):.4g} ({len(value)})"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main(sys.argv[1:])
