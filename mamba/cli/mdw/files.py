"""mambactl mdw validate, show: a graph in a file, for which nothing needs to run; or the one in use."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mamba.cli.settings import Settings

if TYPE_CHECKING:
    from mamba.data_worker.edge_flows import EdgeFlow
    from mamba.data_worker.graph import Graph
    from mamba.data_worker.nodes import Flow

_PICTURES = (".png", ".svg", ".pdf")


def _detector_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """What the detectors send, where only they know it."""
    options = [
        click.option("--shape", multiple=True, metavar="[NODE=]HxW", help="Shape of the frames: 2048x2048."),
        click.option("--dtype", default="uint16", help="Type of a pixel, as NumPy calls it.  [uint16]"),
        click.option("--rate", type=click.FloatRange(min=0), default=100.0, help="Frames/s.  [100]"),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@_detector_options
def validate(*, file: Path, shape: Sequence[str], dtype: str, rate: float) -> int:
    """Check the graph in FILE (YAML, JSON or Python): names, kinds, parameters, edges, cycles, inputs.

    With --shape also what every node would get: arrays of which shape and type, and how many MB/s at --rate. The first
    mistake is named with its line, and the exit code is 1.
    """
    from mamba.data_worker.shares import expand_writers

    graph, flows = _load(file, shape, dtype, rate)
    running, _ = expand_writers(graph)
    actors = {running.group_of(node.name) for node in running.nodes}
    click.echo(
        f"{graph.name}: valid; {len(graph.nodes)} nodes, {len(graph.edges)} edges, {len(actors)} actors"
        f" ({', '.join(sorted(actors))})"
    )
    if flows is None:
        click.echo("--shape HEIGHTxWIDTH also checks what every node would get")
        return 0
    _print_flows(flows, rate)
    return 0


@click.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--detector", metavar="D.NAME", default="", help="Without FILE: whose graph; else the only one.")
@click.option("--png", type=click.Path(dir_okay=False, path_type=Path), help="Draw it into a file: .png, .svg, .pdf.")
@click.option("--as", "form", type=click.Choice(["yaml", "json", "python"]), help="Print it in this form.")
@_detector_options
@click.pass_obj
def show(
    settings: Settings,
    *,
    file: Path | None,
    detector: str,
    png: Path | None,
    form: str | None,
    shape: Sequence[str],
    dtype: str,
    rate: float,
) -> int:
    """Draw the graph in FILE, without FILE the one that a detector uses.

    With --shape the drawing says what runs along the edges.
    """
    if file is not None:
        graph, flows = _load(file, shape, dtype, rate)
    else:
        graph = _ask(settings, detector)
        flows = _plan(graph, shape, dtype, rate)
    if form is not None:
        click.echo(_write(graph, form), nl=False)
        return 0
    if png is None:
        from mamba.data_worker.sketch import sketch

        click.echo(sketch(graph, flows))
        return 0
    if png.suffix not in _PICTURES:
        raise click.UsageError(f"--png {png}: write a name that ends with {', '.join(_PICTURES)}")
    from mamba.data_worker.drawing import draw

    draw(graph, png, flows)
    click.echo(png)
    return 0


def _ask(settings: Settings, detector: str) -> Graph:
    """The graph that a detector of the session uses."""
    from mamba.data_worker.graph import parse_graph
    from mamba.wire.client import Client

    with Client(settings.find_runtime().rpc) as client:
        found = client.request("graph/describe", path=detector)
    return parse_graph({key: value for key, value in found.items() if key not in ("device", "source")})


def _write(graph: Graph, form: str) -> str:
    from mamba.data_worker.python_text import write_python

    if form == "python":
        return write_python(graph)
    return graph.dump_yaml() if form == "yaml" else graph.dump_json() + "\n"


def _load(file: Path, shapes: Sequence[str], dtype: str, rate: float) -> tuple[Graph, list[EdgeFlow] | None]:
    from mamba.data_worker.graph import load_graph

    found: list[list[EdgeFlow] | None] = []
    graph = load_graph(file, check=lambda graph: found.append(_plan(graph, shapes, dtype, rate)))
    return graph, found[0]


def _plan(graph: Graph, shapes: Sequence[str], dtype: str, rate: float) -> list[EdgeFlow] | None:
    """What runs along the edges; None where nobody said what the detectors send."""
    from mamba.data_worker.edge_flows import list_edge_flows, list_streams

    streams = list_streams(graph)
    if streams and not shapes:
        return None
    return list_edge_flows(graph, _read_shapes(streams, shapes, dtype), rate)


def _read_shapes(streams: Sequence[str], shapes: Sequence[str], dtype: str) -> dict[str, Flow]:
    import numpy as np

    from mamba.data_worker.edge_flows import make_frames

    try:
        np.dtype(dtype)
    except TypeError:
        raise click.BadOptionUsage("--dtype", f"--dtype {dtype}: NumPy knows no such type; write uint16") from None
    detectors: dict[str, Flow] = {}
    for text in shapes:
        found = re.fullmatch(r"(?:([a-z]\w*)=)?(\d+(?:x\d+)*)", text)
        if not found or (found[1] and found[1] not in streams):
            known = ", ".join(streams) or "none here takes one"
            raise click.BadOptionUsage("--shape", f"--shape {text}: write 2048x2048 or NODE=2048x2048; nodes: {known}")
        flow = make_frames(tuple(int(length) for length in found[2].split("x")), dtype)
        detectors.update(dict.fromkeys([found[1]] if found[1] else streams, flow))
    return detectors


def _print_flows(flows: Sequence[EdgeFlow], rate: float) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from mamba.data_worker.edge_flows import describe_flow

    click.echo(f"At {rate:g} frames/s:")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("from", "to", "policy", "each row"):
        table.add_column(title, no_wrap=True)
    table.add_column("rows/s", justify="right")
    table.add_column("MB/s", justify="right")
    for each in flows:
        edge = each.edge
        into = f"{edge.to} (as {edge.label})" if edge.label else edge.to
        megabytes = each.bytes_per_s / 1e6
        rate_text = f"{megabytes:,.0f}" if megabytes >= 100 else f"{megabytes:.3g}"
        table.add_row(edge.origin, into, edge.policy, describe_flow(each.flow), f"{each.rows_per_s:g}", rate_text)
    Console(width=max(80, shutil.get_terminal_size().columns)).print(table)
