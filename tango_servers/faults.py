"""Faults as a feature: the words by which a simulated device can be told to misbehave, for training and for tests.

A *fault* stays until it is taken away with `none`, or the server is started anew. Which of them a device knows is
said by its attribute `Faults`. What each does is the model's part, except `timeout` and `offline`, which all have.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Sequence

from mamba.errors import BadValue, find_nearest

NONE = "none"
MEANINGS = {
    "stuck": "an action begins and never ends: State stays MOVING or RUNNING, nothing moves or counts to its end",
    "slow": "moves take ten times as long",
    "following-error": "moves end a tenth of the way before the target, and State becomes ALARM",
    "timeout": "every call takes longer than a client waits",
    "nan": "the value reads as not a number, quality INVALID",
    "offline": "the server process ends at once, with all its devices, as in a crash",
}
ANSWER_S = 4.0
"""How long a call takes with the fault `timeout` (s): our clients wait 2.5 s, Tango's own 3 s."""


def check_fault(device: str, fault: str, known: Sequence[str]) -> None:
    """Refuse a fault that `device` does not have.

    Raises:
        BadValue: naming those it has.
    """
    if fault != NONE and fault not in known:
        remedy = find_nearest(fault, [NONE, *known])
        raise BadValue(f"{device}: cannot simulate the fault {fault!r}", seen="it has no such fault", remedy=remedy)


def end_process() -> None:
    """End this process as a crash does, once the call that asked for it was answered."""
    threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGKILL)).start()
