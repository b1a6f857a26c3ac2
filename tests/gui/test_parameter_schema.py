"""Parameters of all kinds of nodes are read from the schemas that the console sends, and checked by their limits."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import Any

import pytest

from mamba.data_worker.kinds import describe_kind, list_kinds
from mamba.errors import BadValue
from mamba.wire.values import decode, encode
from taurus_gui.parameter_schema import UNSET, Parameter, find_changes, read_parameters


def read_kind(kind: str) -> dict[str, Parameter]:
    """As it comes through the wire."""
    page = decode(json.loads(json.dumps(encode(asdict(describe_kind(kind))), allow_nan=False)))
    return {each.name: each for each in read_parameters(page["parameters"])}


@pytest.mark.parametrize("kind", list_kinds())
def test_every_parameter_of_every_kind_says_what_it_is_for_and_takes_its_default(kind: str) -> None:
    parameters = read_kind(kind)
    assert list(parameters) == list(describe_kind(kind).parameters["properties"])
    for each in parameters.values():
        assert each.doc
        assert each.required or each.default is not UNSET or each.editor == "structure"
        if each.default is UNSET:
            continue
        if each.editor == "choice":
            assert each.default in each.choices
        elif each.editor == "switch":
            assert each.check(each.default) is each.default
        else:
            assert each.read(each.write(each.default)) == each.default


@pytest.mark.parametrize(
    ("kind", "name", "editor", "units", "note"),
    [
        ("preview", "pixels", "number", "pixels", "most in one · at least 16, at most 1,048,576 · default 65536"),
        ("peak_fit", "low", "number", "", "fit from here, in units of the axis · may be left empty"),
        ("azimuthal", "polarization", "number", "", "at least −1, at most 1"),
        ("rebin", "crop", "switch", "", "rather than refuse · default off"),
        ("hdf5", "path", "text", "", "default empty"),
        ("hdf5", "fields", "structure", "", "default {}"),
        ("mask", "pixels", "structure", "pixel", "more of them, each [x, y] · default []"),
        ("centroid", "region", "structure", "", "only in this rectangle · may be left empty"),
        ("frame_values", "of", "structure", "", 'one column each · default ["sum", "mean", "max"]'),
    ],
)
def test_how_a_parameter_is_edited_and_described(kind: str, name: str, editor: str, units: str, note: str) -> None:
    parameter = read_kind(kind)[name]
    assert (parameter.editor, parameter.units) == (editor, units)
    assert note in parameter.note


@pytest.mark.parametrize(
    ("kind", "name", "text", "value"),
    [
        ("preview", "rate", " 5 ", 5),
        ("preview", "rate", "2.50", 2.5),
        ("preview", "rate", "1e-7", 1e-7),
        ("peak_fit", "low", "", None),
        ("peak_fit", "low", "-1.5", -1.5),
        ("dark_flat", "bad_value", "-.inf", -math.inf),
        ("hdf5", "path", "", ""),
        ("mask", "file", "", None),
        ("mask", "file", "/data/mask.h5", "/data/mask.h5"),
        ("match_times", "period_s", "", UNSET),
        ("match_times", "period_s", "camera: 1e-3", {"camera": 0.001}),
        ("match_times", "period_s", '{"camera": 0.001}', {"camera": 0.001}),
        ("rebin", "factors", "[2, 4]", [2, 4]),
        ("rebin", "factors", "- 2\n- 4", [2, 4]),
        ("hdf5", "fields", "{a: 1, b: yes it is, c: true}", {"a": 1, "b": "yes it is", "c": True}),
    ],
)
def test_what_a_text_means(kind: str, name: str, text: str, value: Any) -> None:
    read = read_kind(kind)[name].read(text)
    assert read == value
    assert type(read) is type(value)


def test_not_a_number_is_a_number_where_it_may_be_one() -> None:
    assert math.isnan(read_kind("dark_flat")["bad_value"].read(".nan"))
    with pytest.raises(BadValue, match="pixels: not a number"):
        read_kind("preview")["pixels"].read(".nan")


@pytest.mark.parametrize(
    ("kind", "name", "text", "says"),
    [
        ("channel", "index", "1024", "index: 1024 is greater than the maximum of 1023"),
        ("azimuthal", "polarization", "2", "polarization: 2 is greater than the maximum of 1"),
        ("hdf5", "fields", "{a: [1]}", "fields.a: [1] is not"),
        ("centroid", "region", "{name: a, x: 0, y: 0, width: 8, height: 0}", "region.height: 0 is less than"),
        ("centroid", "region", "{nam: a, x: 0, y: 0, width: 8, height: 8}", "region: "),
        ("dectris", "endpoint", "udp://x", "endpoint: 'udp://x' does not match"),
        ("expression", "formula", "", "formula: '' should be non-empty"),
        ("rebin", "factors", "[1, 2, 3, 4, 5]", "factors: [1, 2, 3, 4, 5] is too long"),
        ("rebin", "factors", "&a [*a]", "factors: is not plain data"),
        ("rebin", "factors", "!!python/object/apply:os.getcwd []", "factors: is not YAML"),
        ("frame_values", "of", "[sum, median]", "of.1: 'median' is not one of"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(kind: str, name: str, text: str, says: str) -> None:
    with pytest.raises(BadValue) as refused:
        read_kind(kind)[name].read(text)
    assert refused.value.what.startswith(says)
    assert len(refused.value.what) < 200


def test_a_long_value_is_left_out_of_the_message() -> None:
    with pytest.raises(BadValue, match=r"^pixels: ….* is too long$") as refused:
        read_kind("mask")["pixels"].read(json.dumps([[1, 2]] * 10_001))
    assert len(refused.value.what) < 200


def test_only_what_is_another_value_is_a_change() -> None:
    before = {"a": 1, "b": math.nan, "c": [1, 2], "d": 1, "e": None}
    assert find_changes(before, {"a": 1.0, "b": math.nan, "c": [1, 2], "d": True, "e": 0, "f": UNSET}) == {
        "d": True,
        "e": 0,
    }
