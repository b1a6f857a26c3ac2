"""A graph written in Python, and a graph printed as the Python that makes it.

::

    camera = node("stream", name="camera")
    sums = node("region_sums", name="sums", regions=[{"name": "a", "x": 0, "y": 0, "width": 8, "height": 8}])
    file = node("hdf5", name="file")
    graph = build("regions", camera >> {sums >> file, file})

*Branch*: nodes joined by `>>`, with open ends on both sides. `a >> b` is an edge from each end of `a` to each
beginning of `b`; a set or a tuple of branches forks, and joins again where something follows it. In a set, branches
stand in the order in which their first nodes were made, those of one node in the order in which they were written; in a
tuple, as written. A branch never changes: `>>` makes
another, and only what is given to `build` is in the graph.
"""

from __future__ import annotations

import itertools
import runpy
import sys
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mamba.data_worker.graph import Check, Graph, Policy, make_graph
from mamba.data_worker.graph_problem import Location
from mamba.errors import GraphInvalid

__all__ = ["Branch", "build", "drop", "latest", "node", "run_file"]

_made = itertools.count()


@dataclass(frozen=True, eq=False)
class _Made:
    """A node as `node` made it; `number` counts them, `place` is the line that did."""

    number: int
    place: str
    spec: Mapping[str, Any]

    @property
    def name(self) -> str:
        return str(self.spec["name"])


@dataclass(frozen=True, eq=False)
class _Entry:
    """Where an edge may come in."""

    made: _Made
    policy: Policy = "wait"
    label: str = ""


@dataclass(frozen=True, eq=False)
class _Line:
    """An edge, and the line that drew it."""

    edge: Mapping[str, Any]
    place: str


@dataclass(frozen=True, eq=False)
class Branch:
    """One node, or several joined by `>>`; made by `node`."""

    _nodes: tuple[_Made, ...]
    _lines: tuple[_Line, ...]
    _entries: tuple[_Entry, ...]
    _exits: tuple[str, ...]
    _number: int = field(default_factory=lambda: next(_made))

    def __rshift__(self, other: Branches) -> Branch:
        parts, place = _list_parts(other), _find_place()
        nodes, lines = self._nodes, self._lines
        for part in parts:
            nodes += part._nodes
            for origin, entry in itertools.product(self._exits, part._entries):
                edge = {"from": origin, "to": entry.made.name, "policy": entry.policy, "as": entry.label}
                lines += (_Line(edge, place),)
            lines += part._lines
        return Branch(nodes, lines, self._entries, tuple(end for part in parts for end in part._exits))

    def __rrshift__(self, others: Iterable[Branch]) -> Branch:
        parts = _list_parts(others)
        nodes = tuple(each for part in parts for each in part._nodes)
        lines = tuple(each for part in parts for each in part._lines)
        entries = tuple(each for part in parts for each in part._entries)
        return Branch(nodes, lines, entries, tuple(end for part in parts for end in part._exits)) >> self

    def output(self, name: str) -> Branch:
        """The same node, with what follows taken from its output `name`.

        Raises:
            GraphInvalid: several nodes.
        """
        return replace(self, _exits=(f"{self._only('output').name}.{name}",))

    def input(self, name: str) -> Branch:
        """The same node, which calls what comes in `name`: the edge's `as`.

        Raises:
            GraphInvalid: several nodes.
        """
        self._only("input")
        return replace(self, _entries=(replace(self._entries[0], label=name),))

    def _only(self, what: str) -> _Made:
        if len(self._nodes) != 1:
            raise GraphInvalid(
                f"{what} of {self!r}: several nodes", remedy=f"write .{what}(…) behind one node, before the '>>'"
            )
        return self._nodes[0]

    def __repr__(self) -> str:
        names = dict.fromkeys(made.name for made in self._nodes)
        return f"<branch of {', '.join(names)}>"


Branches = Branch | Iterable[Branch]
"""One branch, or a set, tuple or list of them."""


