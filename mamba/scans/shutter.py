"""The beam only for as long as a plan needs it."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from typing import Any

from bluesky import plan_stubs, preprocessors
from bluesky.utils import FailedStatus, Msg

Plan = Generator[Msg, Any, Any]


def with_shutter(plan: Plan, shutter: Any) -> Plan:
    """Open `shutter`, go through `plan`, and close it however the plan ends: `RE(with_shutter(scan(…), M.shutter))`.

    It stays open while the run is paused; `halt` does no clean-up and leaves it open, as bluesky means it.

    Args:
        plan: any plan.
        shutter: what is set to "open" and "closed".

    Returns:
        What `plan` returns.

    Raises:
        DeviceFault, DeviceTimeout, DeviceUnreachable: it did not open, and the plan has not begun; or did not close.
    """

    def open_first() -> Plan:
        with contextlib.closing(plan):  # one that never began is told so, or bluesky warns of a forgotten plan
            yield from plan_stubs.mv(shutter, "open")
            return (yield from plan)

    return (yield from preprocessors.finalize_wrapper(open_first(), _close(shutter)))


def _close(shutter: Any) -> Plan:
    try:
        yield from plan_stubs.mv(shutter, "closed")
    except FailedStatus:
        # an opening that is overtaken by the closing fails too, and its failure arrives here; what counts is the end
        yield from plan_stubs.mv(shutter, "closed")
