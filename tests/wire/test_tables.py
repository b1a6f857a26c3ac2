"""Tables of pandas on the wire: what goes through comes back, also where there is no pandas."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import pandas as hpd

from mamba.wire import encoding
from mamba.wire.values import Repr, Table, decode, encode
from tests.wire.test_values import travel

labels = st.text() | st.integers(-(2**60), 2**60) | st.tuples(st.integers(-9, 9), st.text())
cells = st.none() | st.booleans() | st.integers() | st.tuples(st.text(), st.floats(allow_nan=False)) | st.binary()
DTYPES = ("int8", "uint64", "float32", "float64", "bool", "complex128", "datetime64[ns]", "timedelta64[ns]")


@st.composite
def frames(draw: st.DrawFn) -> pd.DataFrame:
    """Columns of numbers, times, texts and anything, of one length, under any names; with any one-level index."""
    rows = draw(st.integers(0, 4))
    index = pd.Index(
        draw(
            st.lists(st.integers(-9, 9), min_size=rows, max_size=rows)
            | st.lists(st.text(), min_size=rows, max_size=rows)
        ),
        name=draw(st.none() | st.text()),
    )
    columns: list[pd.Series] = [
        draw(hpd.series(dtype=dtype, index=hpd.range_indexes(min_size=rows, max_size=rows)))
        for dtype in draw(st.lists(st.sampled_from(DTYPES), max_size=3))
    ]
    if rows and draw(st.booleans()):
        columns.append(pd.Series(draw(st.lists(st.text(), min_size=rows, max_size=rows)), dtype="str"))
        columns.append(pd.Series(draw(st.lists(cells, min_size=rows, max_size=rows)), dtype="object"))
    frame = pd.DataFrame({n: column.to_numpy() for n, column in enumerate(columns)}, index=index)
    for n, column in enumerate(columns):
        frame[n] = frame[n].astype(column.dtype)
    names = draw(st.lists(labels, min_size=len(columns), max_size=len(columns)))
    frame.columns = pd.Index(names, dtype="object", tupleize_cols=False)
    return frame


@settings(max_examples=100, deadline=None)
@given(frames())
def test_frames_come_back(frame: pd.DataFrame) -> None:
    back = travel(frame)
    assert list(back.columns) == list(frame.columns)
    back.columns = frame.columns = range(frame.shape[1])  # names of one kind get a dtype of their own
    if len(frame):  # an index without labels has no kind to travel by
        pd.testing.assert_frame_equal(back, frame, check_index_type=False)
    assert list(back.dtypes) == list(frame.dtypes)


@settings(max_examples=50, deadline=None)
@given(hpd.series(dtype=float, index=hpd.range_indexes(max_size=5)), st.none() | st.text())
def test_series_come_back(series: pd.Series, name: str | None) -> None:
    series.name = name
    pd.testing.assert_series_equal(travel(series), series, check_index_type=False)


def test_the_form_is_what_the_reference_says() -> None:
    frame = pd.DataFrame({"energy": [8.9, 9.0], "name": ["a", None]}, index=pd.Index([1, 2], name="point"))
    form = encode(frame)
    assert form["$type"] == "dataframe"
    assert [name for name, _ in form["columns"]] == ["energy", "name"]
    assert form["columns"][0][1]["dtype"] == "<f8"
    assert form["columns"][1][1] == ["a", {"$type": "float", "value": "nan"}]
    assert form["index"][0] == "point"


def test_categories_and_times_with_a_zone_arrive_as_their_values() -> None:
    frame = pd.DataFrame(
        {"edge": pd.Categorical(["K", "L3"]), "at": pd.to_datetime(["2026-01-01", "2026-01-02"]).tz_localize("UTC")}
    )
    back = travel(frame)
    assert list(back["edge"]) == ["K", "L3"]
    assert list(back["at"]) == list(frame["at"])


def test_without_pandas_a_table_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    form = encode({"frame": pd.DataFrame({"a": [1, 2]}), "series": pd.Series(["x"], name="b")})
    monkeypatch.setitem(sys.modules, "pandas", None)
    back = decode(form)
    assert isinstance(back["frame"], Table)
    (name, values), *_ = back["frame"].columns
    assert (name, list(values), list(back["frame"].index)) == ("a", [1, 2], [0, 1])
    assert back["series"].columns == [("b", ["x"])]


@pytest.mark.parametrize(
    "table",
    [
        pd.DataFrame({"a": [1]}, index=pd.MultiIndex.from_tuples([(1, 2)])),
        pd.DataFrame([[1]], columns=pd.MultiIndex.from_tuples([(1, 2)])),
        type("Derived", (pd.DataFrame,), {})({"a": [1]}),
    ],
    ids=["levels of rows", "levels of columns", "derived"],
)
def test_other_tables_are_shown(table: Any) -> None:
    back = travel([table, 1])
    assert isinstance(back[0], Repr)
    assert back[1] == 1


def test_a_table_that_is_too_large_says_so_and_the_rest_arrives() -> None:
    frame = pd.DataFrame({"a": np.zeros(encoding.MAX_BYTES // 8 + 1)})
    back = travel({"frame": frame, "n": 1})
    assert "too large" in back["frame"].text
    assert back["n"] == 1


@pytest.mark.parametrize(
    ("value", "back"),
    [
        (pd.Timestamp("2026-01-02T03:04:05.123456789"), np.datetime64("2026-01-02T03:04:05.123456789")),
        (pd.Timestamp("2026-01-02"), pd.Timestamp("2026-01-02").to_pydatetime()),
        (pd.Timedelta(5, "ns"), np.timedelta64(5, "ns")),
    ],
)
def test_times_keep_their_nanoseconds(value: Any, back: Any) -> None:
    assert travel(value) == back


def test_no_time_at_all() -> None:
    assert np.isnat(travel([pd.NaT])[0])
