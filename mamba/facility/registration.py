"""What must change in the Tango database so that it holds what the profile wants: a pure comparison of three sides.

*Wanted*: what the profile says now. *Remembered*: what it said when it was last registered. *Found*: what the database
holds. An administrator's change (found differs from remembered) is kept until the profile itself changes that value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypedDict

from mamba.errors import FacilityError

Wanted = TypedDict("Wanted", {"server": str, "class": str, "alias": str, "properties": dict[str, list[str]]})
"""One device: its server, its class, its alias ("" for none) and its properties as the database stores them."""
Registered = Wanted


@dataclass
class Registration:
    """Changes to the database, by device name in lower case, as the database has it."""

    add: list[tuple[str, str, str]] = field(default_factory=list)
    remove: list[str] = field(default_factory=list)
    write: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    delete: dict[str, list[str]] = field(default_factory=dict)
    alias: dict[str, str] = field(default_factory=dict)
    remember: dict[str, Wanted] = field(default_factory=dict)

    def describe(self) -> list[str]:
        """One line per change."""
        lines = [f"{device}: added to {server} as {class_name}" for device, server, class_name in self.add]
        lines += [f"{device}: removed, the profile has it no more" for device in self.remove]
        lines += [f"{device}: {name} = {value}" for device, new in self.write.items() for name, value in new.items()]
        lines += [f"{device}: {name} deleted" for device, names in self.delete.items() for name in names]
        return lines + [f"{device}: alias {alias}" for device, alias in self.alias.items()]


def store_value(value: Any) -> list[str]:
    """A property's value as the database stores it: a list of strings; true and false in lower case."""
    items = value if isinstance(value, list | tuple) else [value]
    return [str(item).lower() if isinstance(item, bool) else str(item) for item in items]


def plan_registration(
    servers: Mapping[str, Mapping[str, Wanted]],
    found: Mapping[str, Registered | None],
    remembered: Mapping[str, Wanted],
) -> Registration:
    """Compare the three sides.

    Raises:
        FacilityError: a device belongs to a server that this profile never registered.
    """
    plan = Registration()
    for devices in servers.values():
        for name, wanted in devices.items():
            device = name.lower()
            plan.remember[device] = wanted
            _compare_device(plan, device, wanted, found.get(device), remembered.get(device))
    plan.remove = [device for device in remembered if device not in plan.remember and found.get(device)]
    return plan


def _compare_device(
    plan: Registration, device: str, wanted: Wanted, found: Registered | None, before: Wanted | None
) -> None:
    same = found is not None and _is_same_place(found, wanted)
    if found is not None and not same and (before is None or not _is_same_place(found, before)):
        raise FacilityError(
            f"{device}: belongs to another server in the Tango database",
            seen=f"{found['server']}, class {found['class']}; the profile says {wanted['server']}, {wanted['class']}",
            remedy="rename it in the profile, or delete it in the database",
        )
    if not same:
        plan.add.append((device, wanted["server"], wanted["class"]))
    properties = found["properties"] if found else {}
    writes, deletes = _compare_properties(wanted["properties"], properties, before["properties"] if before else {})
    if writes:
        plan.write[device] = writes
    if deletes:
        plan.delete[device] = deletes
    alias = found["alias"] if found else ""
    if wanted["alias"] and wanted["alias"] != alias and (not alias or not before or before["alias"] != wanted["alias"]):
        plan.alias[device] = wanted["alias"]


def _is_same_place(one: Wanted, other: Wanted) -> bool:
    return one["server"].lower() == other["server"].lower() and one["class"] == other["class"]


def _compare_properties(
    wanted: Mapping[str, list[str]], found: Mapping[str, list[str]], before: Mapping[str, list[str]]
) -> tuple[dict[str, list[str]], list[str]]:
    """What to write and what to delete; Tango ignores the case of property names."""
    held = {name.lower(): value for name, value in found.items()}
    known = {name.lower(): value for name, value in before.items()}
    names = {name.lower() for name in wanted}
    writes = {}
    for name, value in wanted.items():
        now, last = held.get(name.lower()), known.get(name.lower())
        if now is None or (now != value and last is not None and last != value):
            writes[name] = value
    deletes = [name for name, value in before.items() if name.lower() not in names and held.get(name.lower()) == value]
    return writes, deletes
