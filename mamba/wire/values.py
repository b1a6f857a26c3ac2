"""The typed form in which Python values travel as strict JSON: no pickle, no eval, nothing executed on arrival.

*Plain* values (None, bool, str, finite float, int, list, dict with text keys) are themselves. Every other value is an
object with a `$type`::

    {"$type": "float", "value": "nan"}                   also "inf", "-inf"
    {"$type": "int", "hex": "-0x1f…"}                    more than 1000 bits
    {"$type": "complex", "real": 1.0, "imag": 2.0}
    {"$type": "bytes", "base64": "…"}
    {"$type": "datetime", "iso": "…"}                    also "date", "time"
    {"$type": "timedelta", "parts": [0, 1, 500000]}      days, seconds, microseconds
    {"$type": "path", "path": "…"}
    {"$type": "ndarray", "dtype": "<f8", "shape": [2], "base64": "…"}
    {"$type": "dataframe", "columns": [[name, values], …], "index": [name, values]}    values: an ndarray or a list
    {"$type": "series", "name": …, "values": …, "index": [name, values]}
    {"$type": "tuple", "items": […]}                     also "set", "frozenset"
    {"$type": "dict", "items": [[key, value], …]}        keys that are not text, or a key "$type"
    {"$type": "record", "class": "…", "fields": {…}}     dataclasses and named tuples; "text": how it shows itself
    {"$type": "device", "expression": "M.energy"}        a device, by the expression that reaches it
    {"$type": "repr", "class": "…", "text": "…"}         anything else, for people to read
"""

from __future__ import annotations

import base64
import dataclasses
import datetime
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mamba.errors import WireError
from mamba.wire.encoding import encode
from mamba.wire.tables import Table, join_frame, join_series

__all__ = ["DeviceName", "Record", "Repr", "Table", "decode", "encode"]


@dataclasses.dataclass(frozen=True, repr=False)
class DeviceName:
    """A device that stayed at the other side; `expression` reaches it in the console ("M.energy")."""

    expression: str

    def __repr__(self) -> str:
        return self.expression


@dataclasses.dataclass(frozen=True, repr=False)
class Record:
    """A dataclass or named tuple of the other side, as its fields; `text` is its own word for itself, if it has one."""

    class_name: str
    fields: dict[str, Any]
    text: str = dataclasses.field(default="", compare=False)

    def __hash__(self) -> int:
        return hash((self.class_name, tuple(self.fields)))

    def __repr__(self) -> str:
        return self.text or f"{self.class_name}({', '.join(f'{k}={v!r}' for k, v in self.fields.items())})"


@dataclasses.dataclass(frozen=True, repr=False)
class Repr:
    """A value that cannot travel, as the text the other side shows for it."""

    class_name: str
    text: str

    def __repr__(self) -> str:
        return self.text


def decode(data: Any) -> Any:
    """Turn the typed form back into values.

    Raises:
        WireError: an unknown `$type`, or one whose parts do not fit.
    """
    if isinstance(data, list):
        return [decode(item) for item in data]
    if not isinstance(data, dict):
        return data
    kind = data.get("$type")
    if kind is None:
        return {key: decode(item) for key, item in data.items()}
    decoder = _DECODERS.get(kind) if isinstance(kind, str) else None
    if decoder is None:
        raise WireError(f"value of $type {kind!r}: cannot be read", remedy="both sides must be of the same version")
    try:
        return decoder(data)
    except WireError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise WireError(f"value of $type {kind!r}: its parts do not fit", seen=f"{error}") from None


def _decode_array(data: dict[str, Any]) -> Any:
    import numpy  # only where arrays arrive: the session host passes them on unopened

    dtype = numpy.dtype(data["dtype"])
    if dtype.hasobject:
        raise ValueError(f"dtype {dtype} holds Python objects")
    flat = numpy.frombuffer(base64.b64decode(data["base64"], validate=True), dtype)
    array = flat.reshape(data["shape"])
    return array.copy() if array.shape else array[()]


def _decode_frame(data: dict[str, Any]) -> Any:
    columns = [(decode(name), decode(values)) for name, values in data["columns"]]
    return join_frame(columns, _decode_index(data))


def _decode_series(data: dict[str, Any]) -> Any:
    return join_series(decode(data["name"]), decode(data["values"]), _decode_index(data))


def _decode_index(data: dict[str, Any]) -> tuple[Any, Any]:
    name, labels = data["index"]
    return decode(name), decode(labels)


def _decode_float(data: dict[str, Any]) -> float:
    return {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}[data["value"]]


def _decode_timedelta(data: dict[str, Any]) -> datetime.timedelta:
    days, seconds, microseconds = data["parts"]
    return datetime.timedelta(days, seconds, microseconds)


def _decode_record(data: dict[str, Any]) -> Record:
    fields = {name: decode(item) for name, item in data["fields"].items()}
    return Record(data["class"], fields, str(data.get("text", "")))


_DECODERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "float": _decode_float,
    "int": lambda data: int(data["hex"], 16),
    "complex": lambda data: complex(decode(data["real"]), decode(data["imag"])),
    "bytes": lambda data: base64.b64decode(data["base64"], validate=True),
    "datetime": lambda data: datetime.datetime.fromisoformat(data["iso"]),
    "date": lambda data: datetime.date.fromisoformat(data["iso"]),
    "time": lambda data: datetime.time.fromisoformat(data["iso"]),
    "timedelta": _decode_timedelta,
    "path": lambda data: Path(data["path"]),
    "ndarray": _decode_array,
    "dataframe": _decode_frame,
    "series": _decode_series,
    "tuple": lambda data: tuple(map(decode, data["items"])),
    "set": lambda data: set(map(decode, data["items"])),
    "frozenset": lambda data: frozenset(map(decode, data["items"])),
    "dict": lambda data: {decode(key): decode(item) for key, item in data["items"]},
    "record": _decode_record,
    "device": lambda data: DeviceName(data["expression"]),
    "repr": lambda data: Repr(data["class"], data["text"]),
}
