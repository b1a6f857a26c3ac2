"""Names of components and methods, and what is recorded."""

from __future__ import annotations

import pytest

from mamba.devices.outline import name_parts


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("Position", "Position"),
        ("double_scalar", "double_scalar"),
        ("read", "read_"),
        ("class", "class_"),
        ("beam-x", "beam_x"),
        ("2theta", "a2theta"),
        ("_raw", "a_raw"),
        ("µ", "a_"),
    ],
)
def test_a_tango_name_is_kept_where_python_and_ophyd_allow(name, part):
    assert name_parts([name], {"read"}) == {part: name}


def test_names_that_would_be_one_get_an_underscore_in_the_order_of_the_server():
    assert name_parts(["a-b", "a_b", "a.b"], set()) == {"a_b": "a-b", "a_b_": "a_b", "a_b__": "a.b"}
