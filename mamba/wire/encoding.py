"""How any Python value gets its typed form (`mamba.wire.values` shows the forms); within bounds, whatever it holds."""

from __future__ import annotations

import base64
import dataclasses
import datetime
import enum
import math
import sys
from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Any

from mamba.wire.tables import is_table, split_table

MAX_BYTES = 32 * 2**20
"""Texts, bytes and arrays of one value together; what exceeds it travels as a `repr` that says so."""
MAX_ITEMS = 500_000
"""Items of all containers of one value together."""
MAX_DEPTH = 60
"""Containers within containers."""
_MAX_REPR_CHARS = 20_000
_MAX_PLAIN_INT_BITS = 1000
_PLAIN = frozenset((float, bool, type(None)))
_SMALL = 1000
_LARGE_INT = 2**63


def encode(value: Any) -> Any:
    """Turn any value into what `json.dumps(…, allow_nan=False)` accepts; never raises, whatever the value does."""
    return _Encoder().encode(value, 0)


def is_plain(value: Any, levels: int = 4) -> bool:
    """Whether `json.dumps` alone gives the typed form, but for NaN and infinities: small, plain, in few levels.

    Most notices are; looking takes a tenth of encoding them.
    """
    kind = type(value)
    if kind in _PLAIN:
        return True
    if kind is str:
        return len(value) <= _SMALL
    if kind is int:
        return bool(-_LARGE_INT < value < _LARGE_INT)
    if kind is list:
        return levels > 0 and len(value) <= _SMALL and all(is_plain(item, levels - 1) for item in value)
    return kind is dict and levels > 0 and len(value) <= _SMALL and _has_plain_items(value, levels - 1)


def _has_plain_items(value: dict[Any, Any], levels: int) -> bool:
    for key, item in value.items():
        if type(key) is not str or key == "$type":
            return False
        if type(item) not in _PLAIN and not is_plain(item, levels):
            return False
    return True


class _Encoder:
    """One pass over one value, with what is left of the bounds."""

    def __init__(self) -> None:
        self._items_left = MAX_ITEMS
        self._bytes_left = MAX_BYTES
        self._path: set[int] = set()

    def encode(self, value: Any, depth: int) -> Any:
        if value is None or value is True or value is False:
            return value
        try:
            encoder = _ENCODERS.get(type(value)) or _find_encoder(value)
            return encoder(self, value, depth)
        except Exception:  # noqa: BLE001  # a class that breaks its base's rules; whoever waits must get an answer
            return _encode_other(self, value, depth)

    def take(self, *, items: int = 0, size: int = 0) -> bool:
        """Count against the bounds; False when the value does not fit any more."""
        if items > self._items_left or size > self._bytes_left:
            return False
        self._items_left -= items
        self._bytes_left -= size
        return True

    def container(self, value: Any, depth: int, build: Callable[[], Any]) -> Any:
        """Encode a container unless it contains itself, is too deep or too large."""
        if id(value) in self._path:
            return _as_repr(value, "<contains itself>")
        if depth >= MAX_DEPTH:
            return _as_repr(value, f"<{type(value).__name__} nested deeper than {MAX_DEPTH}>")
        if not self.take(items=len(value)):
            return _too_large(value, f"{len(value)} items")
        self._path.add(id(value))
        try:
            return build()
        finally:
            self._path.discard(id(value))


def _too_large(value: Any, size: str) -> dict[str, Any]:
    return _as_repr(value, f"<{type(value).__name__} of {size}: too large to send>")


def _as_repr(value: Any, text: str) -> dict[str, Any]:
    kind = type(value)
    return {"$type": "repr", "class": f"{kind.__module__}.{kind.__qualname__}", "text": text}


def _encode_text(encoder: _Encoder, value: str, depth: int) -> Any:
    if not encoder.take(size=len(value)):
        return _too_large(value, f"{len(value)} characters")
    return str(value)


def _encode_int(encoder: _Encoder, value: int, depth: int) -> Any:
    plain = int(value)
    return plain if plain.bit_length() <= _MAX_PLAIN_INT_BITS else {"$type": "int", "hex": hex(plain)}


def _encode_float(encoder: _Encoder, value: float, depth: int) -> Any:
    plain = float(value)
    return plain if math.isfinite(plain) else {"$type": "float", "value": str(plain)}


