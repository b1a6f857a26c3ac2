"""Actors on several Ray nodes of this host: edges between them go over TCP, with the same promises."""

from collections.abc import Iterator

import pytest

from mamba.data_worker.graph import parse_graph
from mamba.errors import DataError, GraphInvalid
from tests.data_worker import test_several_writers
from tests.data_worker.conftest import Start
from tests.support.dying_console import make_graph
from tests.support.graph_killer import GROUPS, SHAPE, Killer, check_exact, make_three_actors
from tests.support.ray_nodes import adding_nodes

pytestmark = pytest.mark.soak  # a cluster of several nodes takes half a minute


@pytest.fixture(scope="module")
def nodes(ray_once: None) -> Iterator[list[str]]:
    with adding_nodes(2) as found:
        yield found


@pytest.mark.parametrize("transport", ["ring", pytest.param("zmq", marks=pytest.mark.soak)])
def test_every_frame_arrives_over_tcp_also_after_deaths(start: Start, nodes: list[str], transport: str) -> None:
    places = dict(zip(GROUPS, nodes, strict=True))
    _, armed = start(make_three_actors(), frames=1500, shape=SHAPE, period_s=0.004, places=places, transport=transport)
    ends = [edge for order in armed._crew.plan.orders.values() for node in order["nodes"] for edge in node["ins"]]
    # twice → once is inside one actor
    assert {edge["origin"] for edge in ends if edge["endpoint"].startswith("unix:")} == {"twice"}
    killer = Killer(armed)
    for safe, groups in ((100, ["intake"]), (500, ["file"]), (900, ["work", "intake"])):
        assert killer.await_written(safe)
        killer.kill(*groups)
        killer.await_whole()
    ledger = armed.wait(40)
    assert killer.kills == 4
    check_exact(ledger, frames=1500, acknowledged=killer.acknowledged)


@pytest.mark.soak
def test_writers_on_other_nodes_share_a_stream(start: Start, nodes: list[str]) -> None:
    places = dict(zip(("file_1", "file_2", "file_3"), nodes, strict=True))
    _, armed = start(make_graph(), frames=402, shape=SHAPE, places=places)
    ledger = armed.wait(30)
    assert (ledger.written, ledger.missing) == (402, ())
    test_several_writers.check_shared(ledger, 3)
    sent = [ledger.edges[f"camera → file_{n}"]["sent"] for n in (1, 2, 3)]
    assert sum(sent) == 402


def test_a_node_that_is_not_there_is_told(start: Start, nodes: list[str]) -> None:
    with pytest.raises(DataError, match="there is no Ray node 'elsewhere'"):
        start(make_three_actors(), places={"file": "elsewhere"})


@pytest.mark.soak
def test_a_branch_at_another_node_does_not_come_while_it_runs(start: Start, nodes: list[str]) -> None:
    places = {"look": nodes[1], **dict.fromkeys(GROUPS, nodes[0])}
    graph = make_three_actors()
    _, armed = start(graph, frames=100_000, period_s=0.01, shape=SHAPE, places=places)
    data = graph.dump()
    data["nodes"].append({"name": "look", "kind": "preview"})
    data["edges"].append({"from": "camera", "to": "look", "policy": "latest"})
    with pytest.raises(GraphInvalid, match="camera → look would go to another Ray node"):
        armed.change(parse_graph(data))
    assert armed.abort("seen enough").written >= 0
