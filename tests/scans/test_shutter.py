"""A shutter that is open for as long as a plan needs it, and closed however the plan ends."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from bluesky.plan_stubs import null, open_run, sleep
from bluesky.utils import FailedStatus, RunEngineInterrupted
from ophyd import Signal
from ophyd.status import Status

from mamba.errors import DeviceFault
from mamba.scans import BeamlineRunEngine, with_shutter


class Blade(Signal):
    """A shutter; an order that is overtaken by the next one fails, as a real one's does."""

    def __init__(self, *, opens: bool = True, travel_s: float = 0.0) -> None:
        super().__init__(name="M_shutter", value="closed")
        self.opens, self.travel_s = opens, travel_s
        self.orders: list[str] = []

    def set(self, value: str, **_: Any) -> Status:
        self.orders.append(value)
        status = Status(self)
        threading.Timer(self.travel_s, self._arrive, (len(self.orders), value, status)).start()
        return status

    def _arrive(self, number: int, value: str, status: Status) -> None:
        if number == len(self.orders) and (self.opens or value == "closed"):
            self.put(value)
            status.set_finished()
        else:
            status.set_exception(DeviceFault("M.shutter: did not become open"))


def look(blade: Blade, seen: list[str]) -> Any:
    yield from null()
    seen.append(blade.get())
    return "done"


def test_open_during_the_plan_and_closed_after_it(engine: BeamlineRunEngine) -> None:
    blade, seen = Blade(), []
    engine(with_shutter(look(blade, seen), blade))
    assert (seen, blade.orders, blade.get()) == (["open"], ["open", "closed"], "closed")


def test_a_plan_that_fails_closes_it(engine: BeamlineRunEngine) -> None:
    def fail() -> Any:
        yield from open_run()
        raise ValueError("no sample")

    blade = Blade()
    with pytest.raises(ValueError, match="no sample"):
        engine(with_shutter(fail(), blade))
    assert blade.get() == "closed"


def test_one_that_does_not_open_lets_the_plan_not_begin(engine: BeamlineRunEngine) -> None:
    blade, seen = Blade(opens=False), []
    with pytest.raises((DeviceFault, FailedStatus), match="did not become open"):
        engine(with_shutter(look(blade, seen), blade))
    assert (seen, blade.orders[-1]) == ([], "closed")


def test_ended_while_it_opens_it_is_closed(engine: BeamlineRunEngine) -> None:
    blade = Blade(travel_s=0.3)
    threading.Timer(0.1, engine.abort, ("changed my mind",)).start()
    with pytest.raises(RunEngineInterrupted):
        engine(with_shutter(sleep(20), blade))
    assert (blade.get(), engine.state) == ("closed", "idle")
