"""The simulation of docs/scaling.md: where its answer is known in closed form, it gives that."""

from dataclasses import replace

import pytest

from tests.bench.thousand_modules import Costs, Site, place, simulate, supervise

FREE = Costs(block_s=0.0, tcp_s_per_mib=0.0, commit_s=0.0)


def test_enough_credits_take_every_block_and_none_is_lost() -> None:
    outcome = simulate(8, 3.0)
    assert outcome.held == 0
    assert outcome.made == 8 * 50 * 3
    assert 0 <= outcome.made - outcome.safe <= 8 * outcome.most_under_way
    assert outcome == simulate(8, 3.0)


def test_one_credit_goes_round_once_for_each_block() -> None:
    site = replace(Site(), slots=1, round_trip_s=0.2, per_host=1)
    outcome = simulate(1, 10.0, site, FREE)
    round_s = site.block_mib / site.link_mib_s + site.block_mib / site.disk_mib_s + site.round_trip_s
    assert outcome.made == pytest.approx(10.0 / round_s, abs=1)
    assert outcome.most_under_way == 1


@pytest.mark.parametrize("slots", [2, 8, 16])
def test_nobody_has_more_under_way_than_credits(slots: int) -> None:
    outcome = simulate(4, 4.0, replace(Site(), slots=slots, round_trip_s=0.3))
    assert outcome.most_under_way == slots
    assert outcome.held > 0


def test_a_full_disk_gives_what_it_can() -> None:
    crowded = replace(Site(), per_host=20)
    outcome = simulate(20, 10.0, crowded, FREE)
    assert outcome.safe * crowded.block_mib == pytest.approx(10.0 * crowded.disk_mib_s, rel=0.05)


def test_what_a_block_costs_does_not_grow_with_the_modules() -> None:
    few, many = simulate(4), simulate(400)
    assert many.cpu_s / many.made == pytest.approx(few.cpu_s / few.made, rel=0.01)
    assert many.made == pytest.approx(100 * few.made, rel=0.01)


def test_the_plan_s_places_and_its_end() -> None:
    assert Site().per_host <= min(place(Site(), Costs()).values())
    assert supervise(400, simulate(400), Costs()) < 1 < supervise(1000, simulate(1000, 1.0), Costs())
