"""Actors killed with SIGKILL, whichever and whenever: every frame is in the file, once, and all that was made of it."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest

from tests.data_worker.conftest import Start
from tests.support.graph_killer import (
    GROUPS,
    SHAPE,
    Killer,
    check_exact,
    kill_at_random,
    make_three_actors,
    wait_for,
)
from tests.support.shared_memory import list_orphaned_memory

pytestmark = pytest.mark.soak  # each starts a Ray or a console of its own: for the time of make test

REPLACED_S = 3.0
"""A single death on a machine that has nothing else to do; two at once start their processes side by side."""


def finish(killer: Killer, frames: int) -> None:
    """The arm ends well, and leaves nothing but its file."""
    ledger = killer.armed.wait(60)
    check_exact(ledger, frames=frames, acknowledged=killer.acknowledged)
    assert not killer.armed._folder.exists()


@pytest.mark.parametrize("transport", ["ring", pytest.param("zmq", marks=pytest.mark.soak)])
def test_source_processor_and_writer_killed_one_in_the_others_replacement(start: Start, transport: str) -> None:
    frames = 800
    _feeder, armed = start(make_three_actors(), frames=frames, shape=SHAPE, period_s=0.01, transport=transport)
    killer = Killer(armed)
    killer.await_written(100)
    killer.kill("intake")
    wait_for(lambda: "intake" in armed._supervisor._replacements, "death not noticed")
    killer.kill("work", "file")
    killer.await_whole()
    finish(killer, frames)
    assert killer.kills == 3


@pytest.mark.parametrize("group", [*(pytest.param(g, marks=pytest.mark.soak) for g in ("file", "work")), "intake"])
def test_killed_when_the_source_has_told_the_end(start: Start, group: str) -> None:
    frames = 80
    _feeder, armed = start(make_three_actors(), frames=frames, shape=SHAPE, period_s=0.01)
    killer = Killer(armed)
    killer.await_ended()
    if not armed.done:
        killer.kill(group)
    finish(killer, frames)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_hundred_kills_at_random_moments(start: Start, tmp_path: Path) -> None:
    """`MAMBA_KILLS` and `MAMBA_SEED` repeat a run."""
    seed, wanted = int(os.environ.get("MAMBA_SEED", time.time_ns() % 10**6)), int(os.environ.get("MAMBA_KILLS", 100))
    rng, kills, arms, recoveries = random.Random(seed), 0, 0, []
    print(f"seed {seed}")
    orphans = list_orphaned_memory()
    while kills < wanted:
        frames, transport = rng.randrange(400, 1500), rng.choice(["ring", "zmq"])
        file, compression = tmp_path / f"{arms}.h5", rng.choice(["none", "bslz4"])
        _feeder, armed = start(
            make_three_actors(compression=compression),
            file=file,
            frames=frames,
            shape=SHAPE,
            period_s=0.01,
            transport=transport,
        )
        killer = Killer(armed)
        for _ in range(rng.randrange(1, 4)):
            kill_at_random(killer, frames, rng)
            killer.await_whole()
        finish(killer, frames)
        file.unlink()
        arms, kills, recoveries = arms + 1, kills + killer.kills, recoveries + killer.recoveries_s
        print(f"soak: {kills} actors killed in {arms} arms; took over after {killer.recoveries_s} s", flush=True)
    recoveries.sort()
    median, p95 = recoveries[len(recoveries) // 2], recoveries[int(len(recoveries) * 0.95)]
    late = sum(seconds > REPLACED_S for seconds in recoveries)
    print(f"soak: {kills} actors killed in {arms} arms; {len(recoveries)} took over: median {median} s,")
    print(f"      95% within {p95} s, the slowest {recoveries[-1]} s; {late} after more than {REPLACED_S:g} s")
    assert len(list_orphaned_memory() - orphans) <= len(GROUPS), "swept with the next arm"
