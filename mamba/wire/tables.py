"""Tables of pandas taken apart and put together again; pandas is imported only where it is needed and there.

A column travels as an array where its values are numbers, booleans, times or spans, as a list of values otherwise. A
list of nothing but texts and gaps becomes pandas' text column, any other list a column of objects; so categories and
pandas' own nullable numbers arrive as plain values.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import Any

_ARRAY_KINDS = "biufcmM"


@dataclass(frozen=True)
class Table:
    """A DataFrame or Series where pandas is not installed: `[(name, array or list), …]` and the row labels."""

    columns: list[tuple[Any, Any]]
    index: Any


def is_table(value: Any) -> bool:
    """Whether it is a DataFrame or Series; classes derived from them are none."""
    pandas = sys.modules.get("pandas")  # a table cannot be here before pandas is
    return pandas is not None and type(value) in (getattr(pandas, "DataFrame", None), getattr(pandas, "Series", None))


def split_table(value: Any) -> dict[str, Any] | None:
    """What travels of a table: `$type`, names, columns and index as arrays and lists; None for labels of levels."""
    if value.index.nlevels > 1 or (value.ndim == 2 and value.columns.nlevels > 1):
        return None
    index = [value.index.name, _split_column(value.index)]
    if value.ndim == 1:
        return {"$type": "series", "name": value.name, "values": _split_column(value), "index": index}
    columns = [[name, _split_column(value.iloc[:, n])] for n, name in enumerate(value.columns)]
    return {"$type": "dataframe", "columns": columns, "index": index}


def _split_column(column: Any) -> Any:
    import numpy

    if isinstance(column.dtype, numpy.dtype) and column.dtype.kind in _ARRAY_KINDS:
        return column.to_numpy()
    return column.tolist()


def join_frame(columns: list[tuple[Any, Any]], index: tuple[Any, Any]) -> Any:
    """A DataFrame, or a `Table` without pandas."""
    try:
        import pandas
    except ImportError:
        return Table(columns, index[1])
    labels = _join_index(index)
    frame = pandas.DataFrame({n: _join_column(values, labels) for n, (_, values) in enumerate(columns)}, index=labels)
    frame.columns = _join_index((None, [name for name, _ in columns])) if columns else pandas.Index([])
    return frame


def join_series(name: Any, values: Any, index: tuple[Any, Any]) -> Any:
    """A Series, or a `Table` without pandas."""
    try:
        import pandas  # noqa: F401  # only whether it is there
    except ImportError:
        return Table([(name, values)], index[1])
    return _join_column(values, _join_index(index)).rename(name)


def _join_column(values: Any, labels: Any) -> Any:
    import pandas

    return pandas.Series(values, index=labels, dtype=_find_dtype(values))


def _join_index(index: tuple[Any, Any]) -> Any:
    import pandas

    name, values = index
    # tuples are labels here, never levels
    return pandas.Index(values, name=name, dtype=_find_dtype(values), tupleize_cols=False)


def _find_dtype(values: Any) -> str | None:
    if not isinstance(values, list):
        return None
    texts = [value for value in values if not _is_gap(value)]
    only_texts = bool(texts) and all(isinstance(value, str) for value in texts)
    return "str" if only_texts else "object"


def _is_gap(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))
