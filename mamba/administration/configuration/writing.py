"""A snapshot as YAML or as dsconfig's JSON, and that JSON back."""

from __future__ import annotations

import json
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import yaml

from mamba.administration.configuration.database import POLLED, split_polling
from mamba.administration.configuration.entries import (
    ALIAS,
    ATTRIBUTE,
    CLASS_ATTRIBUTE,
    CLASS_PROPERTY,
    DEVICE,
    POLLING,
    PROPERTY,
    STARTER,
    Entry,
    Snapshot,
)
from mamba.administration.configuration.rules import ATTRIBUTE_KEYS
from mamba.administration.configuration.wanted import Wanted
from mamba.errors import ConfigurationError, find_nearest

Tree = dict[str, Any]


def choose_servers(live: Snapshot, patterns: tuple[str, ...]) -> Snapshot:
    """What belongs to servers whose SERVER/INSTANCE fits one of the patterns (`Motor/*`), and their classes.

    Raises:
        ConfigurationError: no server fits one of them.
    """
    devices = {e.subject: e for e in live.values() if e.kind == DEVICE}
    for pattern in patterns:
        known = sorted({entry.values[0] for entry in devices.values()})
        if not any(fnmatch(server.lower(), pattern.lower()) for server in known):
            remedy = find_nearest(pattern, known)
            raise ConfigurationError(f"{pattern}: no such server in the database", remedy=remedy)
    kept = {s for s, e in devices.items() if any(fnmatch(e.values[0].lower(), p.lower()) for p in patterns or ("*",))}
    servers = {devices[s].values[0].lower() for s in kept}
    kept |= {f"server {server}" for server in servers} | {f"class {devices[s].values[1].lower()}" for s in kept}
    return {key: e for key, e in live.items() if e.subject in kept - {"class dserver"} and not e.is_private}


def make_tree(snapshot: Snapshot) -> Tree:
    """Mappings as the YAML file has them, everything in the order of its names."""
    servers: Tree = {}
    classes: Tree = {}
    homes: dict[str, Tree] = {}
    starters = {e.key[1]: e for e in snapshot.values() if e.kind == STARTER}
    has_content = {e.subject for e in snapshot.values() if e.kind != DEVICE}
    entries = sorted(snapshot.values(), key=lambda e: (e.kind != DEVICE, *(n.lower() for n in e.names)))
    for entry in (e for e in entries if e.kind == DEVICE):
        server, class_name = entry.values
        if class_name == "DServer":
            if entry.subject in has_content:
                homes[entry.subject] = servers.setdefault(server, {})
            continue
        home = {"class": class_name}
        servers.setdefault(server, {}).setdefault("devices", {})[entry.names[0]] = home
        homes[entry.subject] = home
    for entry in entries:
        if entry.kind == ALIAS and entry.subject in homes:
            homes[entry.subject]["alias"] = entry.values[0]
    for entry in entries:
        if entry.kind in (CLASS_PROPERTY, CLASS_ATTRIBUTE):
            _place(classes.setdefault(entry.names[0], {}), entry)
        elif entry.kind in (PROPERTY, ATTRIBUTE, POLLING) and entry.subject in homes:
            _place(homes[entry.subject], entry)
    for server, home in servers.items():
        if starter := starters.get(server.lower()):
            home["starter"] = dict(zip(("host", "level"), starter.values, strict=True))
    parts = {"servers": servers, "classes": classes}
    return {name: dict(sorted(part.items(), key=lambda p: p[0].lower())) for name, part in parts.items() if part}


def _place(home: Tree, entry: Entry) -> None:
    value = entry.values[0] if len(entry.values) == 1 else list(entry.values)
    match entry.kind:
        case "property" | "class property":
            home.setdefault("properties", {})[entry.names[1]] = value
        case "polling":
            home.setdefault("polling", {}).setdefault(f"{entry.names[1]}s", {})[entry.names[2]] = value
        case _:
            attribute = home.setdefault("attributes", {}).setdefault(entry.names[1], {})
            if entry.names[2] not in ATTRIBUTE_KEYS:
                attribute = attribute.setdefault("others", {})
            attribute[entry.names[2]] = value


class _Dumper(yaml.SafeDumper):
    """Writes `3` and `0.50` without quotes: the reader takes every value by its text."""


