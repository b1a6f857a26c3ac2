"""Renaming and removing devices while a run uses them: refused, and the run goes on as it began."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import pytest
from bluesky.plan_stubs import close_run, mv, open_run, pause, trigger_and_read
from bluesky.utils import Msg, RunEngineInterrupted
from ophyd.sim import SynAxis

from mamba.devices import Group
from mamba.errors import DeviceInUse
from mamba.scans import make_run_engine
from tests.support.engines import ending


@pytest.fixture
def engine(profile):
    with ending(make_run_engine(profile)) as engine:
        yield engine


def scan_with(M: Group, D: Group, between: Callable[[], Any]) -> Generator[Msg, Any, None]:
    """Two points; `between` them something is done: returns None, or a plan."""
    yield from open_run()
    yield from mv(M.sample_x, 0.1)
    yield from trigger_and_read([D.i0, M.sample_x])
    yield from between() or ()
    yield from mv(M.sample_x, 0.2)
    yield from trigger_and_read([D.i0, M.sample_x])
    yield from close_run()


def list_attempts(M: Group, D: Group) -> dict[str, Callable[[], Any]]:
    """What a person may try on devices that are in use, by what is refused."""
    spare = SynAxis(name="spare")
    return {
        "M.sample_x: cannot be removed or replaced now": lambda: M.__delitem__("sample_x"),
        "M.sample_x: cannot become M.stage.x now": lambda: M.__setitem__("stage.x", M.sample_x),
        "D.i0: cannot become D.beam now": lambda: setattr(D, "beam", D.i0),
        "D.i0: cannot be removed or replaced now": lambda: setattr(D, "i0", spare),
        "M.sample_x.readback: cannot become D.place now": lambda: setattr(D, "place", M.sample_x.readback),
    }


def test_a_run_goes_on_unharmed_under_the_names_it_began_with(engine, M, D) -> None:
    refused, documents = [], []

    def meddle() -> None:
        for what, attempt in list_attempts(M, D).items():
            with pytest.raises(DeviceInUse) as error:
                attempt()
            assert error.value.what == what
            refused.append(error.value.seen)
        M.sample_x = M.sample_x  # the name it has
        M.new = SynAxis(name="new")
        del M.sample_y

    engine(scan_with(M, D, meddle), lambda name, doc: documents.append((name, doc)))
    assert refused == ["a run that is running uses it"] * 5
    first, second = [doc["data"] for name, doc in documents if name == "event"]
    assert {"M_sample_x", "D_i0"} <= set(first) == set(second)
    assert documents[-1][1]["exit_status"] == "success"
    assert "stage" not in M
    assert "sample_y" not in M
    M["stage.x"] = M.sample_x  # the run is over
    assert M.stage.x.name == "M.stage.x"


def test_in_a_paused_run_as_well(engine, M, D) -> None:
    with pytest.raises(RunEngineInterrupted):
        engine(scan_with(M, D, pause))
    for what, attempt in list_attempts(M, D).items():
        with pytest.raises(DeviceInUse, match=what) as error:
            attempt()
        assert error.value.seen == "a run that is paused uses it"
    engine.resume()
    del M.sample_x
    assert "sample_x" not in M


def test_a_group_with_a_device_in_use_stays_whole(engine, M, D) -> None:
    M["stage.x"], M["stage.y"] = M.sample_x, M.sample_y
    M.sample_x = M.stage.x  # where the plan finds it

    def meddle() -> None:
        for attempt in (lambda: M.__delitem__("stage"), lambda: setattr(M, "table", M.stage)):
            with pytest.raises(DeviceInUse, match=r"^M\.(stage|sample_)"):
                attempt()
        assert M.stage.y.name == "M.stage.y"

    engine(scan_with(M, D, meddle))
