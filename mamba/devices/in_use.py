"""A device that a run uses keeps its name and its place in M or D until the run has ended.

*In use*: a plan that goes on, or is paused, has given the run engine a message for the device, for a part of it, or
for what it is a part of. Renamed in the middle of a run it would be recorded under two keys; removed, it would be out
of reach of all that stops a beamline.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import Any

from mamba.errors import DeviceInUse

_engines: weakref.WeakSet[Any] = weakref.WeakSet()


def keep_names_in_runs(engine: Any) -> None:
    """From now on the devices that a run of `engine` uses can be neither renamed nor removed."""
    _engines.add(engine)


def refuse_in_use(device: Any, attempt: str) -> None:
    """Refuse an attempt ("M.x: cannot be removed") on a device that is in use.

    Raises:
        DeviceInUse: what the engine does, and how to go on; nothing was changed.
    """
    for engine in tuple(_engines):
        state = str(engine.state)
        if state not in ("idle", "panicked") and _is_among(device, tuple(engine._objs_seen)):
            raise DeviceInUse(
                f"{attempt} now",
                seen=f"a run that is {state} uses it",
                remedy="wait for its end, or end it: RE.resume() or RE.abort() at the prompt where it is paused",
            )


def _is_among(device: Any, seen: tuple[Any, ...]) -> bool:
    whole = list(_iter_upwards(device))
    return any(obj is part for obj in seen for part in whole) or any(
        part is device for obj in seen for part in _iter_upwards(obj)
    )


def _iter_upwards(device: Any) -> Iterator[Any]:
    """The device, what it is a part of, and so on."""
    while device is not None:
        yield device
        device = getattr(device, "parent", None)
