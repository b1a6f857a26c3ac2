import pytest

from mamba.data_worker import pace
from mamba.data_worker.pace import REST_S, Pace


class Clock:
    """Stands in for the module `time`; a rest takes twice as long as it was asked for."""

    def __init__(self) -> None:
        self.now, self.rests = 100.0, 0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += 2 * seconds
        self.rests += 1


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(pace, "time", clock)
    return clock


def stream(clock: Clock, *, every_s: float, blocks: int, slots: int) -> int:
    """How often a reader of blocks that come evenly waits to be woken."""
    reader, due, woken = Pace(slots), clock.now, 0
    while blocks:
        while blocks and due <= clock.now:
            reader.note()
            due, blocks = due + every_s, blocks - 1
        if not reader.rest():
            clock.now, woken = max(clock.now, due), woken + 1
    return woken


def test_quick_blocks_are_taken_several_at_a_time(clock: Clock) -> None:
    assert stream(clock, every_s=REST_S / 3, blocks=600, slots=64) < 5
    assert clock.rests == pytest.approx(100, abs=5)


def test_slow_blocks_are_waited_for(clock: Clock) -> None:
    assert stream(clock, every_s=5 * REST_S, blocks=600, slots=64) >= 599
    assert clock.rests == 0


def test_where_a_rest_would_fill_the_slots_the_next_block_is_waited_for(clock: Clock) -> None:
    assert stream(clock, every_s=REST_S / 3, blocks=600, slots=2) > 590


def test_after_a_rest_without_a_block_the_next_one_is_waited_for(clock: Clock) -> None:
    reader = Pace(64)
    assert not reader.rest()
    clock.now += REST_S
    for _ in range(5):
        reader.note()
    assert reader.rest()
    assert reader.quick
    assert not reader.rest()
    assert not reader.quick
