"""Keeping event channels alive for those who only listen: a server that was restarted is subscribed to again.

Tango's own re-subscription takes about ten seconds and a listener hears nothing meanwhile. One thread asks every
device with listeners once a second whether it answers, and mends what it lost; the thread ends with the last listener.
"""

from __future__ import annotations

import threading
import time
import weakref

from mamba.devices.link import TangoLink, run_in_thread

_PERIOD_S = 1.0
_lock = threading.Lock()
_kept: weakref.WeakSet[TangoLink] = weakref.WeakSet()
_running = False


def keep_channels(link: TangoLink) -> None:
    """Look after the event channels of `link` as long as somebody listens to it."""
    global _running
    with _lock:
        _kept.add(link)
        if not _running:
            _running = True
            run_in_thread("mamba event channels", _keep)


def _keep() -> None:
    global _running
    while True:
        with _lock:
            for link in tuple(_kept):
                if not link.has_listeners():
                    _kept.discard(link)
            if not _kept:
                _running = False
                return
            links = tuple(_kept)
        for link in links:
            link.mend_channels()
        del links
        time.sleep(_PERIOD_S)  # the period of the look, not a wait for anything
