"""What each policy does when the reader is behind."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mamba.data_worker.edges import EdgePlan, InEdge, OutEdge
from mamba.data_worker.frame import Block, DataFormat, End
from mamba.data_worker.graph import Policy
from mamba.data_worker.ring import Ring
from mamba.data_worker.step_loop import Input
from tests.support.threads import run_beside

SLOTS = 8


@pytest.fixture
def ring() -> Iterator[Ring]:
    made = Ring.create(slots=SLOTS, slot_bytes=4096)
    yield made
    made.close()


def connect(folder: Path, ring: Ring, policy: Policy) -> tuple[OutEdge, InEdge]:
    plan = EdgePlan("camera", "out", "file", "camera", policy, f"unix://{folder}/e", "token", SLOTS)
    out = OutEdge(plan, DataFormat((32, 64), "uint16", "ring", 1, SLOTS, ring.name))
    inward = InEdge(f"unix://{folder}/e", DataFormat((32, 64), "uint16", "ring", 1, SLOTS, ring.name, "token").dump())
    collect_until_connected(out)
    return out, inward


def collect_until_connected(out: OutEdge) -> None:
    deadline = time.monotonic() + 3
    while not out.link.connected:
        out.collect()
        assert time.monotonic() < deadline


def take(inward: InEdge) -> Block | End:
    deadline = time.monotonic() + 3
    while (item := inward.receive(0.1)) is None:
        assert time.monotonic() < deadline
    return item


def collect(out: OutEdge, count: int) -> None:
    deadline, got = time.monotonic() + 3, 0
    while got < count:
        got += len(out.collect())
        assert time.monotonic() < deadline


def block(number: int) -> Block:
    return Block(1, number, number, 1, number % SLOTS)


def test_drop_gives_up_the_new_and_never_holds_more_than_its_share(tmp_path: Path, ring: Ring) -> None:
    out, inward = connect(tmp_path, ring, "drop")
    given_up = [lost.block for n in range(SLOTS) if (lost := out.put(block(n)))]
    assert given_up == [2, 3, 4, 5, 6, 7]
    for number in range(2):
        got = take(inward)
        assert isinstance(got, Block)
        assert got == block(number)
        inward.release(got)
    collect(out, 2)
    assert out.put(block(8)) is None
    out.close()
    inward.close()


def test_latest_keeps_the_newest_and_the_end_comes_after_it(tmp_path: Path, ring: Ring) -> None:
    out, inward = connect(tmp_path, ring, "latest")
    given_up = [lost.block for n in range(5) if (lost := out.put(block(n)))]
    assert given_up == [1, 2, 3]
    out.end(End(1, 5))
    out.collect()
    assert not out.finished
    for number in (0, 4):
        got = take(inward)
        assert got == block(number)
        assert isinstance(got, Block)
        inward.release(got)
        collect(out, 1)
    assert take(inward) == End(1, 5)
    assert out.finished
    out.close()
    inward.close()


def test_wait_is_ready_as_long_as_there_is_a_slot(tmp_path: Path, ring: Ring) -> None:
    out, inward = connect(tmp_path, ring, "wait")
    for number in range(SLOTS):
        assert out.ready
        assert out.put(block(number)) is None
    assert not out.ready
    got = take(inward)
    assert isinstance(got, Block)
    inward.release(got)
    collect(out, 1)
    assert out.ready
    inward.close()
    deadline = time.monotonic() + 3
    while not out.link.broken:
        out.collect()
        assert time.monotonic() < deadline
    assert out.finished
    out.close()


@pytest.mark.parametrize(("policy", "slots"), [("wait", SLOTS), ("drop", 2), ("latest", 1)])
def test_a_reader_does_not_rest_until_blocks_are_dropped(
    tmp_path: Path, ring: Ring, policy: Policy, slots: int
) -> None:
    plan = EdgePlan("camera", "out", "sums", "camera", policy, f"unix://{tmp_path}/e", "token", SLOTS)
    out = OutEdge(plan, DataFormat((32, 64), "uint16", "ring", 1, SLOTS, ring.name))
    reader = Input(plan)
    with run_beside(lambda: collect_until_connected(out)):
        reader.connect(timeout_s=3)
    assert reader.edge is not None
    assert reader.edge.link.pace.slots == slots
    reader.close()
    out.close()
