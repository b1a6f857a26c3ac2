"""Signals of one Tango device that stand alone are read by one call per point.

From the second point on bluesky knows what a stream reads. When a point opens, the signals among it that share a device
are read together, and each finds its reading there when bluesky comes to it a moment later.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mamba.devices import TangoSignal
from mamba.errors import DeviceFault


def read_signals_together(engine: Any) -> None:
    """Let the points of this engine's runs read what shares a device at once."""
    create = engine._command_registry["create"]

    async def create_and_read(msg: Any) -> Any:
        """Open the point as bluesky does, then read."""
        opened = await create(msg)
        bundler = engine._run_bundlers.get(msg.run)
        if bundler is not None:
            offer_readings(bundler._descriptor_objs.get(bundler._bundle_name, ()))
        return opened

    engine.register_command("create", create_and_read)


def offer_readings(objects: Iterable[Any]) -> None:
    """Read the signals among `objects` that share a Tango device, one call per device.

    Raises:
        DeviceUnreachable, DeviceTimeout: as their own reading would; an attribute that fails alone is left to it.
    """
    by_device: dict[str, list[TangoSignal]] = {}
    for signal in objects:
        if isinstance(signal, TangoSignal) and signal.parent is None:
            by_device.setdefault(signal.link.address, []).append(signal)
    for signals in by_device.values():
        if len(signals) > 1:
            _offer(signals)


def _offer(signals: list[TangoSignal]) -> None:
    try:
        readings = signals[0].link.read(*dict.fromkeys(signal.attribute for signal in signals))
    except DeviceFault:  # one of them; each that is read by itself says so under its own name
        return
    for signal in signals:
        signal.offer(readings[signal.attribute])
