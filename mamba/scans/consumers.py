"""A consumer of documents that fails must not end the scan it watches.

*Consumer*: whatever is subscribed to the run engine: the NeXus writer, the relay of notices, a person's live table.
bluesky lets its exception end the run; here it is logged once per run and counted, and the run goes on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

log = logging.getLogger(__name__)

Consumer = Callable[[str, dict[str, Any]], object]
"""Called with the name of the document (start, descriptor, event, …, stop) and the document."""


class GuardedConsumer:
    """One consumer behind a wall; called as the consumer is, never raises an `Exception`.

    Attributes:
        failures: how many documents made the consumer raise since it was subscribed.
    """

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer
        self._told_in_this_run = False
        self.failures = 0

    def __call__(self, name: str, doc: dict[str, Any]) -> None:
        """Hand one document over."""
        if name == "start":
            self._told_in_this_run = False
        try:
            self._consumer(name, doc)
        except Exception:  # the consumer is anybody's code; its failure is told, counted and ends here
            self.failures += 1
            if not self._told_in_this_run:
                self._told_in_this_run = True
                log.exception("%r raised on a %s document; the run goes on", self._consumer, name)
