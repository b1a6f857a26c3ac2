"""A graph printed as the Python that makes it again: `build` of the printed text is the same graph."""

from __future__ import annotations

import json
import keyword
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from mamba.data_worker.graph import EdgeSpec, Graph, NodeSpec

_WIDTH = 110
_TAKEN = ("build", "drop", "graph", "latest", "node", "float")
_OF_NODE = ("kind", "name", "group", "time_limit_s", "memory_limit_mib", "parameters")


def write_python(graph: Graph) -> str:
    """The text of a Python file that builds `graph`."""
    words = _choose_words(graph)
    forks = _fold(graph)
    policies = sorted({edge.policy for edge in graph.edges} - {"wait"})
    lines = [f"from mamba.data_worker.building import {', '.join(['build', *policies, 'node'])}", ""]
    lines += [f"{words[node.name]} = {_write_node(node)}" for node in graph.nodes]
    drawn = {name for edge in graph.edges for name in (edge.node, edge.to)}
    arguments = [_quote(graph.name), *(fork.write(words) for fork in forks)]
    arguments += [words[node.name] for node in graph.nodes if node.name not in drawn]
    return "\n".join([*lines, "", f"graph = build{_write_items(arguments, '()')}", ""])


@dataclass
class _Fork:
    """A node and what follows it, as `>>` draws it; `edge` leads into it, `origin` names the output it goes on from."""

    name: str
    at: int
    edge: EdgeSpec | None
    origin: str
    parts: list[_Fork]

    def write(self, words: dict[str, str]) -> str:
        text = words[self.name]
        if self.edge is not None and self.edge.label:
            text += f".input({_quote(self.edge.label)})"
        if "." in self.origin:
            text += f".output({_quote(self.origin.partition('.')[2])})"
        if self.parts:
            branches = [part.write(words) for part in self.parts]
            order = [part.at for part in self.parts]
            # a set puts its branches into the order of the nodes; a tuple keeps any other
            brackets = "{}" if order == sorted(set(order)) else "()"
            text += f" >> {branches[0] if len(branches) == 1 else _write_items(branches, brackets)}"
        return text if self.edge is None or self.edge.policy == "wait" else f"{self.edge.policy}({text})"


def _fold(graph: Graph) -> list[_Fork]:
    """The edges as few branches, which draw them in the same order."""
    positions = {node.name: at for at, node in enumerate(graph.nodes)}
    rest = list(reversed(graph.edges))

    def grow(fork: _Fork) -> _Fork:
        while rest and rest[-1].node == fork.name and (not fork.parts or rest[-1].origin == fork.origin):
            edge = rest.pop()
            fork.origin = edge.origin
            fork.parts.append(grow(_Fork(edge.to, positions[edge.to], edge, edge.to, [])))
        return fork

    forks = []
    while rest:
        name = rest[-1].node
        forks.append(grow(_Fork(name, positions[name], None, name, [])))
    return forks


def _choose_words(graph: Graph) -> dict[str, str]:
    """A variable for each node: its name, unless Python or the printed file needs that word."""
    words: dict[str, str] = {}
    names = {node.name for node in graph.nodes}
    for name in names:
        word = name
        while word in _TAKEN or keyword.iskeyword(word) or (word != name and word in names):
            word += "_"
        words[name] = word
    return words


def _write_node(node: NodeSpec) -> str:
    items = [_quote(node.kind), f"name={_quote(node.name)}"]
    if node.group:
        items.append(f"group={_quote(node.group)}")
    given = node.model_dump(exclude_defaults=True)
    items += [f"{key}={given[key]!r}" for key in ("time_limit_s", "memory_limit_mib") if key in given]
    plain = {key: value for key, value in node.parameters.items() if _can_be_keyword(key)}
    items += [f"{key}={_write_value(value)}" for key, value in plain.items()]
    if len(plain) < len(node.parameters):
        other = {key: value for key, value in node.parameters.items() if key not in plain}
        items.append(f"parameters={_write_value(other)}")
    return f"node{_write_items(items, '()')}"


def _can_be_keyword(key: str) -> bool:
    return key.isascii() and key.isidentifier() and not keyword.iskeyword(key) and key not in _OF_NODE


def _write_value(value: Any) -> str:
    if isinstance(value, dict):
        return _write_items([f"{_quote(str(key))}: {_write_value(each)}" for key, each in value.items()], "{}")
    if isinstance(value, list):
        return _write_items([_write_value(each) for each in value], "[]")
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    return _quote(value) if isinstance(value, str) else repr(value)


def _quote(text: str) -> str:
    """As a person writes it, in double quotes where that is plain."""
    return json.dumps(text) if text.isascii() and text.isprintable() else repr(text)


def _write_items(items: Iterable[str], brackets: str) -> str:
    """In one line where they fit, else one below the other."""
    items = list(items)
    flat = ", ".join(items)
    if len(flat) <= _WIDTH - 20 and "\n" not in flat:
        return f"{brackets[0]}{flat}{brackets[1]}"
    indented = [item.replace("\n", "\n    ") for item in items]
    return "\n".join([brackets[0], *(f"    {item}," for item in indented), brackets[1]])
