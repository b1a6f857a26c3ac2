"""Formulas over named arrays: read into a tree of our own, never given to Python's `eval`.

A *value* is an array with one row per frame number: (count,) for a number per frame, (count, height, width) for
images. In `a / b` both have the same shape, or one of them is a number per frame, or a constant.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mamba.errors import GraphInvalid, find_nearest

LONGEST = 1000
"""Characters of a formula."""
_DEEPEST = 100

Value = NDArray[Any] | float
Names = Mapping[str, Callable[[], Value]]
"""How to get each value that a formula may name."""

_BINARY: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_UNARY: dict[type[ast.AST], Callable[[Any], Any]] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Not: np.logical_not,
}
_BOOLEAN: dict[type[ast.AST], Callable[[Any, Any], Any]] = {ast.And: np.logical_and, ast.Or: np.logical_or}
_ELEMENTWISE: dict[str, tuple[int, Callable[..., Any]]] = {
    **{
        name: (1, getattr(np, name))
        for name in ("sqrt", "exp", "log", "log10", "sin", "cos", "tan", "arcsin", "arccos")
    },
    **{
        name: (1, getattr(np, name)) for name in ("arctan", "sinh", "cosh", "tanh", "floor", "ceil", "sign", "isfinite")
    },
    **{name: (2, getattr(np, name)) for name in ("arctan2", "hypot", "minimum", "maximum")},
    "abs": (1, np.abs),
    "radians": (1, np.radians),
    "degrees": (1, np.degrees),
    "where": (3, np.where),
    "clip": (3, np.clip),
}
_OVER_A_FRAME: dict[str, Callable[..., Any]] = {
    "sum": np.sum,
    "mean": np.mean,
    "std": np.std,
    "min": np.min,
    "max": np.max,
}
_CONSTANTS = {"pi": np.pi, "e": np.e, "nan": np.nan, "inf": np.inf}
FUNCTIONS = sorted([*_ELEMENTWISE, *_OVER_A_FRAME])
"""What a formula may call."""


class FormulaProblem(GraphInvalid):
    """A formula that cannot be read or worked out; says at which character."""


@dataclass(frozen=True)
class Formula:
    """A formula whose every part is one of those known here; make it with `parse_formula`."""

    text: str
    tree: ast.expr

    def evaluate(self, names: Names) -> Value:
        """Work it out; division by zero gives inf or NaN, as in NumPy, and truth is 1 or 0.

        Raises:
            FormulaProblem: an unknown name (says the nearest), or shapes that do not go together.
        """
        with np.errstate(all="ignore"):
            return _Evaluation(self, names).visit(self.tree)


def parse_formula(text: str) -> Formula:
    """Read a formula.

    Raises:
        FormulaProblem: it is not one, too long, or uses something that is not known here.
    """
    if len(text) > LONGEST:
        raise FormulaProblem("the formula is too long", seen=f"{len(text)} characters, at most {LONGEST}")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        at = getattr(error, "offset", None) or len(text)  # none where more should have come
        raise FormulaProblem(
            f"the formula cannot be read at character {at}", seen=str(getattr(error, "msg", error))
        ) from None
    formula = Formula(text.strip(), tree)
    _check(formula, tree, 0)
    return formula


def read_name(node: ast.expr) -> str:
    """The dotted name of a Name or of Attributes of one; "" for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (before := read_name(node.value)):
        return f"{before}.{node.attr}"
    return ""


def _explain(formula: Formula, node: ast.expr, what: str, *, seen: str = "", remedy: str = "") -> FormulaProblem:
    # the tree counts bytes of UTF-8, people count characters
    line = formula.text.splitlines()[node.lineno - 1].encode()
    at = len(line[: node.col_offset].decode()) + 1
    place = f"line {node.lineno} character {at}" if node.lineno > 1 else f"character {at}"
    return FormulaProblem(
        f"{what} at {place}", seen=seen or (ast.get_source_segment(formula.text, node) or ""), remedy=remedy
    )


def _check(formula: Formula, node: ast.expr, depth: int) -> None:
    """Refuse whatever is not known here, before anything is worked out."""
    if depth > _DEEPEST:
        raise _explain(formula, node, "the formula is nested too deeply", seen=f"more than {_DEEPEST} levels")
    for part in _list_parts(formula, node):
        _check(formula, part, depth + 1)


