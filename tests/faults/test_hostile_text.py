"""Hostile text in the fields of a window: each becomes the one expected call, or is refused with one clear error.

The expected call is told by what Python makes of the text: one statement, `RE(plan(…))`, of these names and literals
alone. A field can become an argument, and nothing else.
"""

from __future__ import annotations

import ast
import inspect
import math
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mamba.errors import BadValue, TextRefused
from mamba.session.cell_text import check_text
from taurus_gui import command_text as ct

SHORT, FULL = 500, 5000

BREAKERS = [
    *(
        "'); import os; os.system('x') #",
        '")',
        "\\",
        "\\'",
        "'''",
        '"""',
        "\n1/0",
        "\r\nRE.abort()",
        "\x1b[A\r",
        "\x03",
    ),
    *("{x}", "%s", "%run x", "!ls", "?", "M.energy)\nRE(mv(M.energy, 0", "M.energy; x=1", "M.__class__", "M.energy #"),
    *("K', time_scale=9", "K' 'x", "1e999", "nan", "-inf", "0x10", "1_000", "٣", "1 if x else 2", "__import__('os')"),
    *(
        "\u2028",
        "\u2029",
        "\x85",
        "\x00",
        "\ud800",
        "\u202e",
        "\ufeff1",
        "１",
        "M.ｅnergy",
        "M.energy\u200b",
        "9" * 400,
    ),
]
HOSTILE = st.one_of(
    st.sampled_from(BREAKERS),
    st.text(max_size=60),
    st.text(alphabet="'\"\\\n\r\t;()[]{},.#=M D0e-+_ \x00\x1b\u2028\ud800", max_size=40),
    st.tuples(st.sampled_from(["1", "M.energy", "D.i0", "Cu", "open"]), st.sampled_from(BREAKERS)).map("".join),
)
NAMES = st.lists(HOSTILE, max_size=4)

Make = Callable[..., str]
# What a person would type; in each example one or two of the fields hold something else.
GOOD: dict[str, dict[str, Any]] = {
    "move": {"motor": "M.energy", "position": "8.98"},
    "jog": {"motor": "M.energy", "step": "0.1", "direction": -1},
    "shutter": {"shutter": "M.shutter", "position": "open"},
    "scan": {"plan": "scan", "detectors": ["D.i0"], "motor": "M.energy", "start": "8.9", "stop": "9.1", "points": "21"},
    "count": {"detectors": ["D.i0", "D.i1"], "readings": "5", "delay_s": "1"},
    "xafs": {"detectors": ["D.i0"], "motor": "M.energy", "element": "Cu", "edge": "K", "time_scale": "0.02"},
    "acquire": {"camera": "D.camera", "frames": "2000", "exposure_s": "0.01", "period_s": "0.1"},
}


def get_command(name: str) -> Make:
    command: Make = getattr(ct, f"{name}_command")
    return command


@st.composite
def draw_fields(draw: st.DrawFn, name: str) -> dict[str, Any]:
    """The fields of a command, one or two of them hostile."""
    good = GOOD[name]
    texts = [field for field, value in good.items() if not isinstance(value, int)]
    chosen = draw(st.sets(st.sampled_from(texts), min_size=1, max_size=2))
    return {**good, **{field: draw(NAMES if isinstance(good[field], list) else HOSTILE) for field in sorted(chosen)}}


PLANS = {"mv", "mvr", "scan", "rel_scan", "count", "xafs_scan", "acquire"}


def check_command(make: Make, fields: dict[str, Any]) -> bool:
    """Whether a command was made; it is the one call, or the refusal is one clear error."""
    try:
        text = make(**fields)
    except BadValue as error:
        check_refusal(str(error))
        return False
    call = parse_call(text)
    assert ast.unparse(call.func) in PLANS
    keywords = {word.arg: ast.literal_eval(word.value) for word in call.keywords}
    assert set(keywords) <= {"delay", "element", "edge", "time_scale", "frames", "exposure_s", "period_s"}
    for name, value in keywords.items():
        if name in ("element", "edge"):
            assert value == fields[name]
        else:
            assert isinstance(value, (int, float))
            assert value > 0
            assert math.isfinite(value)
    for argument in call.args:
        check_argument(argument)
    try:
        check_text(text)  # and the host takes it to the prompt as it is, or refuses the whole
    except TextRefused:
        assert any(not str(field).isprintable() for field in fields.values())
    return True


