"""`make bench`: timed figures as ratios against a reference in the same run.

Each part has `measure() -> list of {"name", "value", "unit", "reference", "ratio", "samples"}`; the list goes to
bench-output/results.json and to the screen. A ratio is value / reference; samples are the values of the rounds. Some
have a `bar` (what the ratio or the value should reach), `cpu_ms` (CPU of all processes for each block or frame),
`cpu_ratio` (that against the reference's) and `load` (of the machine, over the last minute).

`python -m tests.bench NAME …` measures some: names of parts, or of single entries, which bring their part along.
"""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

PARTS = {
    "inject": (),
    "status": (),
    "notices": (),
    "graph": ("graph_roi_h5", "graph_roi_h5_copied", "graph_roi_h5_tcp", "graph_three_stage"),
    "step_scan": (),
    "connect": (),
    "stop_all": (),
    "edge": ("edge_local_8m", "edge_local_1m"),
    "writer": ("writer_raw", "writer_bslz4"),
    "feedback": ("feedback_p99_ms",),
    "points": ("points_100k", "points_max_per_s"),
    "lossless": ("lossless_60s",),
    "cold_start": ("cold_start",),
    "scaling": ("scaling_4_nodes", "scaling_8_nodes"),
    "ray_nodes": ("scaling_ray_2", "scaling_ray_4", "edge_tcp_1m"),
    "supervising": ("supervisor_message", "supervisor_status"),
}
"""The parts, and their entries where a part has several or is called otherwise."""
FIELDS = ("name", "value", "unit", "reference", "ratio", "samples", "bar", "cpu_ms", "cpu_ratio", "load")


def main(names: list[str]) -> None:
    parts = dict.fromkeys(_find_part(name) for name in names or PARTS)
    results: list[dict[str, Any]] = []
    try:
        for name in parts:
            print(f"bench: {name}, a minute at the most …", file=sys.stderr, flush=True)
            results += importlib.import_module(f"tests.bench.{name}").measure()
    finally:  # a part that fails does not take the figures of the others along
        _show_all(results)


def _show_all(results: list[dict[str, Any]]) -> None:
    folder = Path("bench-output")
    folder.mkdir(exist_ok=True)
    (folder / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    table = Table(*FIELDS)
    for entry in results:
        table.add_row(*(_show(entry.get(field, "")) for field in FIELDS))
    Console(width=150).print(table)


def _find_part(name: str) -> str:
    for part, entries in PARTS.items():
        if name == part or name in entries:
            return part
    raise SystemExit(f"bench: no {name!r}; there are {', '.join(PARTS)}")


def _show(value: object) -> str:
    """A number with four digits, a list of numbers as its span."""
    if isinstance(value, list):
        return f"{min(value):.4g} … {max(value):.4g} ({len(value)})"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main(sys.argv[1:])
