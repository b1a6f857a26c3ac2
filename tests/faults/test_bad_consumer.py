"""A document consumer that raises, blocks or is too slow: the scan takes no longer, and it is told and counted.

Consumers that are prompt see what bluesky's see: in order, complete when the run is over, and inside the plan too.
"""

from __future__ import annotations

import logging
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from bluesky import plan_stubs
from bluesky.callbacks import LiveTable
from bluesky.callbacks.best_effort import BestEffortCallback
from bluesky.callbacks.fitting import PeakStats
from bluesky.plans import count, scan
from bluesky.preprocessors import subs_wrapper
from ophyd.sim import SynAxis, SynGauss

from mamba.scans import BeamlineRunEngine, consumers
from mamba.scans.consumers import MAX_LATE, MAX_WAITING, QueuedConsumer
from tests.scans.conftest import engine, make_engine, profile  # noqa: F401  # fixtures
from tests.support.session_host import wait_until

Documents = list[tuple[str, dict[str, Any]]]


@pytest.fixture
def stops(engine: BeamlineRunEngine) -> list[dict[str, Any]]:  # noqa: F811
    kept: list[dict[str, Any]] = []
    engine.subscribe_quick(lambda name, doc: kept.append(doc) if name == "stop" else None)
    return kept


@pytest.fixture
def release() -> Iterator[threading.Event]:
    """Lets consumers that block go on; set at the end in any case."""
    event = threading.Event()
    yield event
    event.set()


def make_scan(points: int, *, dwell_s: float = 0.0) -> Any:
    motor = SynAxis(name="M_m1", delay=dwell_s)
    return scan([SynGauss("D_det", motor, "M_m1", center=0, Imax=1)], motor, -1, 1, points)


