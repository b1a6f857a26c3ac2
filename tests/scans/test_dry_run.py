"""A plan is refused as a whole, before anything moves."""

from __future__ import annotations

import pytest
from ophyd import SoftPositioner
from ophyd.sim import SynSignal
from ophyd.utils import LimitError

from mamba.scans import grid_scan, list_scan, mv, mvr, rel_scan, scan


class Recorded(SoftPositioner):
    """A motor that remembers where it was sent."""

    def __init__(self, name: str) -> None:
        self.sent: list[float] = []
        super().__init__(name=name, limits=(-10, 10), init_pos=1.0)
        self.sent.clear()

    def _setup_move(self, position: float, status: object) -> None:
        self.sent.append(position)
        super()._setup_move(position, status)


@pytest.fixture
def x():
    return Recorded("x")


@pytest.fixture
def y():
    return Recorded("y")


DETECTOR = SynSignal(func=lambda: 1.0, name="detector")


@pytest.mark.parametrize(
    "make",
    [
        lambda x, y: scan([DETECTOR], x, 0, 11, 5),
        lambda x, y: list_scan([DETECTOR], x, [0, 1, -11]),
        lambda x, y: grid_scan([DETECTOR], x, 0, 1, 3, y, 0, 99, 3),
        lambda x, y: rel_scan([DETECTOR], x, 0, 9.5, 3),
        lambda x, y: mv(x, 2, y, 12),
        lambda x, y: mvr(x, 1, y, -12),
    ],
    ids=["scan", "list_scan", "grid_scan", "rel_scan", "mv", "mvr"],
)
def test_nothing_moves_when_one_set_point_is_refused(engine, x, y, make):
    documents = []
    with pytest.raises(LimitError):
        engine(make(x, y), lambda name, doc: documents.append(name))
    assert (x.sent, y.sent, documents) == ([], [], [])


def test_a_plan_within_limits_runs_as_it_would(engine, x, y):
    engine(scan([DETECTOR], x, 0, 4, 5))
    assert x.sent == [0, 1, 2, 3, 4]
    engine(rel_scan([DETECTOR], x, -1, 1, 3))
    assert x.sent[5:] == [3, 4, 5, 4]
    engine(mvr(x, 1, y, 1))
    assert (x.position, y.position) == (5, 2)


def test_the_checked_plan_keeps_name_and_words():
    assert scan.__name__ == "scan"
    assert "detectors" in scan.__doc__
