"""A consumer of documents that fails or is slow must not end or delay the scan it watches.

*Consumer*: whatever is subscribed to the run engine: the NeXus writer, the relay of notices, a person's live table.
bluesky calls them all in its own thread: an exception ends the run, and one that blocks holds the scan. Here what a
consumer raises is logged once per run and counted, and a person's consumer has a thread of its own.

*Prompt*: has taken a document within `PATIENCE_S`. A plan waits for prompt consumers as it always did, so that it may
use what they found (`PeakStats`, then `mv`). *Behind*: has documents waiting; nobody waits for it until it caught up.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from typing import Any

log = logging.getLogger(__name__)

Document = dict[str, Any]
Consumer = Callable[[str, Document], object]
"""Called with the name of the document (start, descriptor, event, …, stop) and the document."""

PATIENCE_S = 0.1
"""How long the run waits for a consumer to take one document."""
MAX_LATE = 3
"""Who was late so often in one run is not waited for again in that run, but at its end."""
STUCK_S = 1.0
"""Who sits on one document so long is not waited for at the end of a run."""
END_PATIENCE_S = 5.0
"""How long the end of a run waits for consumers that are behind and go on, so that their results are whole."""
MAX_WAITING = 10_000
"""Documents with data that wait for one consumer; beyond it the oldest are dropped for that one."""

_NEVER_DROPPED = ("start", "descriptor", "resource", "stream_resource", "stop")


class GuardedConsumer:
    """One consumer behind a wall, called in the engine's thread: for those that are known to be quick.

    Attributes:
        failures: how many documents made the consumer raise since it was subscribed.
        dropped: how many documents it never got, since it was too far behind.
        name: of the function or class.
    """

    _caught: type[BaseException] = Exception

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer
        self.name: str = getattr(consumer, "__qualname__", type(consumer).__name__)
        self._told_in_this_run = False
        self.failures = self.dropped = 0

    @property
    def waiting(self) -> int:
        """Documents it has not taken yet."""
        return 0

    def __call__(self, name: str, doc: Document) -> None:
        """Hand one document over; never raises."""
        self._call_consumer(name, doc)

    def _call_consumer(self, name: str, doc: Document) -> None:
        if name == "start":
            self._told_in_this_run = False
        try:
            self._consumer(name, doc)
        except self._caught:  # the consumer is anybody's code; its failure is told, counted and ends here
            self.failures += 1
            if not self._told_in_this_run:
                self._told_in_this_run = True
                log.exception("%s raised on a %s document; the run goes on", self.name, name)

    def wait_at_end(self, deadline: float) -> None:
        """Wait until it has taken all of a run, at most until `deadline` (monotonic): its results are to be whole."""

    def close(self) -> None:
        """Hand over no more than what waits already."""

    def describe_trouble(self, *, since_failures: int = 0, since_dropped: int = 0) -> str:
        """One line about what failed, waits or was dropped since those counts; "" when all is well."""
        counts = {
            "failed": self.failures - since_failures,
            "wait": self.waiting,
            "were dropped": self.dropped - since_dropped,
        }
        seen = ", ".join(f"{count} {words}" for words, count in counts.items() if count)
        return f"[mamba] consumer {self.name}: of its documents {seen}; see the console's log" if seen else ""

    def __repr__(self) -> str:
        return f"<{self.name}: {self.failures} failures, {self.waiting} waiting, {self.dropped} dropped>"


class QueuedConsumer(GuardedConsumer):
    """One consumer in a thread of its own, in order; the engine waits for it as long as it is prompt."""

    _caught = BaseException  # what ends a thread must not end this one

    def __init__(self, consumer: Consumer) -> None:
        super().__init__(consumer)
        self._changed = threading.Condition()
        self._waiting: OrderedDict[int, tuple[str, Document]] = OrderedDict()
        self._droppable: deque[int] = deque()
        self._number = 0
        self._busy_since: float | None = None
        self._late = 0
        self._dropped_in_this_run = 0
        self._closed = False
        self._thread: threading.Thread | None = None

    @property
    def waiting(self) -> int:
        """Documents it has not taken yet, with the one it sits on."""
        return len(self._waiting) + (self._busy_since is not None)

    def __call__(self, name: str, doc: Document) -> None:
        """Hand one document over, and wait for a bounded time until it is taken; never raises."""
        with self._changed:
            if name == "start":
                self._late = self._dropped_in_this_run = 0
            was_behind = self.waiting > 0
            self._put(name, doc)
            self._changed.notify_all()
            if name != "stop" and not was_behind and self._late < MAX_LATE:
                self._wait(time.monotonic() + PATIENCE_S)
                self._late += self.waiting > 0

    def _put(self, name: str, doc: Document) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name=f"mamba consumer {self.name}", daemon=True)
            self._thread.start()
        self._number += 1
        self._waiting[self._number] = (name, doc)
        if name not in _NEVER_DROPPED:
            self._droppable.append(self._number)
        if len(self._droppable) > MAX_WAITING:
            del self._waiting[self._droppable.popleft()]
            self.dropped += 1
            self._dropped_in_this_run += 1
            if self._dropped_in_this_run == 1:
                log.warning("%s is behind by %d documents; it does not get the oldest of them", self.name, MAX_WAITING)

    def _wait(self, deadline: float) -> None:
        while self.waiting and (left_s := deadline - time.monotonic()) > 0:
            self._changed.wait(left_s)

    def wait_at_end(self, deadline: float) -> None:
        """As its base; who is stuck is told about instead."""
        with self._changed:
            while self.waiting:
                stuck = deadline if self._busy_since is None else self._busy_since + STUCK_S
                left_s = min(deadline, stuck) - time.monotonic()
                if left_s <= 0:
                    log.warning(
                        "%s is behind: %d documents wait for it, %d it does not get; the run did not wait",
                        self.name, self.waiting, self._dropped_in_this_run,
                    )  # fmt: skip
                    return
                self._changed.wait(left_s)

    def _serve(self) -> None:
        while (item := self._take()) is not None:
            self._call_consumer(*item)
            with self._changed:
                self._busy_since = None
                self._changed.notify_all()

    def _take(self) -> tuple[str, Document] | None:
        with self._changed:
            while not self._waiting:
                if self._closed:
                    return None
                self._changed.wait()
            number, item = self._waiting.popitem(last=False)
            if self._droppable and self._droppable[0] == number:
                self._droppable.popleft()
            self._busy_since = time.monotonic()
            return item

    def close(self) -> None:
        """Hand over what waits, then end the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


def wait_at_end(guards: Iterable[GuardedConsumer]) -> None:
    """Wait for all of them at the end of a run."""
    deadline = time.monotonic() + END_PATIENCE_S
    for guard in tuple(guards):
        guard.wait_at_end(deadline)