def test_a_scan_ends_while_its_consumer_still_blocks(
    engine: BeamlineRunEngine,  # noqa: F811
    stops: list[dict[str, Any]],
    release: threading.Event,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    seen: Documents = []

    def block(name: str, doc: dict[str, Any]) -> None:
        assert release.wait(60)
        seen.append((name, doc))

    guard = engine.guards[engine.subscribe(block)]
    engine(make_scan(20))
    assert not release.is_set()
    assert not seen
    assert (stops[0]["exit_status"], stops[0]["num_events"]) == ("success", {"primary": 20})
    assert guard.waiting == 23  # start, descriptor, 20 events, stop
    (warning,) = [r.getMessage() for r in caplog.records if "is behind" in r.getMessage()]
    assert "23 documents" in warning
    assert "block" in warning
    assert "23 wait" in capsys.readouterr().out
    release.set()
    wait_until(lambda: not guard.waiting)
    assert [name for name, _ in seen] == ["start", "descriptor", *["event"] * 20, "stop"]
    assert [doc["seq_num"] for name, doc in seen if name == "event"] == list(range(1, 21))
    assert (guard.failures, guard.dropped) == (0, 0)


@pytest.mark.parametrize("failure", [ZeroDivisionError, SystemExit], ids=lambda failure: failure.__name__)
@pytest.mark.error_logged
def test_a_consumer_that_raises_is_told_once_and_counted(
    engine: BeamlineRunEngine,  # noqa: F811
    stops: list[dict[str, Any]],
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    failure: type[BaseException],
) -> None:
    def fail(name: str, doc: dict[str, Any]) -> None:
        raise failure(name)

    guard = engine.guards[engine.subscribe(fail)]
    engine(make_scan(5))
    assert stops[0]["num_events"] == {"primary": 5}
    assert guard.failures == 8
    assert len([r for r in caplog.records if r.levelno == logging.ERROR]) == 1
    assert "8 failed" in capsys.readouterr().out


def test_consumers_given_with_the_call_may_block_too(
    engine: BeamlineRunEngine,  # noqa: F811
    stops: list[dict[str, Any]],
    release: threading.Event,
) -> None:
    taken: list[str] = []
    engine(make_scan(3), {"event": lambda name, doc: (release.wait(60), taken.append(name))})
    assert stops[0]["num_events"] == {"primary": 3}
    assert not taken
    engine(count([]))  # the consumer is gone with the call, and what waited for it is not
    release.set()
    wait_until(lambda: len(taken) == 3)


def test_who_is_slow_is_waited_for_a_few_times_and_no_more(
    engine: BeamlineRunEngine,  # noqa: F811
    stops: list[dict[str, Any]],
    release: threading.Event,
) -> None:
    """The wait is for documents that a blocking consumer still holds, each only once."""
    held: list[str] = []

    def block(name: str, doc: dict[str, Any]) -> None:
        held.append(name)
        release.wait(60)
        release.clear()

    guard = QueuedConsumer(block)
    for number in range(MAX_LATE + 3):
        guard("event", {"seq_num": number})
        was_waiting = guard.waiting
        release.set()
        wait_until(lambda: not guard.waiting)
        assert was_waiting == 1
    assert guard._late == MAX_LATE
    guard.close()


def test_memory_is_bounded_and_only_points_are_dropped(
    release: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    taken: Documents = []
    guard = QueuedConsumer(lambda name, doc: (release.wait(60), taken.append((name, doc))))
    guard("start", {})
    guard("descriptor", {})
    for number in range(MAX_WAITING + 500):
        guard("event", {"seq_num": number})
    guard("stop", {})
    assert guard.dropped == 500
    assert guard.waiting == MAX_WAITING + 3
    release.set()
    wait_until(lambda: not guard.waiting)
    guard.close()
    assert [name for name, _ in taken if name != "event"] == ["start", "descriptor", "stop"]
    assert taken[0][0] == "start"
    assert taken[-1][0] == "stop"
    assert [doc["seq_num"] for name, doc in taken if name == "event"] == list(range(500, MAX_WAITING + 500))
    assert len([r for r in caplog.records if "does not get the oldest" in r.getMessage()]) == 1


def test_a_plan_may_use_what_a_consumer_found(engine: BeamlineRunEngine) -> None:  # noqa: F811
    """The pattern of every alignment: scan with PeakStats, then move to what it found, in the same plan."""
    motor = SynAxis(name="M_m1")
    detector = SynGauss("D_det", motor, "M_m1", center=0.3, Imax=1)
    seen_by_plan: list[int] = []
    events: list[int] = []
    engine.subscribe(lambda name, doc: events.append(doc["seq_num"]), "event")

    def align() -> Any:
        peak = PeakStats("M_m1", "D_det")
        yield from subs_wrapper(scan([detector], motor, -1, 1, 41), peak)
        yield from plan_stubs.mv(motor, peak["max"][0])
        seen_by_plan.append(len(events))

    engine(align())
    assert motor.position == pytest.approx(0.3)
    assert seen_by_plan == [41]


def test_each_point_is_taken_before_the_plan_goes_on(engine: BeamlineRunEngine) -> None:  # noqa: F811
    """An adaptive plan decides by what its consumer said about the last point."""
    events: list[int] = []
    seen: list[int] = []
    engine.subscribe(lambda name, doc: events.append(doc["seq_num"]), "event")
    motor = SynAxis(name="M_m1")

    def adaptive() -> Any:
        yield from plan_stubs.open_run()
        for _ in range(50):
            yield from plan_stubs.trigger_and_read([motor])
            seen.append(len(events))
        yield from plan_stubs.close_run()

    engine(adaptive())
    assert seen == list(range(1, 51))


def test_who_is_slow_but_goes_on_is_complete_when_the_run_is_over(engine: BeamlineRunEngine) -> None:  # noqa: F811
    """A plan that moves to what its consumer found must not move to what it had found halfway."""
    events: list[int] = []
    pause = threading.Event()
    engine.subscribe(lambda name, doc: (pause.wait(0.3), events.append(doc["seq_num"])), "event")
    engine(make_scan(8))
    assert events == list(range(1, 9))


def test_tables_and_plots_of_bluesky_are_complete_when_the_run_is_over(
    engine: BeamlineRunEngine,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(consumers, "STUCK_S", 60)  # the first plot takes seconds on a busy machine
    monkeypatch.setattr(consumers, "END_PATIENCE_S", 60)
    monkeypatch.setenv("MPLBACKEND", "agg")
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt

    table = LiveTable(["M_m1", "D_det"])
    best_effort = BestEffortCallback()
    engine.subscribe(best_effort)
    engine(make_scan(7), table)
    printed = capsys.readouterr().out
    rows = [line.split("|") for line in printed.splitlines() if line.startswith("|")]
    assert {int(row[1]) for row in rows if row[1].strip().isdigit()} == set(range(1, 8))
    assert "generator scan" in printed
    assert best_effort.peaks["com"]["D_det"] == pytest.approx(0, abs=0.1)
    figure = plt.figure(plt.get_fignums()[-1])
    assert [len(line.get_xdata()) for line in figure.axes[0].lines[:1]] == [7]
    wait_until(lambda: not any(guard.waiting for guard in engine.guards.values()))
    assert not [guard for guard in engine.guards.values() if guard.failures]
    plt.close("all")


@pytest.mark.soak
@pytest.mark.error_logged
def test_scan_time_with_and_without_bad_consumers(
    make_engine: Callable[[], BeamlineRunEngine],  # noqa: F811
    release: threading.Event,
) -> None:
    """Ratio of scan times, bad to none, interleaved: 5 scans of some 8 s each kind, one engine each."""

    def fail(name: str, doc: dict[str, Any]) -> None:
        raise ZeroDivisionError

    def block(name: str, doc: dict[str, Any]) -> None:
        release.wait(10)

    bad = {"none": None, "raises": fail, "blocks 10 s": block}
    times: dict[str, list[float]] = {kind: [] for kind in bad}
    for _ in range(5):
        for kind, consumer in bad.items():
            engine = make_engine()  # noqa: F811  # a blocking one lags into the next scan of the same engine
            if consumer is not None:
                engine.subscribe(consumer)
            started = time.monotonic()
            engine(make_scan(400, dwell_s=0.02))
            times[kind].append(time.monotonic() - started)
    medians = {kind: statistics.median(values) for kind, values in times.items()}
    ratios = {kind: median / medians["none"] for kind, median in medians.items()}
    print(f"soak: scan of {medians['none']:.1f} s, ratios { ({k: round(v, 3) for k, v in ratios.items()}) }")
    assert ratios["raises"] < 1.05
    assert ratios["blocks 10 s"] < 1.05
