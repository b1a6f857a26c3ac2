"""Plain data from YAML or JSON text, with its lines."""

from __future__ import annotations

import json
from typing import Any

import yaml

from mamba.errors import GraphInvalid
from mamba.plain_yaml import PlainLoader, load_plain


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
        tree = yaml.compose(text, Loader=PlainLoader)
        return raw if is_json else load_plain(text), tree
    except yaml.YAMLError as error:
        if is_json:
            return raw, None
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}" if mark else ""
        seen = getattr(error, "problem", None) or str(error)
        raise GraphInvalid(f"{label}{where}: is not YAML", seen=seen, remedy="mend that line") from None
