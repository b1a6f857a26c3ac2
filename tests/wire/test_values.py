"""Typed values: what goes through comes back, and nothing can stop the rest of a message."""

from __future__ import annotations

import enum
import json
import math
from collections import namedtuple
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bluesky.run_engine import RunEngineResult
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mamba.errors import WireError
from mamba.wire import encoding
from mamba.wire.values import DeviceName, Record, Repr, decode, encode

plain = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.complex_numbers(allow_nan=False)
    | st.datetimes()
    | st.dates()
    | st.times()
    | st.timedeltas()
)
hashable = st.recursive(plain, lambda below: st.tuples(below, below) | st.frozensets(below, max_size=3), max_leaves=4)
anything = st.recursive(
    hashable,
    lambda below: (
        st.lists(below, max_size=4) | st.dictionaries(hashable, below, max_size=4) | st.sets(hashable, max_size=3)
    ),
    max_leaves=15,
)


def travel(value: Any) -> Any:
    """Through strict JSON and back."""
    return decode(json.loads(json.dumps(encode(value), allow_nan=False)))


@settings(max_examples=150, deadline=None)
@given(anything)
def test_python_values_come_back(value: Any) -> None:
    assert travel(value) == value


@settings(max_examples=100, deadline=None)
@given(
    hnp.arrays(
        hnp.boolean_dtypes()
        | hnp.integer_dtypes()
        | hnp.floating_dtypes()
        | hnp.complex_number_dtypes()
        | hnp.datetime64_dtypes()
        | hnp.unicode_string_dtypes(),
        hnp.array_shapes(min_dims=1, min_side=0),
    )
)
def test_arrays_come_back(array: np.ndarray) -> None:
    back = travel(array)
    assert back.dtype == array.dtype
    assert back.shape == array.shape
    assert back.tobytes() == array.tobytes()


@settings(max_examples=60, deadline=None)
@given(
    st.recursive(
        st.none() | st.floats() | st.text(), lambda b: st.lists(b) | st.dictionaries(st.text() | st.just("$type"), b)
    )
)
def test_decode_raises_nothing_but_wire_errors(data: Any) -> None:
    try:
        decode(data)
    except WireError:
        return


@pytest.mark.parametrize("value", [math.inf, -math.inf, 2**1001, -(2**1001), 1e308])
def test_extreme_numbers(value: float) -> None:
    assert travel(value) == value


def test_an_integer_longer_than_python_prints() -> None:
    assert travel([10**5000]) == [10**5000]


def test_nan() -> None:
    assert math.isnan(travel(math.nan))
    assert encode(math.nan) == {"$type": "float", "value": "nan"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float64(1.5), 1.5),
        (np.int32(7), 7),
        (np.bool_(True), True),
        (np.longdouble(2.5), 2.5),
        (np.complex64(1 + 2j), 1 + 2j),
        (np.str_("a"), "a"),
        (np.datetime64("2026-01-02T03:04:05.123456789"), np.datetime64("2026-01-02T03:04:05.123456789")),
    ],
)
def test_numpy_scalars_become_python_numbers(value: Any, expected: Any) -> None:
    back = travel(value)
    assert back == expected
    assert type(back) is type(expected)


@dataclass
class Edge:
    e0_ev: float
    curve: Any


@dataclass(repr=False)
class Silent:
    written: int


@dataclass
class Account:
    written: int

    def __repr__(self) -> str:
        return f"{self.written} frames written"


Point = namedtuple("Point", "x y")


class Colour(enum.Enum):
    RED = "red"


def test_the_result_of_a_run_is_a_record() -> None:
    result = RunEngineResult(("uid-1",), {"e0": np.float64(8.98)}, "fail", True, "", ValueError("lost"))
    back = travel(result)
    assert isinstance(back, Record)
    assert back.class_name == "RunEngineResult"
    assert back.fields["exception"] == Repr("builtins.ValueError", "ValueError('lost')")
    shown = {name: value for name, value in back.fields.items() if name != "exception"}
    assert shown == {
        "run_start_uids": ("uid-1",),
        "plan_result": {"e0": 8.98},
        "exit_status": "fail",
        "interrupted": True,
        "reason": "",
    }


@pytest.mark.parametrize("array", [np.array(7, ">i4"), np.zeros((0, 3)), np.arange(3, dtype=">f8"), np.array("a")])
def test_arrays_of_unusual_form(array: np.ndarray) -> None:
    back = np.asarray(travel(array))
    assert (back.shape, back.tolist()) == (array.shape, array.tolist())
    assert back.dtype == (array.dtype if array.ndim else array.dtype.newbyteorder("="))


def test_a_structured_array_is_shown() -> None:
    assert isinstance(travel(np.zeros(2, [("a", "i4")])), Repr)


