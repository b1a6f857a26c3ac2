"""Where the nodes of a graph stand when it is drawn: in layers from the sources to the sinks.

*Layer*: how many edges lie at most between a node and a source. An edge over more than one layer passes through
*bends*, which take room in the layers between like nodes, so that it runs around the nodes and not across them.

Layers and the order within them after Sugiyama, Tagawa and Toda, IEEE Trans. SMC 11 (1981) 109.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from dataclasses import dataclass

from mamba.data_worker.graph import EdgeSpec, Graph

_SWEEPS = 12


@dataclass(frozen=True)
class Route:
    """How an edge runs: the places (layer, row) of its origin, its bends and its end."""

    edge: EdgeSpec
    places: tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class Layout:
    """A drawn graph: nodes and edges at places (layer, row); rows are at least one apart and begin at 0."""

    nodes: dict[str, tuple[int, float]]
    routes: tuple[Route, ...]

    @property
    def layers(self) -> int:
        """How many layers."""
        return 1 + max(layer for layer, _ in self.nodes.values())

    @property
    def rows(self) -> float:
        """The lowest row that something stands in."""
        return max(row for route in self.routes for _, row in route.places) if self.routes else 0.0


def lay_out(graph: Graph) -> Layout:
    """Place the nodes of a graph; the same graph gives the same drawing."""
    layers = _find_layers(graph)
    paths = [_make_path(number, edge, layers) for number, edge in enumerate(graph.edges)]
    columns: list[list[str]] = [[] for _ in range(1 + max(layers.values()))]
    for node in graph.nodes:
        columns[layers[node.name]].append(node.name)
    before: dict[str, list[str]] = defaultdict(list)
    after: dict[str, list[str]] = defaultdict(list)
    for edge, path in zip(graph.edges, paths, strict=True):
        for place, bend in enumerate(path[1:-1], start=layers[edge.node] + 1):
            columns[place].append(bend)
        for left, right in itertools.pairwise(path):
            after[left].append(right)
            before[right].append(left)
    columns = _untangle(columns, before, after)
    rows = _straighten(columns, before, after)
    of = {name: (layer, rows[name]) for layer, column in enumerate(columns) for name in column}
    routes = tuple(Route(edge, tuple(of[step] for step in path)) for edge, path in zip(graph.edges, paths, strict=True))
    return Layout({node.name: of[node.name] for node in graph.nodes}, routes)


def _find_layers(graph: Graph) -> dict[str, int]:
    layers: dict[str, int] = {}
    for name in graph.order():
        layers[name] = max((layers[edge.node] + 1 for edge in graph.inputs_of(name)), default=0)
    return layers


def _make_path(number: int, edge: EdgeSpec, layers: dict[str, int]) -> list[str]:
    """Names of what the edge passes; a bend's name cannot be a node's."""
    bends = [f"{number}:{layer}" for layer in range(layers[edge.node] + 1, layers[edge.to])]
    return [edge.node, *bends, edge.to]


def _mean(places: list[float], otherwise: float) -> float:
    return sum(places) / len(places) if places else otherwise


def _untangle(columns: list[list[str]], before: dict[str, list[str]], after: dict[str, list[str]]) -> list[list[str]]:
    """Order each layer by where its neighbours stand; of all orders seen, the one with the fewest crossings."""
    best = columns
    for sweep in range(_SWEEPS):
        forward = sweep % 2 == 0
        neighbours = before if forward else after
        columns = [list(column) for column in columns]
        for at in range(len(columns)) if forward else reversed(range(len(columns))):
            place = {name: float(row) for column in columns for row, name in enumerate(column)}
            columns[at].sort(key=lambda name: _mean([place[each] for each in neighbours[name]], place[name]))
        if _count_crossings(columns, after) < _count_crossings(best, after):
            best = columns
    return best


def _count_crossings(columns: list[list[str]], after: dict[str, list[str]]) -> int:
    crossings = 0
    for left, right in itertools.pairwise(columns):
        place = {name: row for row, name in enumerate(right)}
        ends = [place[name] for origin in left for name in sorted(after[origin], key=place.__getitem__)]
        starts = [row for row, origin in enumerate(left) for _ in after[origin]]
        for one, end in enumerate(ends):
            crossings += sum(ends[two] > end for two in range(one) if starts[two] < starts[one])
    return crossings


def _straighten(
    columns: list[list[str]], before: dict[str, list[str]], after: dict[str, list[str]]
) -> dict[str, float]:
    """Rows near those of the neighbours, one apart, in the order of the layer."""
    rows = {name: float(row) for column in columns for row, name in enumerate(column)}
    for sweep in range(_SWEEPS):
        for column in columns if sweep % 2 == 0 else reversed(columns):
            wanted = [_mean([rows[each] for each in (*before[name], *after[name])], rows[name]) for name in column]
            for name, row in zip(column, _keep_apart(wanted), strict=True):
                rows[name] = row
    top = min(rows.values())
    return {name: row - top for name, row in rows.items()}


def _keep_apart(wanted: list[float]) -> list[float]:
    """Rows at least one apart, in this order, as near to the wanted ones as least squares allows."""
    # less the index they need only not decrease, which pooling adjacent violators solves
    pools: list[tuple[float, int]] = []
    for at, row in enumerate(wanted):
        pools.append((row - at, 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (one, many), (two, more) = pools[-2:]
            pools[-2:] = [((one * many + two * more) / (many + more), many + more)]
    flat = [row for row, count in pools for _ in range(count)]
    return [row + at for at, row in enumerate(flat)]
