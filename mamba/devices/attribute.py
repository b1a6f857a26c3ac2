"""What a Tango attribute says of itself, and one value read from it: plain data, no Tango here.

*Read part*: the measured value. *Set part*: what was last written (Tango's `w_value`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Dtype = Literal["number", "integer", "boolean", "string", "array"]

_NUMPY = {
    "DevBoolean": "|b1",
    "DevUChar": "|u1",
    "DevShort": "<i2",
    "DevUShort": "<u2",
    "DevLong": "<i4",
    "DevULong": "<u4",
    "DevLong64": "<i8",
    "DevULong64": "<u8",
    "DevFloat": "<f4",
    "DevDouble": "<f8",
}
"""Tango's numbers as NumPy has them (Tango C++ `CmdArgType`)."""


@dataclass(frozen=True)
class Reading:
    """One reading: `value` and `set_value` (None where nothing can be set), when (`time_s`, Unix) and its quality."""

    value: Any
    set_value: Any
    time_s: float
    quality: str = "VALID"


@dataclass(frozen=True)
class AttributeInfo:
    """Configuration of one attribute.

    `low`, `high` are the limits of what may be written, None where there is none; `format` is Tango's ("%8.4f");
    `labels` name the values of an enum; `rank` is 0 for a scalar, 1 for a spectrum, 2 for an image. `alarm` and
    `warning` are the values (below, above) at which the attribute's quality becomes ALARM or WARNING. `expert`
    is Tango's display level.
    """

    name: str
    unit: str
    description: str
    format: str
    writable: bool
    low: float | None
    high: float | None
    labels: tuple[str, ...]
    type_name: str
    rank: int
    max_shape: tuple[int, ...]
    readback_tolerance: float | None
    alarm: tuple[float | None, float | None] = (None, None)
    warning: tuple[float | None, float | None] = (None, None)
    expert: bool = False

    @property
    def dtype(self) -> Dtype:
        """The type as documents name it."""
        if self.rank:
            return "array"
        if self.labels or self.type_name in ("DevString", "DevState", "DevEncoded"):
            return "string"
        if self.type_name == "DevBoolean":
            return "boolean"
        return "number" if self.type_name in ("DevDouble", "DevFloat") else "integer"

    @property
    def dtype_numpy(self) -> str | None:
        """NumPy's name of the type ("<f8"); None for texts, states, enums (recorded by label) and encoded bytes."""
        return _NUMPY.get(self.type_name)

    @property
    def precision(self) -> int | None:
        """Decimals to show, from `format`; None where the format names none."""
        digits = self.format.rpartition(".")[2].rstrip("fFeEgG")
        return int(digits) if "." in self.format and digits.isdigit() else None

    def show(self, value: Any) -> str:
        """`value` with as many digits as distinguish it, and its unit."""
        text = f"{value:.10g}" if isinstance(value, float) else str(value)
        return f"{text} {self.unit}".rstrip()


def info_of(config: Any, *, type_name: str) -> AttributeInfo:
    """The configuration out of Tango's `AttributeInfoEx`, whose data type is a number; `type_name` is its name."""
    rank = {"SCALAR": 0, "SPECTRUM": 1}.get(config.data_format.name, 2)
    return AttributeInfo(
        name=config.name,
        unit="" if config.unit in ("", "No unit") else config.unit,
        description="" if config.description == "No description" else config.description,
        format="" if config.format == "Not specified" else config.format,
        writable=config.writable.name in ("WRITE", "READ_WRITE"),
        low=_number(config.min_value),
        high=_number(config.max_value),
        labels=tuple(config.enum_labels),
        type_name=type_name,
        rank=rank,
        max_shape=((), (config.max_dim_x,), (config.max_dim_y, config.max_dim_x))[rank],
        readback_tolerance=_number(config.alarms.delta_val),
        alarm=(_number(config.alarms.min_alarm), _number(config.alarms.max_alarm)),
        warning=(_number(config.alarms.min_warning), _number(config.alarms.max_warning)),
        expert=config.disp_level.name == "EXPERT",
    )


@dataclass(frozen=True)
class CommandInfo:
    """One command: types by Tango's name ("DevDouble", "DevVoid" for none), what they mean, and the display level."""

    name: str
    in_type: str
    out_type: str
    in_doc: str
    out_doc: str
    expert: bool

    @property
    def takes_argument(self) -> bool:
        """Whether it must be given one."""
        return self.in_type != "DevVoid"


def command_of(config: Any) -> CommandInfo:
    """The description out of Tango's `CommandInfo`."""

    def said(text: str) -> str:
        return "" if text in ("Uninitialised", "N/A", "-") else " ".join(text.split())

    return CommandInfo(
        name=config.cmd_name,
        in_type=config.in_type.name,
        out_type=config.out_type.name,
        in_doc=said(config.in_type_desc),
        out_doc=said(config.out_type_desc),
        expert=config.disp_level.name == "EXPERT",
    )


def plain(value: Any, labels: tuple[str, ...] = ()) -> Any:
    """`value` as Python has it: state and enum by name, NumPy scalars as numbers, arrays of numbers as they are."""
    if labels and isinstance(value, (np.ndarray, tuple, list)):
        return [plain(item, labels) for item in value]
    if isinstance(value, (tuple, list)) and value and isinstance(getattr(value[0], "name", None), str):
        return [item.name for item in value]  # a spectrum of states
    if labels and isinstance(value, (int, np.integer)):
        return labels[value] if 0 <= value < len(labels) else str(value)
    if isinstance(value, np.generic):
        return value.item()
    name = getattr(value, "name", None)
    return name if isinstance(name, str) else value


def is_close(seen: Any, wanted: Any, tolerance: float | None) -> bool:
    """Whether a reading is what was written: numbers within `tolerance` (or one part in a million), others equal."""
    if isinstance(seen, (int, float)) and isinstance(wanted, (int, float)) and not isinstance(seen, bool):
        return math.isclose(seen, wanted, rel_tol=1e-6, abs_tol=1e-12 if tolerance is None else tolerance)
    return bool(np.all(np.asarray(seen) == np.asarray(wanted)))


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