def _represent(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    tag: str = (
        dumper.resolve(  # type: ignore[no-untyped-call]  # types-PyYAML leaves it out
            yaml.ScalarNode, text, (True, False)
        )
        if text
        else "tag:yaml.org,2002:str"
    )
    is_plain = tag.rpartition(":")[2] in ("int", "float", "bool")
    return dumper.represent_scalar(tag if is_plain else "tag:yaml.org,2002:str", text)


_Dumper.add_representer(str, _represent)


def dump_yaml(snapshot: Snapshot) -> str:
    """The text of a file; empty when there is nothing."""
    text = yaml.dump(make_tree(snapshot), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
    return str(text)


def dump_dsconfig(snapshot: Snapshot) -> str:
    """The same as dsconfig's JSON (its schema 2), which knows neither Starter nor the admin device's properties."""
    servers: Tree = {}
    homes: dict[str, Tree] = {}
    for entry in sorted(snapshot.values(), key=lambda e: (e.kind != DEVICE, e.key)):
        if entry.kind == DEVICE and entry.values[1] != "DServer":
            server, instance = entry.values[0].split("/", 1)
            of_class = servers.setdefault(server, {}).setdefault(instance, {}).setdefault(entry.values[1], {})
            homes[entry.subject] = of_class.setdefault(entry.names[0], {})
    classes: Tree = {}
    for entry in snapshot.values():
        if entry.kind in (CLASS_PROPERTY, CLASS_ATTRIBUTE):
            _place_dsconfig(classes.setdefault(entry.names[0], {}), entry)
        elif entry.kind != DEVICE and entry.subject in homes:
            _place_dsconfig(homes[entry.subject], entry)
    return json.dumps({"servers": servers, "classes": classes}, indent=4, sort_keys=True, ensure_ascii=False) + "\n"


def _place_dsconfig(home: Tree, entry: Entry) -> None:
    match entry.kind:
        case "alias":
            home["alias"] = entry.values[0]
        case "polling":
            lines = home.setdefault("properties", {}).setdefault(POLLED[entry.names[1]], [])
            lines += [entry.names[2], entry.values[0]]
        case "property" | "class property":
            home.setdefault("properties", {})[entry.names[1]] = list(entry.values)
        case _:
            attributes = home.setdefault("attribute_properties", {})
            attributes.setdefault(entry.names[1], {})[entry.names[2]] = list(entry.values)


def read_dsconfig(path: Path) -> Wanted:
    """Read dsconfig's JSON.

    Raises:
        ConfigurationError: it cannot be read, or is not of that form.
    """
    wanted = Wanted(str(path))
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        for server, instances in content.get("servers", {}).items():
            for instance, by_class in instances.items():
                wanted.servers.add(f"{server}/{instance}".lower())
                for class_name, devices in by_class.items():
                    for device, home in devices.items():
                        wanted.add(Entry(DEVICE, (device,), (f"{server}/{instance}", class_name)))
                        _read_home(wanted, device, home)
        for class_name, home in content.get("classes", {}).items():
            wanted.classes.add(class_name.lower())
            _read_home(wanted, class_name, home, is_class=True)
    except OSError as error:
        raise ConfigurationError(
            f"{path}: cannot be read", seen=error.strerror or str(error), remedy="see its name and its rights"
        ) from None
    except (ValueError, AttributeError, TypeError) as error:
        raise ConfigurationError(
            f"{path}: is not dsconfig's JSON", seen=str(error), remedy="check it with dsconfig's own 'json2tango'"
        ) from None
    return wanted


def _read_home(wanted: Wanted, owner: str, home: Tree, *, is_class: bool = False) -> None:
    if alias := home.get("alias"):
        wanted.add(Entry(ALIAS, (owner,), (alias,)))
    for name, lines in home.get("properties", {}).items():
        found = [Entry(CLASS_PROPERTY, (owner, name), (*lines,))] if is_class else split_polling(owner, name, (*lines,))
        for entry in found:
            wanted.add(entry)
    for attribute, values in home.get("attribute_properties", {}).items():
        for name, lines in values.items():
            wanted.add(Entry(CLASS_ATTRIBUTE if is_class else ATTRIBUTE, (owner, attribute, name), (*lines,)))
