"""A site's package adds kinds by entry points; a broken one costs its own kind only."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mamba.data_worker import kinds
from mamba.data_worker.graph import build_node, parse_graph, plan_flows
from mamba.data_worker.kinds import describe_kinds, find_kind, list_kinds
from mamba.data_worker.nodes import Flow, Item
from mamba.errors import GraphInvalid

NODES = '''
import numpy as np
from pydantic import Field
from mamba.data_worker.nodes import Node, NodeParameters

class ScaleParameters(NodeParameters):
    """By how much."""
    factor: float = Field(1.0, gt=0, description="each pixel times this", json_schema_extra={"units": "ADU/photon"})

class Scale(Node):
    """Each pixel times a factor."""
    takes = ScaleParameters
    def plan(self, inputs):
        (flow,) = inputs.values()
        return flow
    def process(self, item):
        return (item.data * self.parameters.factor).astype(item.data.dtype)

class NoNode:
    pass
'''
POINTS = """
[mamba.nodes]
site_scale = site_nodes:Scale
site_missing = site_nodes:Missing
site_no_node = site_nodes:NoNode
site_broken = site_broken_nodes:Broken
hdf5 = site_nodes:Scale
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A distribution as pip leaves it: modules, and metadata with entry points."""
    (tmp_path / "site_nodes.py").write_text(NODES)
    (tmp_path / "site_broken_nodes.py").write_text("raise RuntimeError('no licence for the correction library')\n")
    metadata = tmp_path / "site_package-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: site-package\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(POINTS)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    kinds._find_installed.cache_clear()
    yield
    for name in ("site_nodes", "site_broken_nodes"):
        sys.modules.pop(name, None)
    kinds._find_installed.cache_clear()


def test_a_node_of_a_sites_package_works_in_a_graph(site: None) -> None:
    graph = parse_graph(
        {
            "name": "site",
            "nodes": [
                {"name": "camera", "kind": "stream"},
                {"name": "scale", "kind": "site_scale", "parameters": {"factor": 2}},
                {"name": "file", "kind": "hdf5"},
            ],
            "edges": [{"from": "camera", "to": "scale"}, {"from": "scale", "to": "file"}],
        }
    )
    assert plan_flows(graph, {"camera": Flow((4, 4), "uint16")})["scale"]["out"].shape == (4, 4)
    rows = build_node(graph.node("scale")).process(Item(0, {"camera": np.full((3, 4, 4), 21, "uint16")}))
    assert isinstance(rows, np.ndarray)
    assert rows.shape == (3, 4, 4)
    assert (rows == 42).all()
    assert find_kind("hdf5").__module__ == "mamba.data_worker.sinks.hdf5", "ours win"


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("site_broken", "cannot be loaded from site_broken_nodes:Broken\n  seen: RuntimeError: no licence"),
        ("site_missing", "cannot be loaded from site_nodes:Missing\n  seen: AttributeError"),
        ("site_no_node", "site_nodes:NoNode is not a node"),
    ],
)
def test_a_broken_package_is_one_error_where_its_kind_is_named(site: None, kind: str, says: str) -> None:
    text = f"name: site\nnodes:\n- {{name: camera, kind: stream}}\n- {{name: odd, kind: {kind}}}\n"
    with pytest.raises(GraphInvalid) as caught:
        parse_graph(text)
    assert str(caught.value).startswith(f"graph line 4: node kind {kind!r}: {says}")
    assert len(str(caught.value).splitlines()) <= 5


def test_the_list_of_kinds_shows_all_and_names_the_broken(site: None) -> None:
    pages = {page.kind: page for page in describe_kinds()}
    assert set(pages) == set(list_kinds())
    scale = pages["site_scale"]
    assert (scale.role, scale.doc, scale.inputs) == ("processor", "Each pixel times a factor.", (1, 1))
    assert scale.parameters["properties"]["factor"]["units"] == "ADU/photon"
    assert "no licence" in pages["site_broken"].error
    assert not pages["region_sums"].error
