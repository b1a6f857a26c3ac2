"""A writer killed at any moment: nothing acknowledged is lost, nothing is twice, the next writer goes on."""

import random
from pathlib import Path
from typing import Any

import pytest

from tests.data_worker.kill_writer import KilledFile


def test_a_writer_killed_in_any_write_is_gone_on_with(tmp_path: Path) -> None:
    rng = random.Random(1)
    file = KilledFile(tmp_path / "a.h5", 320, rng, small_cache=True)
    for die_at in (1, 71, 84, 86, 89, 95, 104, 110, 118, 125):
        assert not file.run(die_at=die_at)
        file.check_acknowledged()
    assert file.run()
    assert file.kills == 10
    assert len(file.safe) > 0
    file.check_complete()


def test_a_swmr_writer_killed_is_gone_on_with(tmp_path: Path) -> None:
    file = KilledFile(tmp_path / "a.h5", 320, random.Random(2), {"access": "swmr"})
    for told in (3, 6):
        assert not file.run(kill_after_told=told)
        file.check_acknowledged()
    assert file.run()
    file.check_complete()


def test_a_writer_of_split_files_killed_is_gone_on_with(tmp_path: Path) -> None:
    file = KilledFile(tmp_path / "a.h5", 320, random.Random(3), {"frames_per_file": 30})
    for die_at in (80, 120, 170, 175, 181, 200):
        assert not file.run(die_at=die_at)
        file.check_acknowledged()
    assert file.run()
    file.check_complete()
    assert len(list(tmp_path.glob("a_frames_*"))) == 11


def test_a_writer_of_packed_frames_killed_is_gone_on_with(tmp_path: Path) -> None:
    file = KilledFile(tmp_path / "a.h5", 320, random.Random(4), {"compression": "bslz4"})
    for told in (3, 6):
        assert not file.run(kill_after_told=told)
        file.check_acknowledged()
    assert file.run()
    file.check_complete()


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "parameters",
    [{}, {"access": "swmr"}, {"frames_per_file": 500}, {"compression": "bslz4"}],
    ids=["plain", "swmr", "split", "packed"],
)
def test_two_hundred_kills_at_random_moments(tmp_path: Path, parameters: dict[str, Any]) -> None:
    rng, kills = random.Random(), 0
    while kills < 200:
        file = KilledFile(
            tmp_path / f"{kills}.h5", 4000, rng, parameters, small_cache=not parameters and rng.random() < 0.5
        )
        while not file.run(**_choose_death(rng)):
            file.check_acknowledged()
        kills += file.kills
        file.check_complete()
        for left in tmp_path.iterdir():
            left.unlink()


def _choose_death(rng: random.Random) -> dict[str, Any]:
    if rng.random() < 0.5:
        return {"die_at": rng.randint(1, 400)}
    return {"kill_after_told": rng.randint(1, 60), "kill_after_s": rng.uniform(0, 0.02)}
