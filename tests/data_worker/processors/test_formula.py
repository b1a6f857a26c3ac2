"""Formulas: the same as NumPy's, and nothing else."""

import ast
import contextlib
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mamba.data_worker.nodes import Flow, Item
from mamba.data_worker.processors.formula import FormulaProblem, parse_formula
from mamba.errors import GraphInvalid
from tests.data_worker.processors.steps import make

ROW = Flow((2,), "float64", 4, columns=("i0", "i1"))
IMAGES = Flow((2, 3), "uint16", 4, units="counts")
INPUTS = {"beam": ROW, "camera": IMAGES, "split.left": Flow((), "uint32", 4)}
ARRAYS = {
    "beam": np.array([[1.0, 2.0], [4.0, 8.0], [0.0, 1.0]]),
    "camera": np.arange(18, dtype=np.uint16).reshape(3, 2, 3),
    "split.left": np.array([1, 2, 3], np.uint32),
}
NAMES = {"x": lambda: np.array([0.5, -2.0, 3.0]), "y": lambda: np.array([1.5, 4.0, 0.0])}

NUMBER = st.one_of(
    st.sampled_from(["x", "y", "pi"]), st.integers(0, 99).map(str), st.floats(0, 99).map(lambda f: f"{f:.3f}")
)
FORMULAS = st.recursive(
    NUMBER,
    lambda part: st.one_of(
        st.tuples(part, st.sampled_from(["+", "-", "*", "/", "**", "%", "<", ">=", "=="]), part).map(
            lambda t: f"({t[0]} {t[1]} {t[2]})"
        ),
        st.tuples(st.sampled_from(["sqrt", "abs", "exp", "sin", "floor"]), part).map(lambda t: f"{t[0]}({t[1]})"),
        st.tuples(part, part, part).map(lambda t: f"where({t[0]} > {t[1]}, {t[2]}, 1)"),
        part.map(lambda p: f"-{p}"),
    ),
    max_leaves=12,
)


@given(FORMULAS)
def test_a_formula_is_what_numpy_makes_of_it(text: str) -> None:
    scope = {name: getattr(np, name) for name in ("sqrt", "abs", "exp", "sin", "floor", "where", "pi")}
    constants = ast.fix_missing_locations(_Wide().visit(ast.parse(text, mode="eval")))
    with np.errstate(all="ignore"):
        known = {name: get() for name, get in NAMES.items()}
        truth = eval(compile(constants, "", "eval"), {**scope, **known, "wide": np.float64})
    np.testing.assert_array_equal(parse_formula(text).evaluate(NAMES), truth)


class _Wide(ast.NodeTransformer):
    """Numbers as NumPy's, so that the reference gives inf where Python raises, and truth a number."""

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return ast.Call(ast.Name("wide", ast.Load()), [node], [])

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        return ast.Call(ast.Name("wide", ast.Load()), [self.generic_visit(node)], [])


@pytest.mark.parametrize(
    ("formula", "truth", "shape"),
    [
        ("camera / beam.i0", ARRAYS["camera"] / np.array([1, 4, 1e-300])[:, None, None], (2, 3)),
        ("-log(beam.i1 / beam.i0)", -np.log(ARRAYS["beam"][:, 1] / np.array([1, 4, 1e-300])), ()),
        ("camera - 5", ARRAYS["camera"].astype(float) - 5, (2, 3)),
        ("sum(camera) + split.left", ARRAYS["camera"].sum(axis=(1, 2)) + ARRAYS["split.left"], ()),
        ("camera", ARRAYS["camera"], (2, 3)),
        ("beam * split.left", ARRAYS["beam"] * np.array([[1], [2], [3]]), (2,)),
        ("3 < beam.i0 and not beam.i1 < 3", [0, 1, 0], ()),
        ("1 < split.left <= 2", [0, 1, 0], ()),
        ("where(camera > 8, camera, nan)", np.where(ARRAYS["camera"] > 8, ARRAYS["camera"], np.nan), (2, 3)),
        ("2", [2, 2, 2], ()),
    ],
)
def test_formulas_over_inputs_and_their_columns(formula: str, truth: object, shape: tuple[int, ...]) -> None:
    node, flow = make("expression", {"formula": formula, "units": "counts/s"}, INPUTS)
    with np.errstate(all="ignore"):
        found = node.process(Item(0, ARRAYS))
        expected = np.asarray(truth, dtype=float)
    assert isinstance(found, np.ndarray)
    if "i0" in formula and "/" in formula:  # the third is divided by nothing
        assert not np.isfinite(found[2]).any()
        found, expected = found[:2], expected[:2]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert (flow.shape, flow.units, flow.dtype, found.dtype) == (shape, "counts/s", found.dtype.name, flow.dtype)
    assert not any(np.may_share_memory(found, rows) for rows in ARRAYS.values())


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("a +", "cannot be read at character 3"),
        ("1 + sqr(2)", r"unknown function 'sqr' at character 5\n  seen: sqr\n  do:   did you mean 'sqrt'"),
        ("µ * 2", r"unknown name 'μ' at character 1"),
        ("µm + cemera", r"unknown name 'cemera' at character 6\n.*\n.*did you mean 'camera'"),
        ("().__class__", "a formula cannot have this at character 1"),
        ("'a' * 3", "a formula cannot have this at character 1\n  seen: 'a'"),
        ("[c for c in (1,)]", "a formula cannot have this"),
        ("(lambda: 1)()", "unknown function ''"),
        ("__import__('os')", "unknown function '__import__'"),
        ("camera[0]", "a formula cannot have this"),
        ("f'{camera}'", "a formula cannot have this"),
        ("(x := 1)", "a formula cannot have this"),
        ("1 if x else 2", "a formula cannot have this"),
        ("True", "a formula cannot have this"),
        ("x is y", "a formula cannot have this"),
        ("sqrt(1, 2)", "sqrt takes 1 values at character 1\n  seen: 2 given"),
        ("sqrt(x=1)", "sqrt takes 1 values"),
        ("sum(*x)", "a formula cannot have this at character 5"),
        ("2 +\n(1 ~ 3)", "cannot be read"),
        ("1+" * 500 + "1", "at most 1000 characters"),
        ("-" * 120 + "1", "nested too deeply"),
        ("(" * 300 + "1" + ")" * 300, "(cannot be read|nested too deeply)"),
        ("x" + "+x" * 350, "(nested too deeply|too long)"),
        ("9" * 500, "this number is too large at character 1"),
        ("camera.i0", "unknown name 'camera.i0'"),
        ("sum(beam.i0)", "sum is over each frame at character 1\n  seen: one number per frame"),
        ("beam + camera", r"these do not have the same shape at character 1\n  seen: \(2,\) and \(2, 3\)"),
        ("split", "unknown name 'split'"),
    ],
)
def test_what_is_no_formula_is_refused_with_its_place(formula: str, message: str) -> None:
    inputs = {**INPUTS, "μm": Flow((), "float64", 4)}  # Python reads the micro sign as the Greek letter
    with pytest.raises(GraphInvalid, match=message) as caught:
        make("expression", {"formula": formula}, inputs)
    assert len(str(caught.value).splitlines()) <= 5


def test_powers_neither_grow_nor_take_long() -> None:
    began = time.monotonic()
    formula = parse_formula("9 ** 9 ** 9 ** 9 ** 9")
    assert formula.evaluate({}) == np.inf
    assert time.monotonic() - began < 5


@given(st.text(max_size=40))
def test_any_text_is_a_formula_or_refused(text: str) -> None:
    with contextlib.suppress(FormulaProblem):
        parse_formula(text).evaluate(NAMES)
