"""From the profile to `M` and `D`, and what requests ask about a device."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from mamba.config import ClassConfig, DeviceConfig, Profile, Role
from mamba.devices.asynchronous import children_of, is_asynchronous, wait_answer
from mamba.devices.base import TangoDevice
from mamba.devices.camera import Camera
from mamba.devices.counter import Counter
from mamba.devices.generic import Choice, LateDevice, describe_itself
from mamba.devices.group import Group
from mamba.devices.link import TangoLink
from mamba.devices.motor import Motor
from mamba.devices.names import expression_of
from mamba.devices.role_limits import current_role, find_role_limits
from mamba.devices.shapes import SHAPES, ClassFinder
from mamba.devices.signal import TangoSignal
from mamba.errors import BadValue, DeviceError, ProfileError

_LIMITED = ("motor", "pseudo_motor", "signal")
"""What can have soft limits by role; a device that finds its type at first use is told to say it."""


def build_devices(profile: Profile) -> tuple[Group, Group]:
    """Make `M` and `D`; no server is asked, so that one that is down is found when its device is used.

    Raises:
        ProfileError: a device lacks its attribute, or has an option its type does not know.
        NameClash: two devices would be recorded under one key.
    """
    finder = ClassFinder(profile)
    groups = (Group("M"), Group("D"))
    for group, configs in zip(groups, (profile.devices.M, profile.devices.D), strict=True):
        for key, config in configs.items():
            group[key] = _build(f"{group.name}.{key}", config, profile, finder)
    return groups


def _build(name: str, config: DeviceConfig, profile: Profile, finder: ClassFinder) -> Any:
    if config.limits and config.type not in _LIMITED:
        raise ProfileError(
            f"device {name}: 'limits' do not go with type {config.type}",
            remedy=f"take them out, or say which it is: {', '.join(_LIMITED)}",
        )
    if config.type == "device":
        return LateDevice(config.tango, name=name, choose=lambda link: describe_itself(link, **config.options))
    if config.type == "auto":
        tango_class = finder.class_of(config.tango)
        shape = finder.shape_of(tango_class) if tango_class else None
        if shape is None and (tango_class is None or config.attribute is None):
            return LateDevice(config.tango, name=name, choose=lambda link: _choose(link, name, config, profile, finder))
        config = _as_class_says(config, shape)
    make, options = _pick(name, config, profile)
    try:
        device = make(config.tango, name=name, **options)
    except (TypeError, BadValue) as error:
        raise ProfileError(
            f"device {name}: an option does not fit a {config.type}", seen=str(error), remedy="mend its options"
        ) from None
    if config.limits:
        # its components write the same attribute, and must not lead around the limits
        for part in (device, *((device.readback, device.setpoint) if isinstance(device, Motor) else ())):
            part.role_limits = config.limits
    return device


def _as_class_says(config: DeviceConfig, shape: ClassConfig | None) -> DeviceConfig:
    """The device with the shape of its Tango class; without one, its attribute is a signal."""
    if shape is None:
        return config.model_copy(update={"type": "signal"})
    options = {**shape.options, **config.options}
    return config.model_copy(
        update={"type": shape.type, "attribute": config.attribute or shape.attribute, "options": options}
    )


def _choose(link: TangoLink, name: str, config: DeviceConfig, profile: Profile, finder: ClassFinder) -> Choice:
    """What the server behind `link` is, when the database could not say, or its class has no shape."""
    shape = finder.shape_of(link.class_name())
    if shape is None and config.attribute is None:
        return describe_itself(link, **config.options)
    return _pick(name, _as_class_says(config, shape), profile)


def _pick(name: str, config: DeviceConfig, profile: Profile) -> tuple[Any, dict[str, Any]]:
    """Class and keyword arguments of a device whose type is known."""
    options = dict(config.options)
    if config.type in ("motor", "pseudo_motor"):
        return SHAPES[config.type], {"attribute": config.attribute or "Position", **options}
    if config.type == "signal":
        if config.attribute is None:
            raise ProfileError(f"device {name}: a signal needs 'attribute'", remedy="name the Tango attribute it reads")
        return _make_signal, {"attribute": config.attribute, **options}
    if config.type == "camera":
        if "graph" not in options:
            raise ProfileError(f"device {name}: a camera needs the option 'graph'", remedy="name a graph file")
        graph = profile.path.parent / Path(str(options.pop("graph")))
        return Camera, {"graph": graph, "directory": profile.data.directory.absolute(), **options}
    return SHAPES[config.type], options


def _make_signal(tango: str, *, name: str, attribute: str, **options: Any) -> TangoSignal:
    return TangoSignal(attribute, name=name, tango=tango, **options)


def describe_device(device: Any, role: Role | None = None) -> dict[str, Any]:
    """What a window needs to know: class, tango, doc, unit, limits, precision, state, status, components.

    The limits are those that hold for `role`, as in `limits_of`. A device that cannot be reached is described with
    `state` "UNREACHABLE" and what was seen in `status`.
    """
    if isinstance(device, LateDevice):
        try:
            device.become()
        except DeviceError as error:
            return _describe_unknown(device, error)
    link = getattr(device, "link", None)
    described: dict[str, Any] = {
        "name": getattr(device, "name", ""),
        "class": type(device).__name__,
        "doc": _first_line(device),
        "tango": getattr(link, "device", ""),
        "prefix": getattr(device, "prefix", ""),
        "components": _list_components(device),
        "movable": callable(getattr(device, "set", None)) and not isinstance(device, (Counter, Camera)),
    }
    try:
        described |= _describe_live(device, role)
    except DeviceError as error:
        described |= {"state": "UNREACHABLE", "status": error.seen or error.what, "error": error.code}
    return described


def _list_components(device: Any) -> list[str]:
    if is_asynchronous(device):
        return [name for name, _ in children_of(device)]
    return list(getattr(device, "component_names", ()))


def _describe_unknown(device: LateDevice, error: DeviceError) -> dict[str, Any]:
    """A device that could not be asked what it is."""
    return {
        "name": device.name, "class": "LateDevice", "doc": "", "tango": device.link.device, "prefix": "",
        "components": [], "movable": False, "state": "UNREACHABLE", "status": error.seen or error.what,
        "error": error.code,
    }  # fmt: skip


def _describe_live(device: Any, role: Role | None) -> dict[str, Any]:
    live: dict[str, Any] = {}
    if is_asynchronous(device):
        keys = wait_answer(device.describe(), device) if callable(getattr(device, "describe", None)) else {}
        main: dict[str, Any] = next(iter(keys.values()), {})
        live |= {"unit": main.get("units") or "", "precision": main.get("precision")}
    signal = main_signal(device)
    if signal is not None:
        info = signal.info
        live["description"] = info.description
        live["unit"] = info.unit
        live["precision"] = info.precision
        live["attribute"] = signal.attribute
        live["choices"] = list(info.labels)
        live["movable"] = isinstance(device, (Motor, TangoSignal)) and info.writable
    live["limits"] = limits_of(device, role)
    if isinstance(device, (TangoDevice, TangoSignal)):
        readings = device.link.read("State", "Status")
        live["state"] = readings["State"].value
        live["status"] = " ".join(str(readings["Status"].value).split())
    return live


def read_device(device: Any) -> dict[str, Any]:
    """Values by expression: `{"M.energy": 8.98, "M.energy.setpoint": 8.98}`; plain numbers, texts, arrays.

    Raises:
        DeviceUnreachable, DeviceTimeout, DeviceFault: naming the device.
    """
    return {expression_of(key): _plain(entry["value"]) for key, entry in wait_answer(device.read(), device).items()}


def limits_of(device: Any, role: Role | None = None) -> dict[str, Any]:
    """`{"low": …, "high": …, "unit": …}`; None for a side without limit, or a device without any.

    Args:
        device: any device.
        role: whose soft limits hold besides the server's; None for the person whose cell runs.

    Raises:
        DeviceUnreachable, DeviceTimeout: naming the device.
    """
    limits = getattr(device, "limits", None)
    low, high = limits if limits is not None and len(limits) == 2 else (0.0, 0.0)
    if low == high:  # EPICS' and ophyd's way to say that there are none
        low = high = None
    soft = find_role_limits(getattr(device, "role_limits", None) or {}, role or current_role())
    if soft is not None:
        low = soft[0] if low is None else max(low, soft[0])
        high = soft[1] if high is None else min(high, soft[1])
    return {"low": _finite(low), "high": _finite(high), "unit": str(getattr(device, "egu", "") or "")}


def main_signal(device: Any) -> TangoSignal | None:
    """The signal that stands for the whole: a motor's readback, a counter's counts; None where there is none."""
    if isinstance(device, TangoSignal):
        return device
    if isinstance(device, TangoDevice) and device.whole:
        signal: TangoSignal = getattr(device, device.whole)
        return signal
    return None


def _first_line(device: Any) -> str:
    return (type(device).__doc__ or "").strip().partition("\n")[0]


def _finite(value: Any) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
