"""The graph of a detector of many modules: each with a stream, its sums and its file, in an actor of its own."""

from __future__ import annotations

from mamba.data_worker.graph import Graph, parse_graph

_PIXEL = {"name": "pixel", "x": 0, "y": 0, "width": 1, "height": 1}


def make_modules(count: int, *, apart: bool = False) -> Graph:
    """So many detectors, each with its sums and its file, in the group `module0`; `apart`: its stream in `intake0`."""
    nodes, edges = [], []
    for at in range(count):
        camera, sums, file = f"camera{at}", f"sums{at}", f"file{at}"
        nodes += [
            {"name": camera, "kind": "stream"},
            {"name": sums, "kind": "region_sums", "parameters": {"regions": [_PIXEL]}},
            {"name": file, "kind": "hdf5"},
        ]
        edges += [(camera, sums), (camera, file), (sums, file)]
    return parse_graph(
        {
            "name": "modules",
            "nodes": [{**node, "group": _name_group(at, apart=apart)} for at, node in enumerate(nodes)],
            "edges": [{"from": origin, "to": to} for origin, to in edges],
        }
    )


def _name_group(at: int, *, apart: bool) -> str:
    module, node = divmod(at, 3)
    return f"intake{module}" if apart and node == 0 else f"module{module}"
