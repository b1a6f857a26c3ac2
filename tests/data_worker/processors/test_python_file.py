"""A user's own file: what it may give, and how its mistakes are told."""

import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mamba.data_worker.nodes import Flow, Item
from mamba.errors import GraphInvalid, NodeFailed
from tests.data_worker.processors.steps import feed, flow_of, make, run

FRAMES = np.arange(24, dtype=np.uint16).reshape(4, 2, 3)


@pytest.fixture
def file(tmp_path: Path) -> Any:
    """`write(code)` puts a file there and gives its path."""

    def write(code: str) -> str:
        path = tmp_path / "mine.py"
        path.write_text(textwrap.dedent(code))
        return str(path)

    return write


def test_a_function_with_options(file: Any) -> None:
    path = file("""
        import numpy as np
        def scale(rows, factor=1):
            return rows * np.float32(factor)
    """)
    ran = run("python", {"file": path, "name": "scale", "options": {"factor": 3}, "dtype": "float32"}, FRAMES, cuts=[3])
    np.testing.assert_array_equal(ran.stacked, FRAMES * 3)
    assert ran.flow.dtype == "float32"


def test_a_class_remembers_and_may_give_nothing(file: Any) -> None:
    path = file("""
        class Change:
            def __init__(self, least):
                self.least, self.before = least, None
            def process(self, rows):
                before, self.before = self.before, rows[-1].copy()
                return None if before is None else [(row - before).sum() for row in rows]
    """)
    parameters = {"file": path, "name": "Change", "options": {"least": 1}, "shape": [], "dtype": "float64"}
    node, flow = make("python", {**parameters, "units": "counts"}, {"camera": flow_of(FRAMES)})
    ran = feed(node, flow, [(0, FRAMES[:2]), (2, FRAMES[2:])])
    assert {number: float(row) for number, row in ran.rows.items()} == {2: 36, 3: 72}
    assert (flow.shape, flow.units) == ((), "counts")


def test_several_inputs_come_together_by_name(file: Any) -> None:
    path = file("""
        def normalise(rows):
            return rows["camera"] / rows["beam.i0"][:, None, None]
    """)
    inputs = {"camera": flow_of(FRAMES), "beam.i0": Flow((), "float64", 4)}
    node, _ = make("python", {"file": path, "name": "normalise", "dtype": "float64"}, inputs)
    found = node.process(Item(0, {"camera": FRAMES, "beam.i0": np.array([1.0, 2, 4, 8])}))
    np.testing.assert_array_equal(found, FRAMES / np.array([1, 2, 4, 8])[:, None, None])  # type: ignore[arg-type]


def test_a_view_of_what_came_is_copied(file: Any) -> None:
    path = file("""
        def turn(rows):
            return rows[:, ::-1]
    """)
    np.testing.assert_array_equal(run("python", {"file": path, "name": "turn"}, FRAMES).stacked, FRAMES[:, ::-1])


def test_a_file_that_changes_while_armed_is_not_looked_at_again(file: Any) -> None:
    path = file("def f(rows):\n    return rows + 1\n")
    node, _ = make("python", {"file": path, "name": "f"}, {"camera": flow_of(FRAMES)})
    file("def f(rows):\n    return rows + 2\n")
    np.testing.assert_array_equal(node.process(Item(0, {"camera": FRAMES})), FRAMES + 1)  # type: ignore[arg-type]
    np.testing.assert_array_equal(run("python", {"file": path, "name": "f"}, FRAMES).stacked, FRAMES + 2)


def test_a_failing_line_is_told_as_it_was_when_the_graph_was_armed(file: Any) -> None:
    path = file("def f(rows):\n    gain = 0\n    return rows / [][gain]\n")
    node, _ = make("python", {"file": path, "name": "f"}, {"camera": flow_of(FRAMES)})
    file("# changed\n" * 3)
    with pytest.raises(NodeFailed) as caught:
        node.process(Item(8, {"camera": FRAMES}))
    lines = str(caught.value).splitlines()
    assert lines[0] == f"node 'step': IndexError in {path}, frames 8 to 11"
    assert lines[1:] == [
        "  seen: line 3: return rows / [][gain]",
        "        list index out of range",
        "  do:   mend it and arm again",
    ]


@pytest.mark.parametrize(
    ("code", "more", "message"),
    [
        (
            "def f(rows):\n    return rows[1:]",
            {},
            r"f in .*mine.py returned the wrong shape\n  seen: \(3, 2, 3\) for frames 0 to 3\n"
            r"  do:   return \(4, 2, 3\), one row for each frame",
        ),
        ("def f(rows):\n    return rows.sum()", {}, r"seen: \(\) for frames 0 to 3"),
        ("def f(rows):\n    return rows / 2", {}, "wrong type\n  seen: float64, which uint16 cannot hold"),
        ("def f(rows):\n    return 'text'", {"shape": []}, r"wrong shape\n  seen: \(\)"),
        ("def f(rows):\n    return [[1], [1, 2]]", {}, "gave no array"),
        (
            "def f(rows):\n    rows[0] = 1",
            {},
            "ValueError .*, frames 0 to 3\n  seen: line 2: rows.0. = 1\n .*read-only",
        ),
        ("def f():\n    pass", {}, "TypeError in .*\n  seen: calling f\n"),
        ("def f(rows):\n    raise SystemExit(3)", {}, "SystemExit in"),
        (
            "def f(rows):\n    def g():\n        return 1 / 0\n    return g()",
            {},
            "ZeroDivisionError .*\n  seen: line 3: return 1 / 0",
        ),
        ("1 / 0\ndef f(rows): pass", {}, "ZeroDivisionError in .*, running the file\n  seen: line 1: 1 / 0"),
        ("import nothing_such\ndef f(rows): pass", {}, "ModuleNotFoundError in .*, running the file\n  seen: line 1"),
        ("class f: pass", {}, r"class f in .*mine.py has no process\(rows\)"),
        ("class f:\n    def __init__(self, a): pass", {}, "TypeError in .*, making it\n  seen: calling f\n"),
    ],
)
def test_mistakes_at_work_name_file_and_line(file: Any, code: str, more: dict[str, Any], message: str) -> None:
    with pytest.raises(NodeFailed, match=message) as caught:
        run("python", {"file": file(code), "name": "f", **more}, FRAMES)
    assert str(caught.value).startswith("node 'step': ")
    assert len(str(caught.value).splitlines()) <= 5


@pytest.mark.parametrize(
    ("code", "more", "message"),
    [
        ("def f(rows:\n    pass", {}, "cannot use .*mine.py line 1\n  seen: .*was never closed"),
        (
            "def g(rows): pass\nclass fit: pass",
            {"name": "fi"},
            "has no function or class 'fi'\n  do:   did you mean 'fit'",
        ),
        ("", {"dtype": "complex64"}, "must be a type of real numbers"),
        ("", {"dtype": "flaot"}, "is no NumPy type"),
        ("", {"options": {"a b": 1}}, "'a b' cannot be the name of an argument"),
        ("", {"shape": [0]}, "greater than or equal to 1"),
        ("def f(rows): pass", {"columns": ["a"]}, r"columns do not fit the shape\n  seen: 1 columns, shape \(2, 3\)"),
        ("", {"file": "/nowhere/a.py"}, "cannot use /nowhere/a.py\n  seen: .*No such file"),
    ],
)
def test_mistakes_are_told_before_anything_starts(file: Any, code: str, more: dict[str, Any], message: str) -> None:
    with pytest.raises(GraphInvalid, match=message):
        make("python", {"file": file(code), "name": "f", **more}, {"camera": flow_of(FRAMES)})
