"""YAML of plain data in which every number that JSON knows is a number, and every text stays one.

PyYAML reads `1e-7` as a text; YAML 1.2 and JSON read a number. Who writes a graph, or a parameter of it, means that.
"""

from __future__ import annotations

import re
from typing import Any

import yaml


class PlainLoader(yaml.SafeLoader):
    """Reads `1e-7` as a number."""


class PlainDumper(yaml.SafeDumper):
    """Writes the text "1e-7" in quotes, so that it stays one, and line separators of Unicode as escapes."""


def _write_text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if text.isprintable() else '"')


PlainDumper.add_representer(str, _write_text)


for _class in (PlainLoader, PlainDumper):
    _class.add_implicit_resolver(
        "tag:yaml.org,2002:float",
        re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+$"),
        list("-+.0123456789"),
    )


def load_plain(text: str) -> Any:
    """What the text holds.

    Raises:
        yaml.YAMLError: it is no YAML.
    """
    return yaml.load(text, Loader=PlainLoader)  # noqa: S506  # derived from SafeLoader


def dump_plain(data: Any, *, flow: bool | None = False) -> str:
    """As YAML that `load_plain` reads back.

    Args:
        data: mappings, lists, texts, numbers, truth values and None.
        flow: False: an item a line, as in a file; None: the innermost lists and mappings in one line each.
    """
    return yaml.dump(data, Dumper=PlainDumper, sort_keys=False, default_flow_style=flow, allow_unicode=True, width=100)
