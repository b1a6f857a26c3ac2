"""The parameters of a node's kind, read from their JSON schema: how each is edited, shown and checked. No Qt.

*Switch*: true or false. *Choice*: one of a few values. *Number* and *text*: one line. *Structure*: anything else, such
as lists and regions, written in YAML or JSON. The schema's own limits are checked here, before anything is sent; what
several parameters must fulfil together only the console can tell.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import jsonschema
import yaml

from mamba.errors import BadValue
from mamba.plain_yaml import dump_plain, load_plain
from taurus_gui.command_text import number_text

Editor = Literal["switch", "choice", "number", "text", "structure"]

UNSET: Any = type("Unset", (), {"__repr__": lambda _: "UNSET"})()
"""Stands for a parameter that is not given and has no default that could be shown."""

_NOT_FINITE = re.compile(r"([+-]?)\.?(nan|inf)", re.IGNORECASE)
_LONGEST_NOTE, _LONGEST_ERROR = 60, 110
_LIMITS = (
    ("minimum", "at least"),
    ("exclusiveMinimum", "above"),
    ("maximum", "at most"),
    ("exclusiveMaximum", "below"),
)


@dataclass(frozen=True)
class Parameter:
    """One parameter.

    Attributes:
        name: as in the graph.
        editor: how it is edited.
        schema: of its value, when it has one; references are to its own `$defs`.
        doc: what it is for.
        units: of its value; "" when it has none.
        default: what it is when it is not given; UNSET when there is no default that could be shown.
        nullable: it may have no value, None.
        required: it has to be given.
        choices: the values of a choice.
    """

    name: str
    editor: Editor
    schema: dict[str, Any] = field(repr=False)
    doc: str = ""
    units: str = ""
    default: Any = UNSET
    nullable: bool = False
    required: bool = False
    choices: tuple[Any, ...] = ()

    @property
    def note(self) -> str:
        """`most pictures in a second · above 0, at most 25 · default 5.0`."""
        default = "" if self.default is UNSET or self.default is None else f"default {self._say_default()}"
        none = "may be left empty" if self.nullable and self.editor != "choice" else ""
        return " · ".join(part for part in (self.doc, self.limits, default, none) if part)

    @property
    def limits(self) -> str:
        """`at least 16, at most 1,048,576`; "" when there are none."""
        parts = [f"{words} {self.schema[key]:,}" for key, words in _LIMITS if key in self.schema]
        return ", ".join(parts).replace("-", "−")

    def _say_default(self) -> str:
        if self.editor == "switch":
            return "on" if self.default else "off"
        if self.editor != "structure":
            return self.write(self.default) or "empty"
        text = " ".join(json.dumps(self.default, ensure_ascii=False).split())
        return text if len(text) <= _LONGEST_NOTE else f"{text[:_LONGEST_NOTE]}…"

    def write(self, value: Any) -> str:
        """A value as the text of its editor; "" for none."""
        if value is UNSET or (value is None and self.editor != "choice"):
            return ""
        if self.editor == "choice":
            return "(none)" if value is None else str(value)
        if self.editor == "structure":
            return dump_plain(value, flow=None).removesuffix("...\n").rstrip("\n")
        return str(value)

    def read(self, text: str) -> Any:
        """What a text of its editor means, checked; UNSET for nothing where nothing need be given.

        Raises:
            BadValue: it cannot be read, or is beyond the schema's limits; the message starts with the name.
        """
        if not text.strip() and self.nullable:
            return None
        if self.editor == "number":
            return self.check(self._read_number(text))
        if self.editor == "structure":
            if not text.strip():
                return self._read_nothing()
            return self.check(self._read_structure(text))
        return self.check(text)

    def _read_nothing(self) -> Any:
        if self.required or self.default is not UNSET:
            raise BadValue(f"{self.name}: nothing is given", remedy="write [] or {} for an empty one")
        return UNSET

    def _read_number(self, text: str) -> int | float:
        special = _NOT_FINITE.fullmatch(text.strip())
        if special and self.schema["type"] == "number":
            return float("".join(special.groups()))
        literal = number_text(text, what=self.name)
        try:
            return int(literal)
        except ValueError:
            pass
        if self.schema["type"] == "integer":
            raise BadValue(f"{self.name}: not a whole number", seen=literal[:24], remedy="write digits, as in 21")
        return float(literal)

    def _read_structure(self, text: str) -> Any:
        try:
            value = load_plain(text)
            json.dumps(value)
        except yaml.YAMLError as error:
            mark, seen = getattr(error, "problem_mark", None), getattr(error, "problem", None) or "it cannot be read"
            where = f" in line {mark.line + 1}" if mark else ""
            raise BadValue(f"{self.name}: is not YAML{where}", seen=seen) from None
        except (TypeError, ValueError, RecursionError) as error:
            seen = str(error).splitlines()[0][:_LONGEST_ERROR]
            raise BadValue(f"{self.name}: is not plain data", seen=seen, remedy="write numbers and texts") from None
        return value

    def check(self, value: Any) -> Any:
        """The value itself, once it is seen to be within the schema's limits.

        Raises:
            BadValue: it is not; says which part of it.
        """
        if value is None and self.nullable:
            return value
        validator = jsonschema.Draft202012Validator(self.schema)
        error = jsonschema.exceptions.best_match(validator.iter_errors(value))
        if error is None:
            return value
        place = ".".join(str(step) for step in (self.name, *error.absolute_path))
        # what was seen stands first and may be long, what is wrong with it last
        said = error.message if len(error.message) <= _LONGEST_ERROR else f"…{error.message[-_LONGEST_ERROR:]}"
        raise BadValue(f"{place}: {said}")


def read_parameters(schema: Mapping[str, Any]) -> tuple[Parameter, ...]:
    """The parameters of a kind, in the order of its model; `schema` is `parameters` of `graph/kinds`."""
    definitions = schema.get("$defs") or {}
    required = schema.get("required") or ()
    return tuple(
        _read_parameter(name, raw, definitions, required=name in required)
        for name, raw in (schema.get("properties") or {}).items()
    )


def _read_parameter(name: str, raw: Mapping[str, Any], definitions: Mapping[str, Any], *, required: bool) -> Parameter:
    branches = [branch for branch in raw.get("anyOf") or () if branch.get("type") != "null"]
    nullable = len(branches) < len(raw.get("anyOf") or ())
    value: dict[str, Any] = {"anyOf": branches} if len(branches) > 1 else dict(branches[0] if branches else raw)
    editor, choices = _find_editor(value, nullable=nullable)
    if definitions:
        value["$defs"] = dict(definitions)
    return Parameter(
        name,
        editor,
        value,
        doc=str(raw.get("description") or ""),
        units=str(raw.get("units") or ""),
        default=raw.get("default", UNSET),
        nullable=nullable,
        required=required,
        choices=choices,
    )


def _find_editor(value: Mapping[str, Any], *, nullable: bool) -> tuple[Editor, tuple[Any, ...]]:
    none = (None,) if nullable else ()
    if "enum" in value or "const" in value:
        return "choice", (*none, *value.get("enum", (value.get("const"),)))
    if value.get("type") == "boolean":
        return ("choice", (*none, True, False)) if nullable else ("switch", ())
    by_type: dict[Any, Editor] = {"integer": "number", "number": "number", "string": "text"}
    kind = value.get("type")
    return by_type.get(kind if isinstance(kind, str) else None, "structure"), ()


def find_changes(parameters: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Of `values` those that are others than in `parameters`; NaN is NaN, and 1 is not True."""
    return {name: value for name, value in values.items() if not _is_same(parameters.get(name, UNSET), value)}


def _is_same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    if isinstance(one, bool) is not isinstance(other, bool):
        return False
    return bool(one == other)
