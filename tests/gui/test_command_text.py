from __future__ import annotations

import ast
import datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mamba.errors import BadValue
from taurus_gui import command_text as ct


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (ct.move_command("M.energy", "8.98"), "RE(mv(M.energy, 8.98))"),
        (ct.jog_command("M.energy", "0.1", direction=1), "RE(mvr(M.energy, 0.1))"),
        (ct.jog_command("M.stage.x", " 0.10 ", direction=-1), "RE(mvr(M.stage.x, -0.10))"),
        (ct.shutter_command("M.shutter", "closed"), "RE(mv(M.shutter, 'closed'))"),
        (
            ct.scan_command("scan", ["D.i0"], "M.energy", start="8.9", stop="9.1", points="21"),
            "RE(scan([D.i0], M.energy, 8.9, 9.1, 21))",
        ),
        (
            ct.scan_command("rel_scan", ["D.i0", "D.i1"], "M.energy", start="-.1", stop="+.1", points="5"),
            "RE(rel_scan([D.i0, D.i1], M.energy, -0.1, 0.1, 5))",
        ),
        (ct.count_command(["D.i0"], readings="5", delay_s="1"), "RE(count([D.i0], 5, delay=1))"),
        (ct.count_command(["D.i0"], readings="5"), "RE(count([D.i0], 5))"),
        (
            ct.xafs_command(["D.i0", "D.i1"], "M.energy", element="Cu", edge="K", time_scale="0.02"),
            "RE(xafs_scan([D.i0, D.i1], M.energy, element='Cu', edge='K', time_scale=0.02))",
        ),
        (ct.acquire_command("D.camera", frames="2000"), "RE(acquire(D.camera, frames=2000))"),
        (
            ct.acquire_command("D.camera", frames="10", exposure_s="0.01", period_s="0.1"),
            "RE(acquire(D.camera, frames=10, exposure_s=0.01, period_s=0.1))",
        ),
        (
            ct.parameters_command("D.camera", "screen", {"rate": 2.5, "binning": "max", "mask": None, "crop": True}),
            "graph(D.camera).set_parameters('screen', rate=2.5, binning='max', mask=None, crop=True)",
        ),
        (
            ct.parameters_command("D.camera", "dark", {"bad_value": float("nan"), "from": [1, (2, -float("inf"))]}),
            "graph(D.camera).set_parameters('dark', bad_value=float('nan'), **{'from': [1, [2, float('-inf')]]})",
        ),
        (ct.logout_command(), "U.logout()"),
    ],
)
def test_commands_read_as_a_person_would_type_them(made: str, text: str) -> None:
    assert made == text


@pytest.mark.parametrize(
    ("typed", "literal"),
    [("8.9", "8.9"), ("08.90", "8.90"), ("5.", "5"), (".5", "0.5"), ("+1E-03", "1e-3"), ("-0", "-0"), ("007", "7")],
)
def test_numbers_keep_the_digits_that_were_typed(typed: str, literal: str) -> None:
    assert ct.number_text(typed) == literal


@pytest.mark.parametrize(
    "typed", ["", " ", "nan", "inf", "1e400", "1_0", "٣", "0x1", "1,5", "1 2", "8.9)", "--1", "1e"]
)
def test_what_is_no_number_is_refused(typed: str) -> None:
    with pytest.raises(BadValue):
        ct.number_text(typed)


@pytest.mark.parametrize("name", ["", "M", "M.", "X.y", "M.energy)", "M.a b", "M.énergie", "M.x\n", "M..x"])
def test_what_is_no_device_is_refused(name: str) -> None:
    with pytest.raises(BadValue):
        ct.move_command(name, "1")


def test_a_scan_needs_detectors_and_two_points() -> None:
    with pytest.raises(BadValue, match="detectors"):
        ct.scan_command("scan", [], "M.energy", start="1", stop="2", points="3")
    with pytest.raises(BadValue, match="at least 2"):
        ct.scan_command("scan", ["D.i0"], "M.energy", start="1", stop="2", points="1")


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12, places=6))
def test_a_decimal_arrives_as_it_was_typed(value: Decimal) -> None:
    assert Decimal(ct.number_text(f"{value:f}")) == value


HOSTILE = st.one_of(
    st.text(max_size=40),
    st.text(alphabet="'\"\\\n\r\t;()[]{},.#=M D0e-_ \x00\x1b\u2028\ud800", max_size=40),
    st.sampled_from(["'); import os #", "\n1/0", "\\", "'''", '"""', "{x}", "%s", "K', time_scale=9"]),
)


def parse_call(text: str) -> ast.Call:
    """The one expression in `RE(plan(…))`: the plan's call."""
    (statement,) = ast.parse(text).body
    assert isinstance(statement, ast.Expr)
    outer = statement.value
    assert isinstance(outer, ast.Call)
    assert ast.unparse(outer.func) == "RE"
    assert not outer.keywords
    (inner,) = outer.args
    assert isinstance(inner, ast.Call)
    return inner


@given(HOSTILE, HOSTILE)
def test_hostile_texts_stay_two_arguments(element: str, edge: str) -> None:
    text = ct.xafs_command(["D.i0"], "M.energy", element=element, edge=edge)
    assert "\n" not in text
    call = parse_call(text)
    assert ast.unparse(call.func) == "xafs_scan"
    assert [ast.unparse(argument) for argument in call.args] == ["[D.i0]", "M.energy"]
    assert {k.arg: ast.literal_eval(k.value) for k in call.keywords} == {"element": element, "edge": edge}


@given(HOSTILE, HOSTILE, HOSTILE)
def test_hostile_fields_are_refused_or_one_call(motor: str, start: str, points: str) -> None:
    try:
        text = ct.scan_command("scan", ["D.i0"], motor, start=start, stop="9.1", points=points)
    except BadValue:
        return
    call = parse_call(text)
    assert ast.unparse(call.func) == "scan"
    assert [type(ast.literal_eval(a)) for a in call.args[2:]][-1] is int
    assert len(call.args) == 5
    assert not call.keywords


@given(HOSTILE)
def test_hostile_moves_are_refused_or_one_call(text: str) -> None:
    try:
        command = ct.move_command("M.energy", text)
    except BadValue:
        return
    assert ast.literal_eval(parse_call(command).args[1]) == float(text)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(PLAIN)
def test_plain_data_becomes_the_same_when_it_is_run(value: object) -> None:
    read = ast.literal_eval(ct.literal_text(value))
    assert read == value
    assert repr(read) == repr(value)


@given(st.text(), PLAIN)
def test_no_parameter_can_become_more_than_an_argument(text: str, value: object) -> None:
    (statement,) = ast.parse(ct.parameters_command("D.camera", text, {text: value, "rate": text})).body
    assert isinstance(statement, ast.Expr)
    assert isinstance(statement.value, ast.Call)
    assert [ast.literal_eval(each) for each in statement.value.args] == [text]


def test_parameters_that_cannot_be_sent_say_why() -> None:
    with pytest.raises(BadValue, match="no detector uses 'replay': change it at the prompt"):
        ct.parameters_command("replay", "again", {"rate": 1})
    with pytest.raises(BadValue, match="nothing is changed yet"):
        ct.parameters_command("D.camera", "screen", {})
    with pytest.raises(BadValue, match=r"value: no plain data\n  seen: date"):
        ct.parameters_command("D.camera", "screen", {"rate": datetime.date(2026, 1, 1)})