def test_records_paths_and_enums() -> None:
    assert travel(Edge(8980.5, (1,))) == Record("Edge", {"e0_ev": 8980.5, "curve": (1,)})
    assert repr(travel(Edge(1.0, 2))) == "Edge(e0_ev=1.0, curve=2)"
    assert travel(Account(3)) == Record("Account", {"written": 3})
    assert repr(travel(Account(3))) == "3 frames written"
    assert repr(travel(Silent(3))) == "Silent(written=3)"
    assert travel(Point(1, 2)) == Record("Point", {"x": 1, "y": 2})
    assert travel(Path("/data/x.nxs")) == Path("/data/x.nxs")
    assert travel(Colour.RED) == "red"
    assert travel({Edge.__name__: {Point(1, 2)}}) == {"Edge": {Record("Point", {"x": 1, "y": 2})}}


class _Device:
    name = "M.energy"

    def read(self) -> dict[str, Any]:
        return {}

    def describe(self) -> dict[str, Any]:
        return {}


def test_a_device_travels_as_its_expression() -> None:
    assert encode(_Device()) == {"$type": "device", "expression": "M.energy"}
    assert travel([_Device()]) == [DeviceName("M.energy")]
    assert str(travel(_Device())) == "M.energy"


def test_a_dict_of_devices_is_a_dict(tmp_path: Path) -> None:
    class AttrDict(dict):  # type: ignore[type-arg]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.__dict__ = self

    assert travel(AttrDict(name=_Device(), read=1)) == {"name": DeviceName("M.energy"), "read": 1}
    with (tmp_path / "file").open("w") as stream:
        assert isinstance(travel(stream), Repr)  # it has a name and a read, and is no device


class _Rude:
    def __repr__(self) -> str:
        raise RuntimeError("no")

    @property
    def name(self) -> str:
        raise RuntimeError("no")

    read = name


@pytest.mark.parametrize("value", [object(), _Rude(), _Device, open, int, np.array([object()])])
def test_anything_else_is_shown(value: Any) -> None:
    back = travel(value)
    assert isinstance(back, Repr)
    assert back.text


class _Short(tuple):  # type: ignore[type-arg]
    _fields = ("a", "b")


class _Unread(list):  # type: ignore[type-arg]
    def __iter__(self) -> Any:
        raise RuntimeError("not to be read")


@pytest.mark.parametrize("value", [_Short([1]), _Unread([1])])
def test_a_class_that_breaks_the_rules_of_its_base_is_shown_and_the_rest_arrives(value: Any) -> None:
    shown, rest = decode(json.loads(json.dumps(encode([value, 2]), allow_nan=False)))
    assert (shown.class_name, rest) == (f"{__name__}.{type(value).__name__}", 2)


@pytest.mark.parametrize("value", [np.ma.masked, np.ma.masked_greater([1, 9], 5)])
def test_what_is_masked_does_not_travel_as_data(value: Any) -> None:
    assert isinstance(decode(encode(value)), Repr)


def test_what_contains_itself_ends() -> None:
    loop: list[Any] = [1]
    loop.append(loop)
    assert travel(loop) == [1, Repr("builtins.list", "<contains itself>")]
    ring: dict[str, Any] = {}
    ring["ring"] = {"again": ring}
    assert travel(ring)["ring"]["again"].text == "<contains itself>"


def test_depth_and_breadth_are_bounded() -> None:
    deep: Any = 1
    for _ in range(1000):
        deep = (deep,)
    json.dumps(encode(deep))
    shared: Any = [1]
    for _ in range(50):
        shared = [shared, shared]  # 2**50 items when written out
    assert len(json.dumps(encode(shared))) < 100 * encoding.MAX_ITEMS


def test_sizes_are_bounded_and_the_rest_arrives() -> None:
    big = np.zeros(encoding.MAX_BYTES + 1, np.uint8)
    back = travel({"big": big, "text": "x" * (encoding.MAX_BYTES + 1), "many": [0] * (encoding.MAX_ITEMS + 1), "n": 1})
    assert back["n"] == 1
    for name in ("big", "text", "many"):
        assert "too large" in back[name].text


@pytest.mark.parametrize(
    "data",
    [
        {"$type": "pickle"},
        {"$type": 1},
        {"$type": ["x"]},
        {"$type": "ndarray", "dtype": "O", "shape": [1], "base64": "AAAAAAAAAAA="},
        {"$type": "ndarray", "dtype": "<f8", "shape": [99999999999], "base64": ""},
        {"$type": "bytes", "base64": "§"},
        {"$type": "set", "items": [[]]},
        {"$type": "int", "hex": "0xzz"},
    ],
)
def test_forged_values_are_refused(data: Any) -> None:
    with pytest.raises(WireError):
        decode(data)
