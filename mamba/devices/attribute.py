"""What a Tango attribute says of itself, and one value read from it: plain data, no Tango here.

*Read part*: the measured value. *Set part*: what was last written (Tango's `w_value`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Dtype = Literal["number", "integer", "boolean", "string", "array"]


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
    `labels` name the values of an enum; `rank` is 0 for a scalar, 1 for a spectrum, 2 for an image.
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
    )


def plain(value: Any, labels: tuple[str, ...] = ()) -> Any:
    """`value` as Python has it: state and enum by name, NumPy scalars as numbers, arrays as they are."""
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
