"""How a device can be brought to rest by another process, should the console die: its Tango address and its kind."""

from __future__ import annotations

from typing import Any

from mamba.devices.camera import Camera
from mamba.devices.counter import Counter
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
