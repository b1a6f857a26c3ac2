"""Documents of a run → notices: the one subscription the console adds to a run engine.

The engine's own writer is subscribed before it, so that a run's files are complete when `scan/stop` names them. A
document that cannot be turned into notices is logged and counted; it never ends the scan.
"""

from __future__ import annotations

import logging
from typing import Any

from mamba.scans import DocumentNotices

log = logging.getLogger(__name__)


class DocumentRelay:
    """Publishes the documents of one run engine as notices.

    Attributes:
        failures: documents that could not be published.
    """

    def __init__(self, engine: Any) -> None:
        self.failures = 0
        self._engine = engine
        # a plain RunEngine of bluesky writes no files
        self._notices = DocumentNotices(
            files_of=getattr(engine, "files_of", None), problems_of=getattr(engine, "problems_of", None)
        )
        # quick, and in order with the run's state: it never waits for whom the notices are for
        self._token = getattr(engine, "subscribe_quick", engine.subscribe)(self._publish)

    def close(self) -> None:
        """Publish no more."""
        self._engine.unsubscribe(self._token)

    def _publish(self, name: str, doc: dict[str, Any]) -> None:
        try:
            self._notices(name, doc)
        except Exception:  # the run goes on whatever happens to its notices
            self.failures += 1
            log.exception("%s document: could not be published", name)
