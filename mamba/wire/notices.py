"""Where code inside the console hands over a notice, without knowing who sends it.

*Notice*: one JSON object with a `typ`, pushed to every subscriber (`{"typ": "scan/start", "id": 1234}`). The agent
attaches the way out when `server_start` runs; without one (a plain script, a unit test) notices go nowhere.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

Notice = dict[str, Any]
"""One notice: `typ` and its fields; values as `mamba.wire.values` can carry them."""

log = logging.getLogger(__name__)
_listeners: list[Callable[[Notice], None]] = []


def attach(listener: Callable[[Notice], None]) -> Callable[[], None]:
    """Send every later notice to `listener`, which must not block; returns the function that detaches it."""
    _listeners.append(listener)
    return lambda: _listeners.remove(listener)


def publish(typ: str, **fields: Any) -> None:
    """Push one notice; never raises and never blocks the caller: a scan must not end for want of a listener.

    `time` (s since 1970) is added where it is not among the fields.
    """
    notice: Notice = {"typ": typ, **fields}
    notice.setdefault("time", time.time())
    for listener in tuple(_listeners):
        try:
            listener(notice)
        except Exception:  # whatever a listener does, the run goes on; it is logged
            log.exception("notice %s: its listener raised", typ)