def _encode_complex(encoder: _Encoder, value: complex, depth: int) -> Any:
    parts = [_encode_float(encoder, part, depth) for part in (value.real, value.imag)]
    return {"$type": "complex", "real": parts[0], "imag": parts[1]}


def _encode_bytes(encoder: _Encoder, value: bytes | bytearray | memoryview, depth: int) -> Any:
    data = bytes(value)
    if not encoder.take(size=len(data)):
        return _too_large(value, f"{len(data)} bytes")
    return {"$type": "bytes", "base64": base64.b64encode(data).decode()}


def _encode_moment(encoder: _Encoder, value: datetime.date | datetime.time, depth: int) -> Any:
    if _is_finer(value):
        return _encode_array(encoder, value.to_datetime64().reshape(()), depth)  # type: ignore[union-attr]  # pandas'
    kind = next(k for k in (datetime.datetime, datetime.date, datetime.time) if isinstance(value, k))
    return {"$type": kind.__name__, "iso": value.isoformat()}


def _encode_timedelta(encoder: _Encoder, value: datetime.timedelta, depth: int) -> Any:
    if _is_finer(value):
        return _encode_array(encoder, value.to_timedelta64().reshape(()), depth)  # type: ignore[attr-defined]  # pandas'
    # three integers: total_seconds() rounds spans of more than 270 years
    return {"$type": "timedelta", "parts": [value.days, value.seconds, value.microseconds]}


def _is_finer(value: Any) -> bool:
    """Whether it is a pandas time that no Python type holds: with nanoseconds, or NaT."""
    in_utc = getattr(value, "tzinfo", None) is None
    return bool(value != value or (in_utc and (getattr(value, "nanosecond", 0) or getattr(value, "nanoseconds", 0))))


def _encode_path(encoder: _Encoder, value: PurePath, depth: int) -> Any:
    return {"$type": "path", "path": str(value)}


def _encode_list(encoder: _Encoder, value: list[Any], depth: int) -> Any:
    return encoder.container(value, depth, lambda: [encoder.encode(item, depth + 1) for item in value])


def _encode_items(encoder: _Encoder, value: Any, depth: int) -> Any:
    kind = next(k.__name__ for k in (tuple, frozenset, set) if isinstance(value, k))

    def build() -> Any:
        return {"$type": kind, "items": [encoder.encode(item, depth + 1) for item in value]}

    return encoder.container(value, depth, build)


def _encode_dict(encoder: _Encoder, value: Mapping[Any, Any], depth: int) -> Any:
    if all(type(key) is str for key in value) and "$type" not in value:
        if not encoder.take(size=sum(map(len, value))):
            return _too_large(value, f"{len(value)} items")
        return encoder.container(value, depth, lambda: {k: encoder.encode(v, depth + 1) for k, v in value.items()})

    def build() -> Any:
        pairs = [[encoder.encode(k, depth + 1), encoder.encode(v, depth + 1)] for k, v in value.items()]
        return {"$type": "dict", "items": pairs}

    return encoder.container(value, depth, build)


def _encode_record(encoder: _Encoder, value: Any, depth: int) -> Any:
    if isinstance(value, tuple):
        fields = dict(zip(value._fields, value, strict=True))  # type: ignore[attr-defined]  # a named tuple, by its caller
    else:
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if hasattr(value, f.name)}

    def build() -> Any:
        encoded = {name: encoder.encode(item, depth + 1) for name, item in fields.items()}
        record = {"$type": "record", "class": type(value).__qualname__, "fields": encoded}
        return {**record, "text": _make_text(encoder, value)} if _shows_itself(value) else record

    if id(value) in encoder._path:
        return _as_repr(value, "<contains itself>")
    encoder._path.add(id(value))
    try:
        return encoder.container(fields, depth, build)
    finally:
        encoder._path.discard(id(value))


def _shows_itself(value: Any) -> bool:
    """Whether a dataclass has a `__repr__` of its own: the one that is made for it is wrapped."""
    shown: Any = type(value).__repr__
    return not isinstance(value, tuple) and shown is not object.__repr__ and not hasattr(shown, "__wrapped__")


def _encode_enum(encoder: _Encoder, value: enum.Enum, depth: int) -> Any:
    if isinstance(value.value, (str, int, float)):
        return encoder.encode(value.value, depth)
    return _encode_other(encoder, value, depth)


