"""One thread, one poll: ZeroMQ sockets, descriptors, timers and signals of the session host.

asyncio was left aside: ZeroMQ's descriptor is edge-triggered, `zmq_poll` is not, and costs 20 µs a turn.
Nothing called from here may block.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import logging
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import zmq

log = logging.getLogger(__name__)

Pollable = zmq.Socket[bytes] | int
_LONGEST_SLEEP_S = 60.0


@dataclass(order=True)
class Timer:
    """A call that is due at `when` (s, monotonic: a jump of the clock moves nothing)."""

    when: float
    number: int
    call: Callable[[], None] | None = field(compare=False)

    def cancel(self) -> None:
        """Forget the call; may be called at any time."""
        self.call = None


class Loop:
    """Calls back when something can be read or written, when a timer is due, when a signal came."""

    def __init__(self) -> None:
        self._poller = zmq.Poller()
        self._readers: dict[Pollable, Callable[[], None]] = {}
        self._writers: dict[Pollable, Callable[[], None]] = {}
        self._timers: list[Timer] = []
        self._numbers = itertools.count()
        self._running = False
        self._signal_calls: dict[int, Callable[[], None]] = {}
        self._wakeup: tuple[int, int] | None = None
        self._from_threads: deque[Callable[[], None]] = deque()
        self._bell_lock = threading.Lock()
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.watch_reader(self._bell, self._take_from_threads)

    def watch_reader(self, source: Pollable, call: Callable[[], None] | None) -> None:
        """Call when `source` has something to read; None ends it."""
        self._watch(self._readers, source, call)

    def watch_writer(self, source: Pollable, call: Callable[[], None] | None) -> None:
        """Call when `source` takes something again; None ends it."""
        self._watch(self._writers, source, call)

    def _watch(
        self, calls: dict[Pollable, Callable[[], None]], source: Pollable, call: Callable[[], None] | None
    ) -> None:
        if call is None:
            calls.pop(source, None)
        else:
            calls[source] = call
        events = (zmq.POLLIN if source in self._readers else 0) | (zmq.POLLOUT if source in self._writers else 0)
        if events:
            self._poller.register(source, events)
        elif source in self._poller:
            self._poller.unregister(source)

    def forget(self, source: Pollable) -> None:
        """Stop watching; to be called before the source is closed."""
        self.watch_reader(source, None)
        self.watch_writer(source, None)

    def call_later(self, delay_s: float, call: Callable[[], None]) -> Timer:
        """Call once after `delay_s`."""
        timer = Timer(time.monotonic() + delay_s, next(self._numbers), call)
        heapq.heappush(self._timers, timer)
        return timer

    def call_from_thread(self, call: Callable[[], None]) -> None:
        """Call once, in the loop: the only method for other threads; after `close` nothing is called."""
        with self._bell_lock:
            self._from_threads.append(call)
            if self._bell >= 0:
                os.eventfd_write(self._bell, 1)

    def _take_from_threads(self) -> None:
        os.eventfd_read(self._bell)
        while self._from_threads:
            _call_safely(self._from_threads.popleft())

    def on_signal(self, number: int, call: Callable[[], None]) -> None:
        """Call from the loop when the process gets this signal; only in the main thread."""
        if self._wakeup is None:
            self._wakeup = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
            signal.set_wakeup_fd(self._wakeup[1], warn_on_full_buffer=False)
            self.watch_reader(self._wakeup[0], self._take_signals)
        self._signal_calls[number] = call
        signal.signal(number, lambda _number, _frame: None)

    def _take_signals(self) -> None:
        assert self._wakeup is not None
        for number in os.read(self._wakeup[0], 100):
            if number in self._signal_calls:
                self._signal_calls[number]()

    def run(self) -> None:
        """Turn until `stop`; what a callback raises is logged and ends nothing."""
        self._running = True
        while self._running:
            for source, event in self._poller.poll(self._sleep_ms()):
                self._dispatch(source, event)
            self._run_timers()

    def stop(self) -> None:
        """End `run` after this turn."""
        self._running = False

    def _sleep_ms(self) -> int:
        if not self._timers:
            return int(_LONGEST_SLEEP_S * 1000)
        left_s = min(self._timers[0].when - time.monotonic(), _LONGEST_SLEEP_S)
        return max(0, int(left_s * 1000) + 1)

    def _dispatch(self, source: Pollable, event: int) -> None:
        # a descriptor in error has no other event: both sides find out by reading or writing
        if event & ~zmq.POLLOUT and source in self._readers:
            _call_safely(self._readers[source])
        if event & ~zmq.POLLIN and source in self._writers:
            _call_safely(self._writers[source])

    def _run_timers(self) -> None:
        now = time.monotonic()
        while self._timers and self._timers[0].when <= now:
            timer = heapq.heappop(self._timers)
            if timer.call is not None:
                _call_safely(timer.call)

    def close(self) -> None:
        """Give the signals back."""
        with self._bell_lock:
            if self._bell >= 0:
                self.forget(self._bell)
                os.close(self._bell)
            self._bell = -1
        if self._wakeup is not None:
            signal.set_wakeup_fd(-1)
            for number in self._signal_calls:
                with contextlib.suppress(ValueError):
                    signal.signal(number, signal.SIG_DFL)
            for descriptor in self._wakeup:
                os.close(descriptor)
            self._wakeup = None


def _call_safely(call: Callable[[], None]) -> None:
    try:
        call()
    except Exception:
        log.exception("%r: raised in the loop", call)
