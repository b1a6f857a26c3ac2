"""The plan of a word at the prompt (`mv`, `ct`): no run, so nothing to go on with, and Ctrl-C ends it at once.

bluesky's first Ctrl-C asks for a pause at the next checkpoint, and a plain move has none: the motor would go on.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bluesky.utils import RunEngineInterrupted, TransitionError

from mamba.errors import RunError
from mamba.scans.ending import act_in_main_thread_only

_WHERE = "'wa' shows where all are"


def run_word(engine: Any, plan: Any, *, word: str) -> None:
    """Run `plan`; the first Ctrl-C stops what it moves, after its own clean-up.

    Raises:
        RunError: it was ended by Ctrl-C.
        RunEngineInterrupted: somebody else paused or ended it.
    """
    pressed = threading.Event()

    def end() -> None:
        try:
            engine.abort("Ctrl-C")
        except TransitionError:
            return  # it ended by itself in this moment

    def press(*_: Any) -> None:
        if not pressed.is_set():
            pressed.set()
            threading.Thread(target=end, name="mamba ends a word", daemon=True).start()  # a handler must not wait

    @contextmanager
    def ending_at_ctrl_c(_: Any) -> Iterator[None]:
        before = signal.signal(signal.SIGINT, press)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    managers = engine.context_managers
    engine.context_managers = [*managers, act_in_main_thread_only(ending_at_ctrl_c)]  # the last handler counts
    try:
        engine(plan)
    except RunEngineInterrupted:
        if not pressed.is_set():
            raise
        raise RunError(
            f"{word}: ended by Ctrl-C", seen="what it moved was told to stop", remedy="'wa' shows where all are"
        ) from None
    finally:
        engine.context_managers = managers