def _encode_array(encoder: _Encoder, value: Any, depth: int) -> Any:
    # the data below the mask of a masked array are no data
    if value.dtype.hasobject or value.dtype.fields is not None or hasattr(value, "mask"):
        return _encode_other(encoder, value, depth)
    if not encoder.take(size=value.nbytes):
        return _too_large(value, f"shape {value.shape}, {value.dtype}")
    data = base64.b64encode(value.tobytes()).decode()
    return {"$type": "ndarray", "dtype": value.dtype.str, "shape": list(value.shape), "base64": data}


def _encode_numpy_scalar(encoder: _Encoder, value: Any, depth: int) -> Any:
    if value.dtype.kind in "mM":  # no Python type holds nanoseconds
        return _encode_array(encoder, value.reshape(()), depth)
    plain = value.item()
    if type(plain) is type(value):  # longdouble and clongdouble stay what they are
        plain = complex(value) if value.dtype.kind == "c" else float(value)
    return encoder.encode(plain, depth)


def _encode_table(encoder: _Encoder, value: Any, depth: int) -> Any:
    parts = split_table(value)
    if parts is None:
        return _encode_other(encoder, value, depth)
    size = value.memory_usage(index=True, deep=False)
    if value.size > encoder._items_left or (size if value.ndim == 1 else size.sum()) > encoder._bytes_left:
        return _too_large(value, f"shape {value.shape}")
    return {key: part if key == "$type" else encoder.encode(part, depth + 1) for key, part in parts.items()}


def _encode_device(encoder: _Encoder, value: Any, depth: int) -> Any:
    return {"$type": "device", "expression": value.name}


def _encode_other(encoder: _Encoder, value: Any, depth: int) -> Any:
    return _as_repr(value, _make_text(encoder, value))


def _make_text(encoder: _Encoder, value: Any) -> str:
    try:
        text = repr(value)
    except Exception as error:  # noqa: BLE001  # a repr is somebody else's code; the value still gets its place
        text = f"<{type(value).__name__}: its repr raised {type(error).__name__}>"
    if len(text) > _MAX_REPR_CHARS:
        text = text[:_MAX_REPR_CHARS] + "…"
    return text if encoder.take(size=len(text)) else f"<{type(value).__name__}: too large to send>"


_Encode = Callable[[_Encoder, Any, int], Any]
_ENCODERS: dict[type, _Encode] = {
    str: _encode_text,
    int: _encode_int,
    float: _encode_float,
    complex: _encode_complex,
    bytes: _encode_bytes,
    bytearray: _encode_bytes,
    memoryview: _encode_bytes,
    list: _encode_list,
    tuple: _encode_items,
    set: _encode_items,
    frozenset: _encode_items,
    dict: _encode_dict,
    datetime.timedelta: _encode_timedelta,
    datetime.time: _encode_moment,
    datetime.date: _encode_moment,
    PurePath: _encode_path,
}


def _find_encoder(value: Any) -> _Encode:
    """The form of a value whose exact type has none: by what it is, then by what it derives from."""
    if isinstance(value, enum.Enum):
        return _encode_enum
    if isinstance(value, type):
        return _encode_other
    numpy = sys.modules.get("numpy")  # a value of numpy cannot be here before numpy is; the import costs 20 MB
    if numpy is not None and isinstance(value, numpy.ndarray):
        return _encode_array
    if numpy is not None and isinstance(value, numpy.generic):
        return _encode_numpy_scalar
    if is_table(value):
        return _encode_table
    if _is_device(value):
        return _encode_device
    if dataclasses.is_dataclass(value) or (isinstance(value, tuple) and hasattr(value, "_fields")):
        return _encode_record
    return next((form for base, form in _ENCODERS.items() if isinstance(value, base)), _encode_other)


def _is_device(value: Any) -> bool:
    """Whether it reads like an ophyd or bluesky device; a mapping with such keys (an AttrDict) is none."""
    if isinstance(value, Mapping):
        return False
    try:
        return callable(getattr(value, "read", None)) and callable(getattr(value, "describe", None)) and _named(value)
    except Exception:  # noqa: BLE001  # a property is somebody else's code; the value is shown by its repr then
        return False


def _named(value: Any) -> bool:
    return isinstance(getattr(value, "name", None), str) and bool(value.name)
