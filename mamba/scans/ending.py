"""What bluesky's RunEngine lacks for runs ended from outside, mended on one engine; doing it twice is harmless.

The reason a person gives for an end reaches the stop document, and a paused run can be ended by any thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

ContextManager = Callable[[Any], AbstractContextManager[Any]]
"""What a RunEngine holds while its caller waits for it, as its Ctrl-C handler."""


def keep_reason(engine: Any) -> None:
    """Let the reason given to abort, stop or halt reach the stop document: a plan's own wrapper closes without it."""
    close_run = engine._command_registry["close_run"]

    async def close_run_with_reason(msg: Any) -> Any:
        """Close the run as bluesky does, with the reason added."""
        if engine._reason and not msg.kwargs.get("reason"):
            msg = msg._replace(kwargs={**msg.kwargs, "reason": engine._reason})
        return await close_run(msg)

    engine.register_command("close_run", close_run_with_reason)


def act_in_main_thread_only(manager: ContextManager) -> ContextManager:
    """A context manager of an engine that does nothing in other threads: only the main one can take signals."""

    @contextmanager
    def in_main_thread_only(engine: Any) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        with manager(engine):
            yield

    return in_main_thread_only
