"""Plain data as YAML or JSON text and back, so that every number, text and line is what was written."""

from __future__ import annotations

import json
import re
from typing import Any

import yaml

from mamba.errors import GraphInvalid


class _Loader(yaml.SafeLoader):
    """Reads `1e-7` as a number, as YAML 1.2 and JSON do; to PyYAML it is a text."""


class _Dumper(yaml.SafeDumper):
    """Writes the text "1e-7" in quotes, so that it stays one."""


for _class in (_Loader, _Dumper):
    _class.add_implicit_resolver(
        "tag:yaml.org,2002:float",
        re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+$"),
        list("-+.0123456789"),
    )


def read_text(text: str, label: str) -> tuple[Any, yaml.Node | None]:
    """What the text holds, and its tree of lines; None for JSON with characters that YAML does not take.

    Raises:
        GraphInvalid: neither JSON nor YAML; names the line.
    """
    try:
        raw, is_json = json.loads(text), True
    except ValueError:
        raw, is_json = None, False
    try:
        tree = yaml.compose(text, Loader=_Loader)
        return raw if is_json else yaml.load(text, Loader=_Loader), tree  # noqa: S506  # derived from SafeLoader
    except yaml.YAMLError as error:
        if is_json:
            return raw, None
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}" if mark else ""
        seen = getattr(error, "problem", None) or str(error)
        raise GraphInvalid(f"{label}{where}: is not YAML", seen=seen, remedy="mend that line") from None


def dump_text(data: dict[str, Any]) -> str:
    """As YAML that `read_text` reads back."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False)
