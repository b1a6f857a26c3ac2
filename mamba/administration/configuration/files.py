"""A configuration as YAML: read node by node, so that every value keeps its text and every message its line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import yaml

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
    make_key,
)
from mamba.administration.configuration.rules import ATTRIBUTE_KEYS, TYPES
from mamba.administration.configuration.wanted import Wanted
from mamba.errors import ConfigurationError, find_nearest

_Node = yaml.Node | None


def read_yaml(path: Path) -> Wanted:
    """Read a file.

    Raises:
        ConfigurationError: it cannot be read, is not YAML, has an unknown key (names the nearest) or a wrong value.
    """
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError) as error:
        seen = getattr(error, "strerror", None) or str(error)
        raise ConfigurationError(f"{path}: cannot be read", seen=seen, remedy="see its name and its rights") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path} line {mark.line + 1}" if mark else str(path)
        seen = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise ConfigurationError(f"{where}: is not YAML", seen=seen, remedy="mend that line") from None
    return _Reader(path).read(root)


class _Reader:
    """Walks one file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._wanted = Wanted(str(path))

    def read(self, root: _Node) -> Wanted:
        for name, line, node in self._pairs(root, ("servers", "classes")):
            for key, at, child in self._pairs(node):
                (self._read_server if name == "servers" else self._read_class)(key, at, child)
            if not isinstance(node, yaml.MappingNode):
                raise self._refuse(line, f"{name!r} is empty", remedy="write names below it, or leave it out")
        return self._wanted

    def _read_server(self, server: str, line: int, node: _Node) -> None:
        if server.count("/") != 1 or not all(server.split("/")):
            raise self._refuse(line, f"{server!r} is no server", remedy="write SERVER/INSTANCE")
        self._wanted.servers.add(server.lower())
        for key, at, child in self._pairs(node, ("devices", "starter", "properties")):
            if key == "starter":
                self._read_starter(server, at, child)
            elif key == "properties":
                self._add(Entry(DEVICE, (f"dserver/{server}",), (server, "DServer")), at)
                self._read_lines(PROPERTY, (f"dserver/{server}",), child)
            else:
                for device, where, body in self._pairs(child):
                    self._read_device(server, device, where, body)

    def _read_device(self, server: str, device: str, line: int, node: _Node) -> None:
        if device.count("/") != 2 or not all(device.split("/")) or any(map(str.isspace, device)):
            raise self._refuse(line, f"{device!r} is no device", remedy="write DOMAIN/FAMILY/MEMBER")
        if make_key(DEVICE, device) in self._wanted.entries:
            raise self._refuse(line, f"{device!r} stands twice", remedy="keep one of them")
        if _is_null(node):
            self._wanted.removed.add(make_key(DEVICE, device))
            return
        class_name = ""
        for key, at, child in self._pairs(node, ("class", "alias", "properties", "attributes", "polling")):
            match key:
                case "class":
                    class_name = self._text(at, child)
                case "alias":
                    self._read_value(ALIAS, (device,), at, child)
                case "properties":
                    self._read_lines(PROPERTY, (device,), child)
                case "attributes":
                    self._read_attributes(ATTRIBUTE, device, child)
                case _:
                    self._read_polling(device, child)
        if not class_name:
            raise self._refuse(line, f"{device}: 'class' is missing", remedy="add its Tango class")
        self._add(Entry(DEVICE, (device,), (server, class_name)), line)

    def _read_class(self, name: str, line: int, node: _Node) -> None:
        self._wanted.classes.add(name.lower())
        for key, _, child in self._pairs(node, ("properties", "attributes", "types")):
            if key == "properties":
                self._read_lines(CLASS_PROPERTY, (name,), child)
            elif key == "attributes":
                self._read_attributes(CLASS_ATTRIBUTE, name, child)
            else:
                for prop, at, value in self._pairs(child):
                    declared = self._text(at, value)
                    if declared not in TYPES:
                        raise self._refuse(at, f"unknown type {declared!r}", remedy=find_nearest(declared, list(TYPES)))
                    self._wanted.types[name.lower(), prop.lower()] = declared

    def _read_attributes(self, kind: str, owner: str, node: _Node) -> None:
        for attribute, at, body in self._pairs(node):
            if _is_null(body):
                self._wanted.removed.add(make_key(kind, owner, attribute, "*"))
                self._wanted.lines[make_key(kind, owner, attribute, "*")] = at
                continue
            for key, line, child in self._pairs(body, (*ATTRIBUTE_KEYS, "others")):
                if key == "others":
                    self._read_lines(kind, (owner, attribute), child)
                else:
                    self._read_value(kind, (owner, attribute, key), line, child)

    def _read_polling(self, device: str, node: _Node) -> None:
        for key, _, child in self._pairs(node, ("attributes", "commands")):
            for name, at, value in self._pairs(child):
                self._read_value(POLLING, (device, key.removesuffix("s"), name), at, value)

    def _read_starter(self, server: str, line: int, node: _Node) -> None:
        if _is_null(node):
            self._wanted.removed.add(make_key(STARTER, server))
            return
        said = {key: self._text(at, child) for key, at, child in self._pairs(node, ("host", "level"))}
        if "host" not in said or not said.get("level", "0").isdigit():
            raise self._refuse(line, f"{server}: 'starter' cannot be used", remedy="write {host: NAME, level: NUMBER}")
        self._add(Entry(STARTER, (server,), (said["host"], said.get("level", "0"))), line)

    def _read_lines(self, kind: str, owner: tuple[str, ...], node: _Node) -> None:
        for name, line, child in self._pairs(node):
            self._read_value(kind, (*owner, name), line, child)

    def _read_value(self, kind: str, names: tuple[str, ...], line: int, node: _Node) -> None:
        if _is_null(node):
            self._wanted.removed.add(make_key(kind, *names))
            self._wanted.lines[make_key(kind, *names)] = line
        elif isinstance(node, yaml.SequenceNode):
            if not node.value:
                raise self._refuse(line, f"{names[-1]!r}: a list without lines", remedy="write null to remove it")
            self._add(Entry(kind, names, tuple(self._text(line, item) for item in node.value)), line)
        else:
            self._add(Entry(kind, names, (self._text(line, node),)), line)

    def _add(self, entry: Entry, line: int) -> None:
        self._wanted.add(entry, line)

    def _text(self, line: int, node: _Node) -> str:
        if not isinstance(node, yaml.ScalarNode) or _is_null(node):
            raise self._refuse(line, "a text or a number is wanted here", remedy="write one value")
        return str(node.value)

    def _pairs(self, node: _Node, known: tuple[str, ...] = ()) -> Iterator[tuple[str, int, yaml.Node]]:
        """Key, line and value of a mapping; `known`: the keys that there are."""
        if node is None or _is_null(node):
            return
        if not isinstance(node, yaml.MappingNode):
            raise self._refuse(
                node.start_mark.line + 1, "names with values are wanted here", remedy="write NAME: VALUE"
            )
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            name = str(key.value)
            if known and name not in known:
                raise self._refuse(line, f"unknown key {name!r}", remedy=find_nearest(name, list(known)))
            if name.lower() in seen:
                raise self._refuse(line, f"{name!r} stands twice", seen=f"first on line {seen[name.lower()]}")
            seen[name.lower()] = line
            yield name, line, value

    def _refuse(self, line: int, what: str, *, seen: str = "", remedy: str = "") -> ConfigurationError:
        return ConfigurationError(f"{self._path} line {line}: {what}", seen=seen, remedy=remedy)


def _is_null(node: _Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"
