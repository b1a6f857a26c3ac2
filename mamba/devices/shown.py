"""What a person wants to see of devices: value, unit, limits, state; of all at once, and never for long.

A device that does not answer in time is shown as such: who looks at fifty devices does not wait for the one that hangs.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mamba.devices.asynchronous import wait_answer
from mamba.devices.base import TangoDevice
from mamba.devices.build import limits_of, main_signal, read_device
from mamba.devices.generic import WrappedDevice
from mamba.devices.signal import TangoSignal
from mamba.devices.workers import run_in_worker
from mamba.errors import MambaError

LOOK_S = 0.3
"""How long a look at any number of devices takes at most."""
_ARRAY_SHOWN = 5
"""Longer arrays are not written out."""


@dataclass(frozen=True)
class Shown:
    """One device; `problem` says why nothing else is known, "" where all is well. `set_point` is None without one.

    `decimals` are those of the format that the server gives the value.
    """

    expression: str
    value: Any = None
    set_point: Any = None
    unit: str = ""
    low: float | None = None
    high: float | None = None
    state: str = ""
    problem: str = ""
    decimals: int = 2

    @property
    def limits(self) -> str:
        """`[low, high]`, "" without limits."""
        if self.low is None and self.high is None:
            return ""
        return f"[{'-∞' if self.low is None else f'{self.low:g}'}, {'∞' if self.high is None else f'{self.high:g}'}]"

    def show_value(self) -> str:
        """The value, or the problem."""
        return self.problem or show_value(self.value, decimals=self.decimals)


def show_value(value: Any, *, decimals: int = 2) -> str:
    """A value on one short line: a number with its decimals, and five digits at least; an array by shape and range."""
    if isinstance(value, float):
        if not math.isfinite(value):
            return str(value)
        before_point = math.floor(math.log10(abs(value))) + 1 if value else 1
        return f"{value:.{min(15, max(5, before_point + decimals))}g}"
    if isinstance(value, np.ndarray) and value.size > _ARRAY_SHOWN:
        text = f"{' × '.join(map(str, value.shape))} of {value.dtype.name}"
        return f"{text}, {value.min():.5g} to {value.max():.5g}" if value.dtype.kind in "iuf" else text
    if isinstance(value, Mapping):
        return _fit(", ".join(f"{name} {show_value(part)}" for name, part in value.items()))
    return "" if value is None else _fit(value)


def look_at(devices: Mapping[str, Any], *, timeout_s: float = LOOK_S) -> list[Shown]:
    """Look at all of these devices at the same time, in their order; returns within `timeout_s`.

    Args:
        devices: device by the expression that reaches it.
        timeout_s: what has not answered by then has `problem` "no answer in … s".
    """
    late = {path: Shown(path, problem=f"no answer in {timeout_s:g} s") for path in devices}
    seen: dict[str, Shown] = {}
    answered = threading.Semaphore(0)

    def look(path: str) -> None:
        seen[path] = _look(path, devices[path])
        answered.release()

    for path in devices:
        run_in_worker(f"looks at {path}", lambda path=path: look(path))  # type: ignore[misc]  # bound in the loop
    deadline = time.monotonic() + timeout_s
    for _ in devices:
        if not answered.acquire(timeout=max(0.0, deadline - time.monotonic())):
            break
    return list({**late, **seen}.values())


def _look(path: str, device: Any) -> Shown:
    try:
        located = wait_answer(device.locate(), device) if hasattr(device, "locate") else {}
        value = located.get("readback", getattr(device, "position", None))
        if value is None:
            value = _read_value(device)
        limits = limits_of(device)
        signal = main_signal(device)
        unit = limits["unit"] or ("" if signal is None else signal.egu)
        link = device.link if isinstance(device, (TangoDevice, TangoSignal)) else None
        return Shown(
            path,
            value,
            located.get("setpoint"),
            unit,
            limits["low"],
            limits["high"],
            "" if link is None else link.state(),
            decimals=_decimals_of(signal),
        )
    except MambaError as error:
        return Shown(path, problem=f"{error.code}: {error.seen or error.what}")
    except Exception as error:  # noqa: BLE001  # a device of somebody else's; the others are still worth a line
        return Shown(path, problem=f"{type(error).__name__}: {error}".splitlines()[0])


def _read_value(device: Any) -> Any:
    """What is recorded first; of a device without a shape all that is recorded, by name."""
    values = read_device(device)
    if isinstance(device, WrappedDevice):
        return {path.removeprefix(f"{device.name}."): value for path, value in values.items()}
    return next(iter(values.values()), None)


def _decimals_of(signal: TangoSignal | None) -> int:
    decimals = None if signal is None else signal.info.precision
    return 2 if decimals is None else decimals


def _fit(value: Any) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= 40 else text[:39] + "…"
