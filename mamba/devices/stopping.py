"""A stop that nobody answered is given again until it is known to have been heard.

A call that timed out may still wait at the server: Tango keeps it for three seconds while the device is busy. So a
move that was given up, or whose set point may be written late, is looked after until it stands.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from mamba.devices.link import TangoLink
from mamba.devices.threads import pause, run_in_thread
from mamba.errors import DeviceError

log = logging.getLogger(__name__)

_LOOK_S = 0.1
_QUEUED_S = 4.0
"""Longer than a server keeps a call that waits for a busy device: what was not executed by then never will be."""
_LONGEST_S = 600.0


def stop_when_it_answers(
    link: TangoLink, attribute: str, target: float, *, lock: threading.Lock, is_wanted: Callable[[], bool]
) -> None:
    """Stop the move to `target` as soon as the device can be told, and again should it begin late; returns at once.

    Args:
        link: the device, which has the command Stop.
        attribute: what is moved; its set point says whose move goes on.
        target: of the move that was given up; another set point is another person's.
        lock: held while the command is sent, so that no newer move begins in between.
        is_wanted: False as soon as a newer move was ordered here.
    """
    deadline = time.monotonic() + _LONGEST_S
    generation = link.generation

    def chase() -> None:
        stands_since = None
        while time.monotonic() < deadline and is_wanted():
            try:
                with lock:
                    if not is_wanted():
                        return
                    moves = not link.is_down and _stop_if_it_moves(link, attribute, target)
                if not link.is_down:
                    now = time.monotonic()
                    stands_since = now if moves or stands_since is None else stands_since
                    # over a new connection nothing of the old one can still wait at the server
                    if now - stands_since > _QUEUED_S or (not moves and link.generation != generation):
                        return
            except DeviceError as error:
                stands_since = None
                log.info("%s: not stopped yet: %s", link.name, error.what)
            if pause(_LOOK_S):
                return
        if is_wanted():
            log.warning("%s: could not be stopped: it did not answer for %g s", link.name, _LONGEST_S)

    run_in_thread(f"mamba stops {link.name}", chase)


def _stop_if_it_moves(link: TangoLink, attribute: str, target: float) -> bool:
    readings = link.read("State", attribute)
    if readings["State"].value != "MOVING" or readings[attribute].set_value != target:
        return False
    link.call("Stop")
    return True
