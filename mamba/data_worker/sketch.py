"""A graph drawn with characters, for a terminal: boxes in layers, lines between them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from mamba.data_worker.edge_flows import EdgeFlow, describe_flow
from mamba.data_worker.graph import Graph, NodeSpec, say_kind
from mamba.data_worker.layout import Layout, Route, lay_out

_UP, _DOWN, _LEFT, _RIGHT = 1, 2, 4, 8
_LINES = {
    _LEFT | _RIGHT: "─", _UP | _DOWN: "│", _DOWN | _RIGHT: "┌", _DOWN | _LEFT: "┐", _UP | _RIGHT: "└",
    _UP | _LEFT: "┘", _LEFT | _RIGHT | _DOWN: "┬", _LEFT | _RIGHT | _UP: "┴", _UP | _DOWN | _RIGHT: "├",
    _UP | _DOWN | _LEFT: "┤", _UP | _DOWN | _LEFT | _RIGHT: "┼", _LEFT: "─", _RIGHT: "─", _UP: "│", _DOWN: "│",
}  # fmt: skip
_ROW_LINES = 5
"""Lines of the terminal for a row of nodes: four for the box, one between."""


def sketch(graph: Graph, flows: Sequence[EdgeFlow] | None = None) -> str:
    """The drawing, and below it a line for each edge that has something to say: policy, name, what runs along it."""
    layout = lay_out(graph)
    canvas = _Canvas()
    lefts, widths = _place_layers(graph, layout)
    for route in layout.routes:
        _draw_route(canvas, layout, route, lefts, widths)
    for name, (layer, row) in layout.nodes.items():
        node = graph.node(name)
        canvas.box(lefts[layer], _find_line(row), widths[layer], name, _describe(node))
    lines = [f"{graph.name}: {len(graph.nodes)} nodes, {len(graph.edges)} edges", "", *canvas.lines(), ""]
    known = {(each.edge.origin, each.edge.to): describe_flow(each.flow) for each in flows or ()}
    for edge in graph.edges:
        words: list[str] = [edge.policy] if edge.policy != "wait" else []
        words += [f"as {edge.label}"] if edge.label else []
        words += [known[edge.origin, edge.to]] if flows else []
        if words:
            lines.append(f"{edge.origin} → {edge.to}: {', '.join(words)}")
    return "\n".join(lines).rstrip()


def _describe(node: NodeSpec) -> str:
    return f"{say_kind(node)} · {node.group}" if node.group else say_kind(node)


def _find_line(row: float) -> int:
    return round(row * _ROW_LINES)


def _place_layers(graph: Graph, layout: Layout) -> tuple[list[int], list[int]]:
    """The first column and the width of each layer; between two of them, a column for each output that forks there."""
    lefts, widths, left = [], [], 0
    for layer in range(layout.layers):
        nodes = [graph.node(name) for name, (at, _) in layout.nodes.items() if at == layer]
        texts = [text for node in nodes for text in (node.name, _describe(node))]
        lefts.append(left)
        widths.append(max(len(text) for text in texts) + 4)
        left += widths[-1] + 4 + 2 * len(_list_tracks(layout, layer))
    return lefts, widths


def _list_tracks(layout: Layout, layer: int) -> list[tuple[float, str]]:
    """What turns in the gap behind a layer: by the row and the output it comes from, each in a column of its own."""
    starts = {
        (route.places[step][1], route.edge.origin)
        for route in layout.routes
        for step in range(len(route.places) - 1)
        if route.places[step][0] == layer
    }
    return sorted(starts)


def _draw_route(canvas: _Canvas, layout: Layout, route: Route, lefts: list[int], widths: list[int]) -> None:
    for step, ((layer, row), (_, next_row)) in enumerate(zip(route.places, route.places[1:], strict=False)):
        line, next_line = _find_line(row) + 1, _find_line(next_row) + 1
        start = lefts[layer] + (widths[layer] if step == 0 else 0)
        tracks = _list_tracks(layout, layer)
        track = lefts[layer] + widths[layer] + 1 + 2 * tracks.index((row, route.edge.origin))
        end = lefts[layer + 1] - 1
        canvas.run(start, line, track, line)
        canvas.run(track, line, track, next_line)
        canvas.run(track, next_line, end, next_line)
    canvas.put(lefts[route.places[-1][0]] - 1, _find_line(route.places[-1][1]) + 1, "▶")


class _Canvas:
    """Characters by line and column."""

    def __init__(self) -> None:
        self._arms: dict[tuple[int, int], int] = defaultdict(int)
        self._texts: dict[tuple[int, int], str] = {}

    def run(self, x0: int, y0: int, x1: int, y1: int) -> None:
        """A straight line between two places, joined to what is there."""
        steps = max(abs(x1 - x0), abs(y1 - y0))
        dx, dy = (x1 > x0) - (x1 < x0), (y1 > y0) - (y1 < y0)
        ahead = _RIGHT if dx > 0 else _LEFT if dx else _DOWN if dy > 0 else _UP
        behind = {_RIGHT: _LEFT, _LEFT: _RIGHT, _DOWN: _UP, _UP: _DOWN}[ahead]
        for at in range(steps):
            self._arms[y0 + at * dy, x0 + at * dx] |= ahead
            self._arms[y0 + (at + 1) * dy, x0 + (at + 1) * dx] |= behind

    def put(self, x: int, y: int, text: str) -> None:
        """Characters over what is there."""
        for at, char in enumerate(text):
            self._texts[y, x + at] = char

    def box(self, x: int, y: int, width: int, title: str, below: str) -> None:
        """A box of four lines with two texts."""
        self.put(x, y, f"╭{'─' * (width - 2)}╮")
        self.put(x, y + 1, f"│ {title.ljust(width - 4)} │")
        self.put(x, y + 2, f"│ {below.ljust(width - 4)} │")
        self.put(x, y + 3, f"╰{'─' * (width - 2)}╯")

    def lines(self) -> list[str]:
        """The drawing."""
        places = self._arms.keys() | self._texts.keys()
        height = 1 + max(y for y, _ in places)
        rows = []
        for y in range(height):
            width = 1 + max((x for line, x in places if line == y), default=-1)
            rows.append(
                "".join(self._texts.get((y, x), _LINES.get(self._arms.get((y, x), 0), " ")) for x in range(width))
            )
        return rows
