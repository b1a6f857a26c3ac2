"""Names: the expression that reaches a device (`M.stage.x`) and the key it is recorded under (`M_stage_x`).

*Expression*: what a person types; the `.name` of every device. *Key*: the expression with `_` for `.`, since
documents refuse dots. *Owner*: the device that has the expression now. One table maps both ways.

Setting `device.name` renames neither components nor keys, so `adopt_device` walks them. A stock ophyd signal records
under its own `.name`; inside a device it is therefore named by its key. Devices keep their dotted names, and
`mamba.devices.descriptors` writes their keys where a descriptor names its objects. A device of ophyd-async has one
name for everything, which must then be its key.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ophyd import Kind, do_not_wait_for_lazy_connection

from mamba.devices.asynchronous import children_of, is_asynchronous
from mamba.devices.descriptors import record_objects_by_key
from mamba.errors import BadValue, NameClash


def key_of(expression: str) -> str:
    """The key that `expression` is recorded under: `M.stage.x` → `M_stage_x`."""
    return expression.replace(".", "_")


class NameTable:
    """Keys and expressions of everything adopted; an entry ends with its owner."""

    def __init__(self) -> None:
        self._entries: dict[str, tuple[str, weakref.ref[Any]]] = {}

    def check(self, expression: str) -> None:
        """Refuse an expression whose key belongs to another one.

        Raises:
            NameClash: naming both expressions.
        """
        key = key_of(expression)
        other, owner = self._entries.get(key, (expression, None))
        if other != expression and owner is not None and owner() is not None:
            raise NameClash(
                f"{expression}: cannot be recorded as {key!r}",
                seen=f"{other} is recorded under that key",
                remedy="give one of them another name",
            )

    def add(self, expression: str, owner: Any) -> None:
        """Give `expression` and its key to `owner`; the same expression may pass to another owner."""
        self.check(expression)
        self._entries[key_of(expression)] = (expression, weakref.ref(owner))

    def remove(self, owner: Any) -> None:
        """Free every expression of `owner`."""
        for key in [key for key, (_, ref) in self._entries.items() if ref() is owner]:
            del self._entries[key]

    def expression_of(self, key: str) -> str:
        """The expression recorded under `key`; the key itself where nobody adopted it."""
        expression, owner = self._entries.get(key, (key, None))
        return expression if owner is not None and owner() is not None else key


names = NameTable()
"""The table of this process: there is one namespace `M`, one `D`."""


def expression_of(key: str) -> str:
    """The expression recorded under `key` (`M_energy_setpoint` → `M.energy.setpoint`), the key where none is known."""
    return names.expression_of(key)


def adopt_device(device: Any, expression: str) -> None:
    """Name `device` and everything in it by the expressions that reach them, and record under their keys.

    Raises:
        BadValue: `expression` is not dotted Python names.
        NameClash: one of the keys belongs to another device; nothing was renamed.
    """
    if not all(part.isidentifier() for part in expression.split(".")):
        raise BadValue(f"{expression}: is not a name", remedy="use Python names joined by dots, such as M.stage.x")
    parts = list(_walk(device, expression, key_of(expression)))
    for part in parts:
        names.check(part.expression)
    for part in parts:
        names.remove(part.owner)
        _rename(part)
        if part.key == key_of(part.expression):
            names.add(part.expression, part.owner)


def release_device(device: Any) -> None:
    """Free the names of a device that left its group; it keeps its `.name` until it is adopted again."""
    for part in _walk(device, device.name, key_of(device.name)):
        names.remove(part.owner)


def record_without_dots(device: Any, expression: str = "") -> None:
    """Make a device that was given a dotted name record dot-free keys: the paper's `EpicsMotor("IOC:m1", name="M.m1")`.

    It keeps its name; what is inside gets expression and key as by adoption.

    Args:
        device: a device, of ophyd or of ophyd-async.
        expression: what reaches it, for a device that has no name yet.

    Raises:
        BadValue, NameClash: as `adopt_device`.
    """
    adopt_device(device, expression or device.name)


@dataclass(frozen=True)
class _Part:
    """A device or component with its new expression and key; a motor's readback has the key of the motor."""

    owner: Any
    expression: str
    key: str


def _walk(device: Any, expression: str, key: str) -> Iterator[_Part]:
    """The device and all that is in it; whether a part stands for the whole is told by the keys until now."""
    if is_asynchronous(device):
        yield from _walk_asynchronous(device, expression, key)
        return
    yield _Part(device, expression, key)
    for attribute, component in _iter_components(device):
        path = f"{expression}.{attribute}"
        yield from _walk(component, path, key if _key_now(component) == _key_now(device) else key_of(path))


def _walk_asynchronous(device: Any, expression: str, key: str) -> Iterator[_Part]:
    yield _Part(device, expression, key)
    for name, child in children_of(device):
        path = f"{expression}.{name}"
        whole = bool(device.name) and child.name == device.name
        yield from _walk_asynchronous(child, path, key if whole else key_of(path))


def _iter_components(device: Any) -> Iterator[tuple[str, Any]]:
    """Components that exist or are recorded: an area detector has a thousand that nobody asks for."""
    kinds, made = getattr(device, "_component_kinds", {}), getattr(device, "_signals", {})
    for attribute in getattr(device, "component_names", ()):
        if attribute in made or kinds.get(attribute) != Kind.omitted:
            with do_not_wait_for_lazy_connection(device):
                component = getattr(device, attribute)
            yield attribute, component


def _key_now(device: Any) -> str:
    return getattr(device, "key", "") or key_of(device.name)


def _rename(part: _Part) -> None:
    owner, is_device = part.owner, hasattr(part.owner, "component_names")
    record_objects_by_key()
    if is_asynchronous(owner):
        owner.set_name(part.key, child_name_separator="_")  # its name is what it records under: no dots
    elif hasattr(owner, "record_as"):
        owner.record_as(part.expression, part.key)
    elif is_device or getattr(owner, "parent", None) is None:
        owner.name = part.expression
        if not is_device:
            _record_by_key(owner)
    else:
        owner.name = part.key


def _record_by_key(signal: Any) -> None:
    """Let a stock signal that stands alone in M or D keep its dotted name and read and describe by its key."""
    for method in ("read", "describe", "read_configuration", "describe_configuration"):
        original = getattr(type(signal), method, None)
        if original is not None:
            setattr(signal, method, _keyed(original, signal))


def _keyed(original: Any, signal: Any) -> Any:
    this = weakref.ref(signal)

    def read_by_key() -> dict[str, Any]:
        return {key_of(key): value for key, value in original(this()).items()}

    return read_by_key
