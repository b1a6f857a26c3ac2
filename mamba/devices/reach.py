"""How devices are brought to rest: by another process, by Tango address and kind, or else by this process alone."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from mamba.devices.camera import Camera
from mamba.devices.counter import Counter
from mamba.devices.group import iter_devices
from mamba.devices.link import TangoLink
from mamba.devices.shutter import Shutter
from mamba.devices.signal import TangoSignal


def reach_of(device: Any, *, in_m: bool) -> dict[str, str] | None:
    """Where and how a device of M or D is brought to rest; None for one that is at rest by itself, or is only read.

    Returns:
        `tango` (full address; "" for a device that only its own process reaches, such as one of EPICS) and `kind`
        ("motor" is anything that may move, "shutter", "camera").
    """
    link = getattr(device, "link", None)
    if not isinstance(link, TangoLink):
        may_move = in_m or callable(getattr(device, "stop", None))
        return {"tango": "", "kind": "motor"} if may_move else None
    if isinstance(device, Counter) or (isinstance(device, TangoSignal) and not in_m):
        return None
    kind = {Shutter: "shutter", Camera: "camera"}
    return {
        "tango": link.address,
        "kind": next((word for cls, word in kind.items() if isinstance(device, cls)), "motor"),
    }


def stop_beyond(groups: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Stop the devices that only this process reaches (EPICS and others), all at the same time.

    Returns:
        `stopped`: their expressions; `failed`: what was raised, by expression.
    """
    found = {
        path: device
        for name, group in groups.items()
        for path, device in iter_devices(group, name)
        if callable(getattr(device, "stop", None)) and (reach_of(device, in_m=name == "M") or {}).get("tango") == ""
    }
    result: dict[str, Any] = {"stopped": [], "failed": {}}

    def stop(path: str) -> None:
        try:
            found[path].stop()
        except Exception as error:  # noqa: BLE001  # the others must be stopped all the same
            result["failed"][path] = f"{type(error).__name__}: {error}"
        else:
            result["stopped"].append(path)

    with ThreadPoolExecutor(len(found) or 1, thread_name_prefix="mamba-stop") as threads:
        list(threads.map(stop, found))
    return result
