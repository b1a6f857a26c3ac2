"""What a graph says to the running scan: the rows of `feedback` nodes, in the console process, as they come.

::

    sums = feedback["sums"]                      # a Feedback, whatever arm is running
    leave = sums.subscribe(print)                # a function that is called with each row
    row = await sums                             # in a coroutine: the next row
    yield from bps.trigger_and_read([sums])      # in a plan: the next row is a reading, as of any detector

A `Feedback` follows bluesky's protocols (Readable, Triggerable) without importing it.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mamba.data_worker.console_link import Head, Take
from mamba.errors import DataError, NodeFailed

log = logging.getLogger(__name__)


class Row(NamedTuple):
    """What a node gave for one frame number.

    Attributes:
        number: the frame number (with `every` > 1 on the node's flow, the number of the row).
        values: an array of the flow's shape, read-only.
        time: when it came here, seconds since 1970.
        made: when its block was made at the detector, by the clock of that host; the difference is the delay.
    """

    number: int
    values: NDArray[Any]
    time: float
    made: float


OnRow = Callable[[Row], None]


class Arrival:
    """A row that is to come; what bluesky calls a status."""

    def __init__(self, node: str) -> None:
        self._node = node
        self._future: Future[Row] = Future()

    @property
    def done(self) -> bool:
        """It has come, or will not."""
        return self._future.done()

    @property
    def success(self) -> bool:
        """It has come."""
        return self.done and self._future.exception() is None

    def exception(self, timeout: float | None = 0.0) -> BaseException | None:
        """Why it will not come; None when it has.

        Raises:
            TimeoutError: neither within `timeout` seconds.
        """
        try:
            return self._future.exception(timeout)
        except FutureTimeout:
            raise TimeoutError(f"node {self._node!r}: no row within {timeout} s") from None

    def wait(self, timeout: float | None = None) -> Row:
        """The row.

        Raises:
            DataError: none within `timeout` seconds.
            NodeFailed: the arm is over, and it did not come.
        """
        try:
            return self._future.result(timeout)
        except FutureTimeout:
            raise DataError(
                f"node {self._node!r}: no row within {timeout} s",
                remedy="look at the detector and at the graph's status",
            ) from None

    def add_callback(self, callback: Callable[[Arrival], None]) -> None:
        """Call back when it has come or will not; at once when that is so already."""
        self._future.add_done_callback(lambda _: callback(self))

    def settle(self, outcome: Row | BaseException) -> None:
        """Say what became of it; once."""
        if isinstance(outcome, BaseException):
            self._future.set_exception(outcome)
        else:
            self._future.set_result(outcome)

    def __await__(self) -> Generator[Any, None, Row]:
        return asyncio.wrap_future(self._future).__await__()


class Feedback:
    """Rows of one node; lives on from arm to arm. Safe to use from any thread.

    Attributes:
        name: of the node, and in a run of its keys.
        latest: the newest row; None before the first.
        missed: numbers between those that came: lost before, or dropped on an edge that may, or not sent.
    """

    parent = None

    def __init__(self, name: str) -> None:
        self.name = name
        self.latest: Row | None = None
        self.missed = 0
        self._columns: list[str] = []
        self._form: Head = {}
        self._next: int | None = None
        self._lock = threading.Lock()
        self._listeners: list[OnRow] = []
        self._waiting: list[tuple[int, Arrival]] = []
        self._read: Row | None = None

    def subscribe(self, on_row: OnRow) -> Callable[[], None]:
        """Call `on_row` with each row, in the receiving thread: quick, for the next row waits; returns how to end that.

        One that raises is logged and called no more.
        """
        with self._lock:
            self._listeners.append(on_row)

        def leave() -> None:
            with self._lock:
                if on_row in self._listeners:
                    self._listeners.remove(on_row)

        return leave

    def next(self) -> Arrival:
        """The first row that comes from now on."""
        return self.at(0, at_once=False)

    def at(self, number: int, *, at_once: bool = True) -> Arrival:
        """The row of that frame, or of the first later one; `at_once`: the newest will do when it is that late."""
        arrival = Arrival(self.name)
        with self._lock:
            latest = self.latest
            there = at_once and latest is not None and latest.number >= number
            if not there:
                self._waiting.append((number, arrival))
        if there:
            assert latest is not None
            arrival.settle(latest)
        return arrival

    def __await__(self) -> Generator[Any, None, Row]:
        return self.next().__await__()

    def begin(self, form: Head) -> None:
        """A new arm: what its rows are."""
        with self._lock:
            self._form, self._columns = form, list(form["columns"])
            self._next = None

    def take(self, head: Head, rows: NDArray[Any]) -> None:
        """Rows came: frames `first` and on; what comes again, after an actor was replaced, is left out."""
        now, first = time.time(), head["first"]
        with self._lock:
            expected = first if self._next is None else self._next
            self.missed += max(0, first - expected)
            self._next = max(expected, first + len(rows))
        for number, values in enumerate(rows, first):
            if number >= expected:
                self._take_one(Row(number, values, now, head["time"]))

    def _take_one(self, row: Row) -> None:
        with self._lock:
            self.latest = row
            came = [arrival for number, arrival in self._waiting if number <= row.number]
            self._waiting = [(number, arrival) for number, arrival in self._waiting if number > row.number]
            listeners = tuple(self._listeners)
        for arrival in came:
            arrival.settle(row)
        for listener in listeners:
            try:
                listener(row)
            except Exception:  # somebody else's function; it is told once, and the rows go on
                log.exception("feedback of node %s: %r raised, and is called no more", self.name, listener)
                with self._lock:
                    self._listeners.remove(listener)

    def end(self) -> None:
        """The arm is over: what is waited for does not come."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
        for _, arrival in waiting:
            arrival.settle(NodeFailed(f"node {self.name!r}: the arm ended before the row came"))

    def trigger(self) -> Arrival:
        """Bluesky's: done with the next row, which `read` then gives."""
        arrival = self.next()
        arrival.add_callback(self._keep)
        return arrival

    def _keep(self, arrival: Arrival) -> None:
        if arrival.success:
            self._read = arrival.wait(0)

    def _keys(self) -> list[str]:
        return [f"{self.name}_{column}" for column in self._columns] or [self.name]

    def read(self) -> dict[str, dict[str, Any]]:
        """Bluesky's: the row of the last trigger, else the newest; one value per column.

        Raises:
            DataError: none has come yet.
        """
        row = self._read or self.latest
        if row is None:
            raise DataError(f"node {self.name!r}: no row has come yet", remedy="trigger it, and start the detector")
        values = row.values.tolist() if self._columns else [row.values.tolist()]
        return {key: {"value": value, "timestamp": row.time} for key, value in zip(self._keys(), values, strict=True)}

    def describe(self) -> dict[str, dict[str, Any]]:
        """Bluesky's: what `read` gives.

        Raises:
            DataError: no graph with this node has been armed yet.
        """
        if not self._form:
            raise DataError(f"node {self.name!r}: no graph with it has been armed", remedy="arm the detector first")
        shape: list[int] = [] if self._columns else list(self._form["shape"])
        kind = "integer" if np.dtype(self._form["dtype"]).kind in "ui" else "number"
        about = {"source": f"MDW:{self.name}", "dtype": "array" if shape else kind, "shape": shape}
        return {key: {**about, "units": self._form["units"]} for key in self._keys()}

    def read_configuration(self) -> dict[str, dict[str, Any]]:
        """Bluesky's: nothing is set on it."""
        return {}

    def describe_configuration(self) -> dict[str, dict[str, Any]]:
        """Bluesky's: nothing is set on it."""
        return {}

    @property
    def hints(self) -> dict[str, list[str]]:
        """Bluesky's: plot all."""
        return {"fields": self._keys() if self._form else []}


class Feedbacks:
    """The feedback nodes of a console by name; made when first asked for, by a person or by a graph."""

    def __init__(self) -> None:
        self._known: dict[str, Feedback] = {}
        self._lock = threading.Lock()

    def __getitem__(self, node: str) -> Feedback:
        with self._lock:
            return self._known.setdefault(node, Feedback(node))

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._known))

    def takers(self) -> dict[str, Take]:
        """For a `ConsoleReceiver`."""
        return {"begin": self._begin, "rows": self._rows, "end": self._end}

    def _begin(self, head: Head, _: NDArray[Any] | None) -> None:
        self[head["node"]].begin(head)

    def _rows(self, head: Head, rows: NDArray[Any] | None) -> None:
        assert rows is not None
        self[head["node"]].take(head, rows)

    def _end(self, head: Head, _: NDArray[Any] | None) -> None:
        self[head["node"]].end()

    def end(self) -> None:
        """An arm is over, however it ended: nothing that is waited for comes any more."""
        for node in self:
            self[node].end()
