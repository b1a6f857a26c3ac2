"""Groups: `M` and `D`, whose attributes are devices and further groups; putting a device in names it.

Everything here that reads a group takes any mapping, so that the paper's Figure 4 (`AttrDict` of stock ophyd devices)
works wherever a `Group` does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import Any

from mamba.devices.asynchronous import children_of, is_asynchronous
from mamba.devices.in_use import refuse_in_use
from mamba.devices.names import adopt_device, key_of, release_device
from mamba.errors import BadValue, UnknownDevice, find_nearest


class Group(MutableMapping[str, Any]):
    """Devices by name, as attributes or items: `M.energy`, `M["energy"]`, `M.stage.x`, `M["stage.x"]`.

    Args:
        name: the expression that reaches the group ("M", "M.stage"); the names of its devices begin with it.
    """

    def __init__(self, name: str) -> None:
        self.__dict__["_members"] = {}
        self.__dict__["name"] = name

    def __getitem__(self, key: str) -> Any:
        first, _, rest = key.partition(".")
        if first not in self._members:
            known = [f"{self.name}.{member}" for member in self._members]
            raise NoSuchMember(f"{self.name}.{key}: no such device", remedy=find_nearest(f"{self.name}.{first}", known))
        member = self._members[first]
        if not rest:
            return member
        return member[rest] if isinstance(member, Mapping) else _reach(member, rest, f"{self.name}.{first}")

    def __setitem__(self, key: str, device: Any) -> None:
        first, _, rest = key.partition(".")
        if not first.isidentifier() or hasattr(type(self), first):
            raise BadValue(f"{self.name}.{first}: cannot be a device's name", remedy="use another Python name")
        if rest:
            member = self._members.get(first)
            if member is None:
                member = Group(f"{self.name}.{first}")
            member[rest] = device
            self._members[first] = member  # a refusal leaves no empty group
            return
        previous = self._members.get(first)
        if not isinstance(device, Mapping) and not hasattr(device, "name"):
            path = f"{self.name}.{first}"
            remedy = f"'mv {path} {device!r}' moves it" if previous is not None else "put a device there"
            raise BadValue(f"{path}: cannot become {device!r}, which is no device", remedy=remedy)
        _refuse_rename(device, f"{self.name}.{first}")
        if previous is not None and previous is not device:
            _refuse_removal(previous, f"{self.name}.{first}")
        adopt(self, first, device)
        if previous is not None and previous is not device:
            _release(previous)
        self._members[first] = device

    def __delitem__(self, key: str) -> None:
        first, _, rest = key.partition(".")
        if rest:
            del self[first][rest]
            return
        _refuse_removal(self[first], f"{self.name}.{first}")
        _release(self[first])
        del self._members[first]

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return self[name]

    def __setattr__(self, name: str, device: Any) -> None:
        self[name] = device

    def __delattr__(self, name: str) -> None:
        del self[name]

    def __dir__(self) -> Iterable[str]:
        return [*super().__dir__(), *self._members]

    def _ipython_key_completions_(self) -> list[str]:
        return list(self._members)

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        if not self._members:
            return f"{self.name}: empty"
        rows = [(expression, _say(device)) for expression, device in iter_devices(self, self.name)]
        width = max(len(expression) for expression, _ in rows) if rows else 0
        return "\n".join(f"{expression:{width}}  {what}" for expression, what in rows) or f"{self.name}: empty"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # noqa: FBT001  # IPython's signature
        printer.text(f"{self.name}: …" if cycle else repr(self))


class NoSuchMember(UnknownDevice, AttributeError, KeyError):
    """A name that a group does not have: also what `hasattr`, `in` and tab completion expect to be raised."""

    __str__ = Exception.__str__  # KeyError would show its text quoted, on one line


def adopt(group: Group, name: str, device: Any) -> None:
    """Name `device` (or a group of devices) as `group`.`name` and record it without dots.

    Raises:
        NameClash: another device is recorded under one of its keys.
    """
    expression = f"{group.name}.{name}"
    if isinstance(device, Group):
        device.__dict__["name"] = expression
        for key, member in device.items():
            adopt(device, key, member)
    elif isinstance(device, Mapping):
        for path, member in iter_devices(device, expression):
            adopt_device(member, path)
    else:
        adopt_device(device, expression)


def iter_devices(group: Mapping[str, Any], prefix: str) -> list[tuple[str, Any]]:
    """All devices of `group` and its groups with the expressions that reach them, in the order they were put in."""
    found: list[tuple[str, Any]] = []
    for key, member in list(group.items()):
        expression = f"{prefix}.{key}"
        found += iter_devices(member, expression) if isinstance(member, Mapping) else [(expression, member)]
    return found


def find_device(groups: Mapping[str, Mapping[str, Any]], expression: str) -> Any:
    """The device, component or group that `expression` reaches; `groups` maps "M" and "D" to theirs.

    Raises:
        UnknownDevice: naming the nearest one.
    """
    first, _, rest = expression.partition(".")
    if first not in groups:
        raise UnknownDevice(f"{expression}: no such device", remedy=find_nearest(first, list(groups)))
    found: Any = groups[first]
    reached = first
    while rest and isinstance(found, Mapping):
        key, _, rest = rest.partition(".")
        if key not in found:
            known = [path for path, _ in iter_devices(groups[first], first)]
            raise UnknownDevice(f"{expression}: no such device", remedy=find_nearest(expression, known))
        found, reached = found[key], f"{reached}.{key}"
    return _reach(found, rest, reached) if rest else found


def _reach(device: Any, path: str, reached: str) -> Any:
    for step in path.split("."):
        components = list(getattr(device, "component_names", ()))
        if is_asynchronous(device):
            components = [name for name, _ in children_of(device)]
        if step not in components:
            raise UnknownDevice(f"{reached}.{step}: no such component", remedy=find_nearest(step, components))
        device, reached = getattr(device, step), f"{reached}.{step}"
    return device


def _list_devices(member: Any, expression: str) -> list[tuple[str, Any]]:
    return iter_devices(member, expression) if isinstance(member, Mapping) else [(expression, member)]


def _refuse_rename(member: Any, expression: str) -> None:
    for path, device in _list_devices(member, expression):
        if key_of(str(getattr(device, "name", ""))) != key_of(path):
            refuse_in_use(device, f"{device.name}: cannot become {path}")


def _refuse_removal(member: Any, expression: str) -> None:
    for path, device in _list_devices(member, expression):
        refuse_in_use(device, f"{path}: cannot be removed or replaced")


def _release(member: Any) -> None:
    for _, device in _list_devices(member, ""):
        release_device(device)


def _say(device: Any) -> str:
    where = getattr(getattr(device, "link", None), "device", "") or getattr(device, "prefix", "")
    return f"{type(device).__name__}  {where}".rstrip()
