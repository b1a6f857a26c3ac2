"""The columns of one stream of events: a field per recorded key, growing as points come.

Points wait in memory and go to the file together; the writer decides when.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np

from mamba.devices.names import expression_of
from mamba.scans.nexus.file import append_rows, describe_field, make_column, make_group

log = logging.getLogger(__name__)

TIME = "time"
"""Field with the time of each point, seconds since the start of the run."""


class StreamColumns:
    """The fields of one stream in `entry/streams/<name>`.

    Attributes:
        fields: recorded key → growing field; keys whose values stand in another file are not among them.
        count: points in the file.
    """

    def __init__(self, entry: Any, descriptor: Mapping[str, Any], *, start_time: float, start_text: str) -> None:
        inside = {key: kind for key, kind in descriptor["data_keys"].items() if not kind.get("external")}
        make_group(entry, "streams", "NXcollection")
        self.group = make_group(entry, f"streams/{descriptor['name']}", "NXcollection")
        self.fields: dict[str, Any] = {}
        self.count = 0
        self._start_time = start_time
        self._waiting: list[tuple[float, Mapping[str, Any]]] = []
        self._ratios: list[tuple[Any, str, str]] = []
        owners = {key: name for name, keys in descriptor.get("object_keys", {}).items() for key in keys}
        for key, data_key in inside.items():
            units = str(data_key.get("units") or "")
            column = make_column(self.group, key, **_layout_of(data_key))
            label = expression_of(key)
            describe_field(column, units=units, long_name=f"{label} ({units})" if units else label)
            column.attrs["device"] = owners.get(key, "")
            self.fields[key] = column
        self.time = make_column(self.group, TIME if TIME not in self.fields else "event_time", dtype="f8")
        describe_field(self.time, units="s", long_name="time since start (s)")
        self.time.attrs["start"] = start_text

    def derive_log_ratio(self, column: Any, *, i0: str, i1: str) -> None:
        """Let `column` grow as −ln(i1/i0) of two recorded keys; not a number where a count is not positive."""
        self._ratios.append((column, i0, i1))

    def add(self, time: float, data: Mapping[str, Any]) -> None:
        """Take one point; it waits until `write`."""
        self._waiting.append((time, data))

    def write(self) -> bool:
        """Append the waiting points to the file; says whether there were any."""
        if not self._waiting:
            return False
        waiting, self._waiting = self._waiting, []
        append_rows(self.time, np.array([time for time, _ in waiting]) - self._start_time)
        for key, column in self.fields.items():
            append_rows(column, _stack(column, key, [data.get(key) for _, data in waiting]))
        for column, i0, i1 in self._ratios:
            append_rows(column, negative_log_ratio(self.fields[i0][self.count :], self.fields[i1][self.count :]))
        self.count += len(waiting)
        return True


def negative_log_ratio(i0: Any, i1: Any) -> Any:
    """−ln(i1/i0), the absorption of a sample between two counters (Beer and Lambert); NaN where one is ≤ 0."""
    i0, i1 = np.asarray(i0, dtype=float), np.asarray(i1, dtype=float)
    result = np.full(i0.shape, np.nan)
    good = (i0 > 0) & (i1 > 0)
    result[good] = -np.log(i1[good] / i0[good])
    return result


def _layout_of(data_key: Mapping[str, Any]) -> dict[str, Any]:
    shape = tuple(int(n) for n in data_key.get("shape") or ())
    kind = data_key.get("dtype")
    if kind == "string":
        return {"dtype": "str", "shape": ()}
    if kind == "boolean":
        return {"dtype": "?", "shape": shape}
    exact = data_key.get("dtype_numpy")
    if isinstance(exact, str) and np.dtype(exact).kind in "biuf":
        return {"dtype": exact, "shape": shape}
    # "integer" is what the first reading happened to be; floats hold every count below 2**53 exactly
    return {"dtype": "f8", "shape": shape}


def _stack(column: Any, key: str, values: list[Any]) -> Any:
    """Rows for `column`; a value that does not fit its field becomes NaN, zero or an empty text, and is told."""
    if column.dtype.kind == "O":
        return np.array(["" if value is None else str(value) for value in values], dtype=object)
    rows = np.full((len(values), *column.shape[1:]), np.nan if column.dtype.kind == "f" else 0, dtype=column.dtype)
    for row, value in enumerate(values):
        try:
            rows[row] = value
        except (TypeError, ValueError):
            log.warning("%s: a value of the point does not fit its field %s: %.80r", key, column.shape[1:], value)
    return rows
