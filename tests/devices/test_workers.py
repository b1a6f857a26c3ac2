"""Threads that carry out moves: kept for the next order, ended after a while, as many as there are orders at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from mamba.devices import workers
from mamba.devices.waiting import Status
from mamba.devices.workers import run_in_worker
from tests.support.tango_facility import wait_until


@pytest.fixture(autouse=True)
def none_idle() -> Iterator[None]:
    """Workers of other tests have ended."""
    wait_until(lambda: not workers._idle, what="no worker is left")
    yield
    wait_until(lambda: not workers._idle, what="no worker is left")


def run_and_wait(name: str) -> threading.Thread:
    threads: list[threading.Thread] = []
    done = threading.Event()

    def act() -> None:
        threads.append(threading.current_thread())
        done.set()

    run_in_worker(name, act)
    assert done.wait(10)
    return threads[0]


def test_the_next_order_gets_the_same_thread() -> None:
    first = run_and_wait("one")
    wait_until(lambda: len(workers._idle) == 1, what="it is idle")
    assert run_and_wait("two") is first


def test_orders_at_once_have_threads_of_their_own() -> None:
    meeting = threading.Barrier(3)
    for name in ("one", "two"):
        run_in_worker(name, lambda: meeting.wait(10))
    meeting.wait(10)  # breaks, were they done one after the other


def test_an_idle_worker_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_IDLE_S", 0.01)
    thread = run_and_wait("one")
    thread.join(10)
    assert not thread.is_alive()
    assert workers._idle == []


def test_a_worker_that_was_taken_at_the_end_of_its_time_carries_out_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds of orders at about the moment that the worker gives up: each is carried out once."""
    monkeypatch.setattr(workers, "_IDLE_S", 0.0005)
    done: list[int] = []
    for number in range(300):
        run_in_worker("short", lambda number=number: done.append(number))  # type: ignore[misc]
        threading.Event().wait(0.0002 * (number % 5))
    wait_until(lambda: len(done) == 300, what="all are done")
    assert sorted(done) == list(range(300))


class _Device:
    name = "M.x"


@pytest.mark.parametrize("when", ["before", "after"])
def test_callbacks_of_every_form_are_called_once(when: str) -> None:
    status, called = Status(_Device()), []
    if when == "after":
        status.set_finished()
    status.add_callback(lambda done: called.append(("function", done)))
    status.add_callback(called.append)
    with pytest.warns(DeprecationWarning, match="signature"):
        status.add_callback(lambda: called.append("without"))
    if when == "before":
        assert called == []
        status.set_finished()
    assert called == [("function", status), status, "without"]
