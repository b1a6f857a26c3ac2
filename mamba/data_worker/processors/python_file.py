"""Processor: a function or class from the user's own Python file.

The file is read and run in the actor when the graph is armed, and not looked at again until the next arm. In the
console it is only parsed, so that a slip is told before anything starts.
"""

from __future__ import annotations

import ast
import keyword
import linecache
import traceback
import types
from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
from pydantic import Field, field_validator

from mamba.data_worker.nodes import Flow, Item, Job, Node, NodeParameters, Rows
from mamba.data_worker.processors.checks import check_same_every
from mamba.data_worker.processors.pictures import AbsoluteFile
from mamba.errors import GraphInvalid, NodeFailed, find_nearest

_LARGEST = 2**20


class PythonFileParameters(NodeParameters):
    """What to call, and what it gives."""

    file: AbsoluteFile = Field(description="Python file")
    name: str = Field(
        pattern=r"^[A-Za-z_]\w*$", description="function(rows), or class with process(rows), in that file"
    )
    options: dict[str, Any] = Field({}, description="given to it by name: to the function each time, to the class once")
    shape: tuple[Annotated[int, Field(ge=1)], ...] | None = Field(
        None, max_length=4, description="of what it gives for each frame; without, as its first input"
    )
    dtype: str = Field("", description="NumPy type of what it gives; without, as its first input")
    units: str = Field("", description="of what it gives")
    columns: tuple[str, ...] = Field((), description="names along the last axis, for a row of numbers")

    @field_validator("dtype")
    @classmethod
    def _numbers(cls, dtype: str) -> str:
        if not dtype:
            return dtype
        try:
            kind = np.dtype(dtype)
        except TypeError:
            raise ValueError("is no NumPy type; write such as float32") from None
        if kind.kind not in "uif":
            raise ValueError("must be a type of real numbers, such as float32")
        return kind.name

    @field_validator("options")
    @classmethod
    def _named(cls, options: dict[str, Any]) -> dict[str, Any]:
        for name in options:
            if not name.isidentifier() or keyword.iskeyword(name):
                raise ValueError(f"{name!r} cannot be the name of an argument")
        return options