def node(
    kind: str,
    *,
    name: str = "",
    group: str = "",
    time_limit_s: float | None = None,
    memory_limit_mib: int | None = None,
    parameters: Mapping[str, Any] | None = None,
    **more: Any,
) -> Branch:
    """A node of a graph that is being written.

    Args:
        kind: what it is; `mambactl mdw kinds` lists them.
        name: what it is called in the graph; the kind's name without.
        group: nodes of one group share an actor.
        time_limit_s: the longest that one item may take.
        memory_limit_mib: the most memory of its actor.
        parameters: its parameters as a mapping, for names that cannot be keywords here.
        more: its parameters. They are checked by `build`.
    """
    limits = {"time_limit_s": time_limit_s, "memory_limit_mib": memory_limit_mib}
    given = {key: value for key, value in limits.items() if value is not None}
    spec = {"name": name or kind, "kind": kind, "group": group, **given, "parameters": {**(parameters or {}), **more}}
    made = _Made(next(_made), _find_place(), spec)
    return Branch((made,), (), (_Entry(made),), (made.name,))


def drop(branches: Branches) -> Branch:
    """Blocks skip this branch while it is behind: policy `drop` of the edges into it."""
    return _set_policy(branches, "drop")


def latest(branches: Branches) -> Branch:
    """This branch only gets the newest block: policy `latest` of the edges into it."""
    return _set_policy(branches, "latest")


def build(name: str, *branches: Branches) -> Graph:
    """The graph of all these branches.

    Raises:
        GraphInvalid: it cannot run; names the line of the node or the edge.
    """
    parts = [part for each in branches for part in _list_parts(each)]
    nodes = sorted({made for part in parts for made in part._nodes}, key=lambda made: made.number)
    # a branch that was given a name and used twice is drawn once
    lines = list(dict.fromkeys(line for part in parts for line in part._lines))

    def locate(location: Location) -> str:
        group, at = (*location, None, None)[:2]
        found = nodes if group == "nodes" else lines if group == "edges" else []
        return f"graph {name}, {found[at].place}" if isinstance(at, int) else f"graph {name}"

    raw = {"name": name, "nodes": [made.spec for made in nodes], "edges": [line.edge for line in lines]}
    return make_graph(raw, locate)


def run_file(path: Path, check: Check | None = None) -> Graph:
    """The graph that a Python file calls `graph`; the file is executed.

    Args:
        path: the file.
        check: called with the graph.

    Raises:
        GraphInvalid: it raises, holds no such graph, or does not pass the check; names the line where there is one.
    """
    try:
        names = runpy.run_path(str(path))
    except GraphInvalid:
        raise
    except Exception as error:  # noqa: BLE001  # whatever somebody's file raises is what is wrong with it
        lines = [at.lineno for at in traceback.extract_tb(error.__traceback__) if at.filename == str(path)]
        line = getattr(error, "lineno", None) if isinstance(error, SyntaxError) else lines[-1] if lines else None
        where = f" line {line}" if line else ""
        seen = f"{type(error).__name__}: {error}"
        raise GraphInvalid(f"graph {path}{where}: cannot be executed", seen=seen, remedy="mend that line") from None
    graph = names.get("graph")
    if not isinstance(graph, Graph):
        raise GraphInvalid(f"graph {path}: builds no graph", remedy="end it with 'graph = build(NAME, BRANCH)'")
    try:
        if check is not None:
            check(graph)
    except GraphInvalid as error:
        raise GraphInvalid(f"graph {path}: {error.what}", seen=error.seen, remedy=error.remedy) from None
    return graph


def _set_policy(branches: Branches, policy: Policy) -> Branch:
    parts = _list_parts(branches)
    entries = tuple(replace(entry, policy=policy) for part in parts for entry in part._entries)
    return Branch(
        tuple(each for part in parts for each in part._nodes),
        tuple(each for part in parts for each in part._lines),
        entries,
        tuple(end for part in parts for end in part._exits),
    )


def _list_parts(branches: Any) -> list[Branch]:
    """The branches in their order.

    Raises:
        GraphInvalid: something else among them.
    """
    parts = [branches] if isinstance(branches, Branch) else list(branches) if isinstance(branches, Iterable) else None
    if not parts or not all(isinstance(part, Branch) for part in parts):
        raise GraphInvalid(
            f"graph: {branches!r} cannot stand here",
            remedy="write a node, a branch such as a >> b, or a set or tuple of them",
        )
    if isinstance(branches, (set, frozenset)):
        parts.sort(key=lambda part: (part._nodes[0].number, part._number))
    return parts


def _find_place() -> str:
    """The line outside this module that is being executed."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename == __file__:
        frame = frame.f_back
    return f"{Path(frame.f_code.co_filename).name} line {frame.f_lineno}"
