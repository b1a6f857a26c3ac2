"""The cost that is removed from bluesky, watched: when upstream changes, this says so."""

from __future__ import annotations

import inspect
import time
from collections.abc import Iterator

import pytest
from bluesky import plan_stubs, utils

from mamba.scans.upstream_costs import remove_plan_stack_cost, restore_plan_stack_cost


@pytest.fixture
def removed() -> Iterator[None]:
    remove_plan_stack_cost()
    yield
    remove_plan_stack_cost()


def seconds_per_stub(depth: int = 30, repeats: int = 300) -> float:
    """Time to make one plan stub, at a depth of calls that a scan in a console has."""
    if depth:
        return seconds_per_stub(depth - 1, repeats)
    best = float("inf")
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(repeats):
            list(plan_stubs.null())
        best = min(best, time.perf_counter() - began)
    return best / repeats


def test_upstream_still_formats_a_stack_for_every_stub(removed: None) -> None:
    restore_plan_stack_cost()
    assert "traceback.format_stack()" in inspect.getsource(utils.Plan.__init__)
    assert utils.Plan.__slots__ == ("_iter", "_stack")


def test_removal_makes_stubs_several_times_cheaper(removed: None) -> None:
    without = seconds_per_stub()
    restore_plan_stack_cost()
    with_it = seconds_per_stub()
    assert without < with_it / 3


def test_plan_that_is_never_iterated_still_warns_with_its_place(removed: None) -> None:
    with pytest.warns(RuntimeWarning, match=r"test_upstream_costs\.py(.|\n)*plan `null` was never iterated"):
        plan_stubs.null()


def test_iterated_plan_does_not_warn(removed: None) -> None:
    assert [message.command for message in plan_stubs.null()] == ["null"]