class PythonFile(Node):
    """Calls a function or class of your own Python file.

    It gets the rows of a block, shape (count, *shape), and gives as many rows, or None for nothing.
    With several inputs it gets a dictionary of rows by the input's name, all of the same frame numbers. Rows cannot be
    written to, and are gone after the call: what is kept must be copied.
    """

    takes = PythonFileParameters
    parameters: PythonFileParameters
    inputs = (1, 16)
    joins = True
    remembers = True

    def plan(self, inputs: dict[str, Flow]) -> Flow:
        """What the parameters say; the file must be Python and have the name."""
        every = check_same_every(self.name, inputs)
        self._check(self._parse())
        first, p = next(iter(inputs.values())), self.parameters
        shape = first.shape if p.shape is None else p.shape
        if p.columns and (not shape or shape[-1] != len(p.columns)):
            seen = f"{len(p.columns)} columns, shape {shape}"
            raise GraphInvalid(
                f"node {self.name!r}: columns do not fit the shape", seen=seen, remedy="name each of them"
            )
        same = shape == first.shape
        self._flow = Flow(
            shape,
            p.dtype or first.dtype,
            max(flow.block_frames for flow in inputs.values()),
            p.units,
            p.columns or (first.columns if same else ()),
            first.axis if same else None,
            every,
        )
        return self._flow

    def _parse(self) -> ast.Module:
        file = self.parameters.file
        what = f"node {self.name!r}: cannot use {file}"
        try:
            if file.stat().st_size > _LARGEST:
                raise GraphInvalid(what, seen=f"{file.stat().st_size >> 10} KiB", remedy="name a Python file")
            self._source = file.read_text(encoding="utf-8")
            return ast.parse(self._source, str(file))
        except SyntaxError as error:
            remedy = "mend that line"
            raise GraphInvalid(
                f"{what} line {error.lineno}", seen=f"{error.msg}: {error.text or ''}".strip(": \n"), remedy=remedy
            ) from None
        except (OSError, ValueError) as error:
            raise GraphInvalid(what, seen=str(error), remedy="check the path") from None

    def _check(self, tree: ast.Module) -> None:
        kinds = (ast.FunctionDef, ast.ClassDef)
        names = [part.name for part in tree.body if isinstance(part, kinds)]
        if self.parameters.name not in names:
            raise GraphInvalid(
                f"node {self.name!r}: {self.parameters.file} has no function or class {self.parameters.name!r}",
                remedy=find_nearest(self.parameters.name, names),
            )

    def open(self, job: Job, inputs: dict[str, Flow]) -> None:
        """Run the file, and make the class.

        Raises:
            NodeFailed: it raises; says where.
        """
        self._alone = len(inputs) == 1
        file = str(self.parameters.file)
        # as it is now, for the lines of errors, whatever becomes of the file
        linecache.cache[file] = (len(self._source), None, self._source.splitlines(keepends=True), file)
        module = types.ModuleType(f"mamba_node_{self.name}")
        module.__file__ = file
        self._call("running the file", exec, compile(self._source, file, "exec"), module.__dict__)
        found = getattr(module, self.parameters.name)
        if not isinstance(found, type):
            self._process = lambda rows: found(rows, **self.parameters.options)
            return
        made = self._call("making it", found, **self.parameters.options)
        if not callable(getattr(made, "process", None)):
            raise NodeFailed(f"node {self.name!r}: class {self.parameters.name} in {file} has no process(rows)")
        self._process = made.process

    def process(self, item: Item) -> Rows | None:
        """Rows with the numbers of the item.

        Raises:
            NodeFailed: the user's code raises (says where), or gives something else than it should.
        """
        rows = item.data if self._alone else dict(item.arrays)
        given = self._call(f"frames {item.first} to {item.last}", self._process, rows)
        if given is None:
            return None
        found = self._check_given(given, item)
        # a view of what came in is gone before it is sent on
        shared = any(np.may_share_memory(found, each) for each in item.arrays.values())
        return found.copy() if shared else np.ascontiguousarray(found)

    def _check_given(self, given: Any, item: Item) -> Rows:
        wanted = (item.count, *self._flow.shape)
        what = f"node {self.name!r}: {self.parameters.name} in {self.parameters.file}"
        try:
            found = np.asarray(given)
        except ValueError as error:
            raise NodeFailed(f"{what} gave no array", seen=str(error)[:200], remedy=f"return shape {wanted}") from None
        if found.shape != wanted:
            raise NodeFailed(
                f"{what} returned the wrong shape",
                seen=f"{found.shape} for frames {item.first} to {item.last}",
                remedy=f"return {wanted}, one row for each frame; or set `shape` of the node",
            )
        if not np.can_cast(found.dtype, self._flow.dtype, "same_kind"):
            raise NodeFailed(
                f"{what} returned the wrong type",
                seen=f"{found.dtype}, which {self._flow.dtype} cannot hold",
                remedy="set `dtype` of the node, or convert with astype",
            )
        return found.astype(self._flow.dtype, copy=False)

    def _call(self, doing: str, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Call the user's code; whatever it raises becomes one error with the line."""
        try:
            return function(*args, **options)
        except (Exception, SystemExit) as error:  # noqa: BLE001  # it is the user's
            file = str(self.parameters.file)
            lines = [at for at in traceback.extract_tb(error.__traceback__) if at.filename == file]
            where = f"line {lines[-1].lineno}: {lines[-1].line}" if lines else f"calling {self.parameters.name}"
            raise NodeFailed(
                f"node {self.name!r}: {type(error).__name__} in {file}, {doing}",
                seen=f"{where}\n        {str(error)[:200]}".rstrip(),
                remedy="mend it and arm again",
            ) from None