def _list_parts(formula: Formula, node: ast.expr) -> list[ast.expr]:
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        if isinstance(node.value, int) and node.value.bit_length() > 1000:
            raise _explain(formula, node, "this number is too large", seen=f"{node.value.bit_length()} bits")
        return []
    if read_name(node):
        return []
    if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
        return [node.left, node.right]
    if isinstance(node, ast.UnaryOp) and type(node.op) in _UNARY:
        return [node.operand]
    if isinstance(node, ast.BoolOp):
        return node.values
    if isinstance(node, ast.Compare) and all(type(op) in _BINARY for op in node.ops):
        return [node.left, *node.comparators]
    if isinstance(node, ast.Call):
        return _list_arguments(formula, node)
    raise _explain(
        formula,
        node,
        "a formula cannot have this",
        remedy="it has numbers, names, + - * / % **, comparisons and functions",
    )


def _list_arguments(formula: Formula, node: ast.Call) -> list[ast.expr]:
    name = read_name(node.func)
    if name not in FUNCTIONS:
        raise _explain(formula, node.func, f"unknown function {name!r}", remedy=find_nearest(name, FUNCTIONS))
    wanted = _ELEMENTWISE[name][0] if name in _ELEMENTWISE else 1
    if node.keywords or len(node.args) != wanted:
        given = len(node.args) + len(node.keywords)
        raise _explain(formula, node, f"{name} takes {wanted} values", seen=f"{given} given")
    return node.args


class _Evaluation:
    """Works a checked tree out, once."""

    def __init__(self, formula: Formula, names: Names) -> None:
        self._formula, self._names = formula, names

    def visit(self, node: ast.expr) -> Value:
        if isinstance(node, ast.Constant):
            assert isinstance(node.value, int | float)
            return float(node.value)
        if name := read_name(node):
            return self._find(node, name)
        if isinstance(node, ast.BinOp):
            return self._apply(node, _BINARY[type(node.op)], node.left, node.right)
        if isinstance(node, ast.UnaryOp):
            return self._apply(node, _UNARY[type(node.op)], node.operand)
        if isinstance(node, ast.BoolOp):
            return self._fold(node, [self.visit(part) for part in node.values], _BOOLEAN[type(node.op)])
        if isinstance(node, ast.Compare):
            values = [self.visit(part) for part in (node.left, *node.comparators)]
            pairs = zip(node.ops, values, values[1:], strict=False)
            found = [self._call(node, _BINARY[type(op)], left, right) for op, left, right in pairs]
            return self._fold(node, found, np.logical_and)
        assert isinstance(node, ast.Call)
        return self._call_function(node)

    def _find(self, node: ast.expr, name: str) -> Value:
        if name in self._names:
            return self._names[name]()
        if name in _CONSTANTS:
            return _CONSTANTS[name]
        raise _explain(
            self._formula, node, f"unknown name {name!r}", remedy=find_nearest(name, [*self._names, *_CONSTANTS])
        )

    def _call_function(self, node: ast.Call) -> Value:
        name = read_name(node.func)
        if name in _ELEMENTWISE:
            return self._apply(node, _ELEMENTWISE[name][1], *node.args)
        value = self.visit(node.args[0])
        if not isinstance(value, np.ndarray) or value.ndim < 2:
            raise _explain(
                self._formula, node, f"{name} is over each frame", seen="one number per frame", remedy="leave it out"
            )
        wide = {} if name in ("min", "max") else {"dtype": np.float64}
        return np.asarray(_OVER_A_FRAME[name](value, axis=tuple(range(1, value.ndim)), **wide))

    def _apply(self, node: ast.expr, function: Callable[..., Any], *parts: ast.expr) -> Value:
        return self._call(node, function, *(self.visit(part) for part in parts))

    def _fold(self, node: ast.expr, values: list[Value], function: Callable[[Any, Any], Any]) -> Value:
        total = values[0]
        for value in values[1:]:
            total = self._call(node, function, total, value)
        return total

    def _call(self, node: ast.expr, function: Callable[..., Any], *values: Value) -> Value:
        arrays = [value for value in values if isinstance(value, np.ndarray)]
        if not arrays:  # NumPy's numbers neither raise nor grow without bound
            return float(function(*map(np.float64, values)))
        largest = max(arrays, key=np.ndim)
        for array in arrays:
            if array.ndim > 1 and array.shape != largest.shape:
                shapes = " and ".join(str(each.shape[1:]) for each in arrays if each.ndim > 1)
                raise _explain(self._formula, node, "these do not have the same shape", seen=shapes)
        # a number per frame is the same all over its image
        found = np.asarray(function(*(_spread(value, largest.ndim) for value in values)))
        return found.astype(np.result_type(*arrays)) if found.dtype == bool else found


def _spread(value: Value, ndim: int) -> Value:
    return value.reshape(-1, *(1,) * (ndim - 1)) if isinstance(value, np.ndarray) and value.ndim < ndim else value
