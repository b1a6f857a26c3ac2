"""Hears the notices of the session that runs in a runtime directory; asks nothing, so that nobody has to log in."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tango

from mamba.runtime import RuntimeDirectory
from mamba.wire.subscriber import Subscriber

_LOOK_S = 0.25
"""How long the end of a listener, or of a session, may go unseen."""


class Listener(threading.Thread):
    """Calls `take` with each notice of the data worker, and `on_change` when the session comes or goes.

    Args:
        folder: the runtime directory; nobody needs to be there yet.
        take: in this thread, which may push events.
        on_change: likewise.

    Attributes:
        connected: a session is there.
    """

    def __init__(self, folder: Path, take: Callable[[dict[str, Any]], None], on_change: Callable[[], None]) -> None:
        super().__init__(name="notices", daemon=True)
        self._endpoint = RuntimeDirectory(folder).notify
        self._take, self._on_change = take, on_change
        self.connected = False
        self._ending = threading.Event()

    def run(self) -> None:
        """Listen until `close`."""
        # Events may be pushed from a foreign thread only as an omniORB thread.
        with tango.EnsureOmniThread(), Subscriber(self._endpoint, prefixes=("mdw/",)) as subscriber:
            while not self._ending.is_set():
                notice = subscriber.receive(_LOOK_S)
                if subscriber.is_connected != self.connected:
                    self.connected = not self.connected
                    self._on_change()
                if notice is not None:
                    self._take(notice)

    def close(self) -> None:
        """End it, without waiting: it may be waiting for the lock that a command holds."""
        self._ending.set()