def check_refusal(said: str) -> None:
    """One clear error: short, of few lines, with nothing of the field that a terminal or a window would obey."""
    lines = said.split("\n")
    assert 1 <= len(lines) <= 5
    assert len(said) < 400
    assert all(line.isprintable() for line in lines), said


def parse_call(text: str) -> ast.Call:
    """The plan's call in `RE(plan(…))`, which is all there is, on one line."""
    assert len(text.splitlines()) == 1, text
    (statement,) = ast.parse(text).body
    assert isinstance(statement, ast.Expr)
    outer = statement.value
    assert isinstance(outer, ast.Call)
    assert ast.unparse(outer.func) == "RE"
    assert (len(outer.args), outer.keywords) == (1, [])
    assert isinstance(outer.args[0], ast.Call)
    return outer.args[0]


def check_argument(node: ast.expr) -> None:
    """A device of M or D, a list of them, a finite number, or a position of the shutter."""
    if isinstance(node, ast.List):
        assert node.elts
        for element in node.elts:
            check_argument(element)
    elif isinstance(node, ast.Attribute):
        words = ast.unparse(node).split(".")
        assert words[0] in ("M", "D")
        assert all(word.isidentifier() and word.isascii() for word in words)
    else:
        value = ast.literal_eval(node)
        assert value in ct.SHUTTER_POSITIONS or (isinstance(value, (int, float)) and math.isfinite(value))


def run_hostile(name: str, count: int) -> tuple[int, int]:
    """Tries that many; how many became a command, and how many were refused."""
    made = [0, 0]

    @settings(max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(draw_fields(name))
    def check(fields: dict[str, Any]) -> None:
        made[check_command(get_command(name), fields)] += 1

    check()
    return made[True], made[False]


@pytest.mark.parametrize("name", GOOD)
def test_hostile_fields_become_one_call_or_are_refused(name: str) -> None:
    made, refused = run_hostile(name, SHORT)
    assert refused > 10
    assert made + refused > SHORT / 2


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_five_thousand_hostile_fields() -> None:
    results = {name: run_hostile(name, FULL) for name in GOOD}
    print(f"soak: hostile fields, (made, refused) by command: {results}")
    assert all(made > 5 and refused > 1000 for made, refused in results.values())


VALUES = st.recursive(
    st.one_of(HOSTILE, st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(HOSTILE, inner, max_size=3)),
    max_leaves=6,
)


@settings(max_examples=SHORT, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(
    st.one_of(st.just("D.camera"), HOSTILE),
    st.one_of(st.just("screen"), HOSTILE),
    st.dictionaries(st.one_of(st.just("rate"), HOSTILE), VALUES, max_size=3),
)
def test_hostile_parameters_become_one_call_that_holds_them_or_are_refused(
    detector: str, node: str, parameters: dict[str, Any]
) -> None:
    try:
        text = ct.parameters_command(detector, node, parameters)
    except BadValue as error:
        check_refusal(str(error))
        return
    assert len(text.splitlines()) == 1, text
    (statement,) = ast.parse(text).body
    assert isinstance(statement, ast.Expr)
    call = statement.value
    assert isinstance(call, ast.Call)
    assert ast.unparse(call.func) == f"graph({detector}).set_parameters"
    check_argument(ast.parse(detector, mode="eval").body)
    assert [ast.literal_eval(argument) for argument in call.args] == [node]
    told: dict[str, Any] = {}
    for word in call.keywords:
        told |= ast.literal_eval(word.value) if word.arg is None else {word.arg: ast.literal_eval(word.value)}
    assert told == parameters
    with suppress(TextRefused):
        check_text(text)


def test_every_command_of_the_windows_is_tried() -> None:
    functions = {name for name, _ in inspect.getmembers(ct, inspect.isfunction) if name.endswith("_command")}
    tried = {f"{name}_command" for name in GOOD} | {"parameters_command"}
    assert functions - tried == {"logout_command"}, "which takes no field"
    for name, fields in GOOD.items():
        assert check_command(get_command(name), fields)
