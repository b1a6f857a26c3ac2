"""A graph drawn into a picture: nodes as boxes in layers, edges in the colour of their policy."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mamba.data_worker.edge_flows import EdgeFlow, describe_flow
from mamba.data_worker.graph import Graph, build_node, say_kind
from mamba.data_worker.layout import Layout, Route, lay_out
from mamba.errors import FacilityError

INK, MUTED, PALE = "#1f2933", "#52606d", "#e4e7eb"
ROLES = {"source": "#1f6fb2", "processor": "#0f8a6d", "sink": "#b4531a"}
POLICIES = {"wait": (INK, "-"), "drop": ("#c77700", (0, (5, 2.4))), "latest": ("#8e44ad", (0, (1.2, 1.8)))}
"""Colour and dashes; told apart without the colour, too."""
GROUPS = ("#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#f0e442", "#0072b2", "#d55e00")
"""Okabe and Ito 2008: told apart by everybody."""

_WIDE, _HIGH = 1.9, 0.74
_STEP_X, _STEP_Y = 3.2, 1.22
_MARGIN, _TITLE, _LEGEND = 0.45, 0.62, 0.85


def draw(graph: Graph, out: Path, flows: Sequence[EdgeFlow] | None = None) -> None:
    """Draw `graph` into a picture; its name says the format: .png, .svg or .pdf.

    Args:
        graph: what to draw.
        out: the file, replaced if it is there.
        flows: what runs along the edges, written below the nodes that give it; None: not known.

    Raises:
        FacilityError: matplotlib is not installed.
    """
    logging.getLogger("matplotlib").setLevel(logging.WARNING)  # it tells of its font cache at the first use
    try:
        from matplotlib import rc_context
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise FacilityError(
            f"{out}: cannot be drawn",
            seen=str(error),
            remedy="pip install 'mamba-beamline[science]', or leave --png out: it is drawn in the terminal",
        ) from None

    layout = lay_out(graph)
    width = (layout.layers - 1) * _STEP_X + _WIDE + 2 * _MARGIN
    height = layout.rows * _STEP_Y + _HIGH + _MARGIN + _TITLE + _LEGEND
    with rc_context({"font.family": "DejaVu Sans", "svg.fonttype": "none"}):
        figure = Figure(figsize=(width, height), facecolor="white")
        FigureCanvasAgg(figure)
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(0, height), aspect="equal")
        axes.set_axis_off()
        places = _Places(layout, height)
        for route in layout.routes:
            _draw_edge(axes, places, route)
        colors = _choose_colors(graph)
        for node in graph.nodes:
            _draw_node(axes, places, graph, node.name, colors)
        _write_flows(axes, places, flows or ())
        _draw_title(axes, graph, height)
        _draw_legend(axes, graph, width)
        figure.savefig(out, dpi=160, metadata={"Title": graph.name})


class _Places:
    """Inches on the paper, of a place (layer, row)."""

    def __init__(self, layout: Layout, height: float) -> None:
        self._layout, self._top = layout, height - _MARGIN - _TITLE - _HIGH / 2

    def find(self, place: tuple[int, float]) -> tuple[float, float]:
        layer, row = place
        return _MARGIN + _WIDE / 2 + layer * _STEP_X, self._top - row * _STEP_Y

    def node(self, name: str) -> tuple[float, float]:
        return self.find(self._layout.nodes[name])

    def leave(self, route: Route) -> tuple[float, float]:
        """Where an edge leaves its node: each output at a place of its own, forks of one output from the same."""
        x, y = self.node(route.edge.node)
        outputs = dict.fromkeys(r.edge.origin for r in self._layout.routes if r.edge.node == route.edge.node)
        return x + _WIDE / 2, y + _spread(list(outputs).index(route.edge.origin), len(outputs))

    def enter(self, route: Route) -> tuple[float, float]:
        """Where an edge comes into its node: in the order of the rows they come from, so that none cross there."""
        x, y = self.node(route.edge.to)
        routes = [r for r in self._layout.routes if r.edge.to == route.edge.to]
        routes.sort(key=lambda r: (r.places[-2][1], r.edge.origin))
        return x - _WIDE / 2, y + _spread(routes.index(route), len(routes))


def _spread(at: int, count: int) -> float:
    """Above the middle of a side, for the one of `count` ends."""
    step = min(0.17, 0.8 * _HIGH / max(1, count - 1))
    return ((count - 1) / 2 - at) * step


def _write_flows(axes: Any, places: _Places, flows: Sequence[EdgeFlow]) -> None:
    """Below each node what it gives: the same to all that take it."""
    lines: dict[str, dict[str, str]] = {}
    for each in flows:
        output = f"{each.edge.output}: " if each.edge.output else ""
        text = f"{output}{describe_flow(each.flow)}   {_write_rate(each.bytes_per_s)}"
        lines.setdefault(each.edge.node, {})[each.edge.output] = text
    for name, texts in lines.items():
        x, y = places.node(name)
        where = (x - _WIDE / 2 + 0.03, y - _HIGH / 2 - 0.06)
        axes.text(*where, "\n".join(texts.values()), fontsize=6.6, color=MUTED, va="top", linespacing=1.25, zorder=3)


def _write_rate(bytes_per_s: float) -> str:
    for size, unit in ((1e9, "GB/s"), (1e6, "MB/s"), (1e3, "kB/s")):
        if bytes_per_s >= size:
            return f"{bytes_per_s / size:.3g} {unit}"
    return f"{bytes_per_s:.3g} B/s"


def _choose_colors(graph: Graph) -> dict[str, str]:
    groups = dict.fromkeys(node.group for node in graph.nodes if node.group)
    return {group: GROUPS[number % len(GROUPS)] for number, group in enumerate(groups)}


def _draw_edge(axes: Any, places: _Places, route: Route) -> None:
    from matplotlib.patches import FancyArrowPatch, PathPatch
    from matplotlib.path import Path as Curve

    color, dashes = POLICIES[route.edge.policy]
    end = places.enter(route)
    points = [places.leave(route), *(places.find(place) for place in route.places[1:-1]), (end[0] - 0.08, end[1])]
    vertices, codes = [points[0]], [Curve.MOVETO]
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        # a bend is passed straight for the width of a box, so that the curve stays clear of its neighbours
        start = x0 if x0 == points[0][0] else x0 + _WIDE / 2
        stop = x1 if x1 == points[-1][0] else x1 - _WIDE / 2
        middle = (start + stop) / 2
        vertices += [(start, y0), (middle, y0), (middle, y1), (stop, y1)]
        codes += [Curve.LINETO, Curve.CURVE4, Curve.CURVE4, Curve.CURVE4]
    axes.add_patch(
        PathPatch(Curve(vertices, codes), fill=False, ec=color, lw=1.5, ls=dashes, capstyle="butt", zorder=1)
    )
    head = FancyArrowPatch(
        (end[0] - 0.13, end[1]), end, arrowstyle="-|>", mutation_scale=11, color=color, lw=0, zorder=2
    )
    axes.add_patch(head)
    _label_edge(axes, route, points, color)


def _label_edge(axes: Any, route: Route, points: list[tuple[float, float]], color: str) -> None:
    """Which output it leaves by, near its beginning, and what the reader calls it, in a gap of its last part."""
    edge = route.edge
    if edge.output:
        x, y = points[0]
        axes.text(x + 0.08, y + 0.035, edge.output, fontsize=6.6, color=color, va="bottom", zorder=3)
    if edge.label:
        (x0, y0), (x1, y1) = points[-2:]
        start = x0 if len(points) == 2 else x0 + _WIDE / 2
        box = {"boxstyle": "round,pad=0.25", "fc": "white", "ec": "none"}
        place = ((start + x1) / 2, (y0 + y1) / 2)
        axes.text(*place, f"as {edge.label}", fontsize=6.6, color=color, ha="center", va="center", zorder=3, bbox=box)


def _draw_node(axes: Any, places: _Places, graph: Graph, name: str, colors: dict[str, str]) -> None:
    from matplotlib.patches import FancyBboxPatch, Rectangle

    spec = graph.node(name)
    color = ROLES[_find_role(graph, name)]
    x, y = places.node(name)
    left, bottom = x - _WIDE / 2, y - _HIGH / 2
    box = FancyBboxPatch(
        (left, bottom), _WIDE, _HIGH, boxstyle="round,pad=0,rounding_size=0.09", fc="white", ec=color, lw=1.4, zorder=4
    )
    axes.add_patch(box)
    strip = Rectangle((left, bottom), 0.11, _HIGH, fc=color, ec="none", zorder=5)
    strip.set_clip_path(box)
    axes.add_patch(strip)
    axes.text(left + 0.24, y + 0.19, _fit(name, 18), fontsize=9.6, fontweight="bold", color=INK, va="center", zorder=6)
    axes.text(left + 0.24, y - 0.03, _fit(say_kind(spec), 24), fontsize=7.6, color=color, va="center", zorder=6)
    if spec.group:
        axes.plot([left + 0.285], [y - 0.225], "o", ms=4.6, color=colors[spec.group], mec="none", zorder=6)
        axes.text(left + 0.38, y - 0.228, _fit(spec.group, 22), fontsize=6.9, color=MUTED, va="center", zorder=6)


def _find_role(graph: Graph, name: str) -> str:
    node = build_node(graph.node(name))
    return "source" if node.inputs == (0, 0) else "processor" if node.outputs else "sink"


def _fit(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _draw_title(axes: Any, graph: Graph, height: float) -> None:
    actors = {graph.group_of(node.name) for node in graph.nodes}
    counts = [(len(graph.nodes), "node"), (len(graph.edges), "edge"), (len(actors), "actor")]
    text = "   ·   ".join(f"{count} {word}{'' if count == 1 else 's'}" for count, word in counts)
    axes.text(_MARGIN, height - _MARGIN + 0.02, graph.name, fontsize=14, fontweight="bold", color=INK, va="center")
    axes.text(_MARGIN, height - _MARGIN - 0.25, text, fontsize=7.6, color=MUTED, va="center")


def _draw_legend(axes: Any, graph: Graph, width: float) -> None:
    means = {"wait": "wait: loses nothing", "drop": "drop: skips when behind", "latest": "latest: the newest only"}
    axes.plot([_MARGIN, width - _MARGIN], [0.5, 0.5], color=PALE, lw=0.8)
    x = _MARGIN
    for policy in means:
        if any(edge.policy == policy for edge in graph.edges):
            color, dashes = POLICIES[policy]
            axes.plot([x, x + 0.36], [0.28, 0.28], color=color, ls=dashes, lw=1.5)
            axes.text(x + 0.46, 0.28, means[policy], fontsize=7, color=MUTED, va="center")
            x += 0.62 + 0.078 * len(means[policy])
    if any(node.group for node in graph.nodes):
        axes.plot([x + 0.05], [0.28], "o", ms=4.6, color=MUTED, mec="none")
        axes.text(x + 0.18, 0.28, "nodes of one actor", fontsize=7, color=MUTED, va="center")
