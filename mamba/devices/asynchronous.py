"""Devices of ophyd-async in `M` and `D`: their methods are coroutines of the run engine's loop, their keys its names.

ophyd-async itself is not imported: what counts is that a device has `children` and `set_name`, and answers with
coroutines. A device is connected in the run engine's loop, so it is made within `init_devices()` after `RE`.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import inspect
from collections.abc import Iterator
from typing import Any

from bluesky.run_engine import get_bluesky_event_loop

from mamba.errors import DeviceError, DeviceTimeout

ANSWER_TIMEOUT_S = 10.0
"""Longest time that a device may take to answer outside a plan."""


def is_asynchronous(device: Any) -> bool:
    """Whether this is a device of ophyd-async, by its class: a device may answer for its names only when it is used."""
    return callable(getattr(type(device), "set_name", None)) and callable(getattr(type(device), "children", None))


def children_of(device: Any) -> Iterator[tuple[str, Any]]:
    """Name and device of what stands in a device of ophyd-async."""
    for name, child in device.children():
        yield str(name), child


def wait_answer(answer: Any, device: Any) -> Any:
    """What `device` answers: `answer` itself, or what comes of it when it is a coroutine.

    Raises:
        DeviceError: there is no run engine whose loop could run it.
        DeviceTimeout: it did not come within `ANSWER_TIMEOUT_S`.
    """
    if not inspect.iscoroutine(answer):
        return answer
    name = getattr(device, "name", "") or type(device).__name__
    loop = get_bluesky_event_loop()
    if loop is None or not loop.is_running():
        answer.close()
        raise DeviceError(
            f"{name}: cannot be asked", seen="its loop is the run engine's, and there is none", remedy="make RE first"
        )
    future = asyncio.run_coroutine_threadsafe(answer, loop)
    try:
        return future.result(ANSWER_TIMEOUT_S)
    except concurrent.futures.TimeoutError:
        future.cancel()
        raise DeviceTimeout(
            f"{name}: does not answer", seen=f"nothing within {ANSWER_TIMEOUT_S:g} s", remedy="look at its server"
        ) from None
