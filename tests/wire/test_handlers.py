"""Verbs and the check of their fields."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from pydantic import Field

from mamba.errors import BadRequest, UnknownVerb
from mamba.wire.handlers import Handlers
from mamba.wire.messages import Request


def greet(call: str, *, person: str, times: Annotated[int, Field(ge=1)] = 1, loud: bool = False) -> Any:
    return [call, person, times, loud]


def find(call: str, *, id: str) -> str:
    return id


@pytest.fixture
def handlers() -> Handlers:
    handlers = Handlers()
    handlers.add("greet", greet)
    handlers.add("find", find)
    return handlers


def test_fields_become_keyword_arguments(handlers: Handlers) -> None:
    assert handlers.call(Request("greet", {"person": "Ada", "times": 2}), "context") == ["context", "Ada", 2, False]


def test_what_may_stand_in_every_request_is_not_seen_unless_named(handlers: Handlers) -> None:
    everywhere = {"id": "7", "origin": "gui", "deadline_s": 3.0}
    assert handlers.call(Request("greet", {"person": "Ada", **everywhere}), "c") == ["c", "Ada", 1, False]
    assert handlers.call(Request("find", everywhere), "c") == "7"


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, "greet: field 'person' is missing"),
        ({"person": 5}, "greet: field 'person' cannot be used"),
        ({"person": "Ada", "times": "2"}, "greet: field 'times' cannot be used"),
        ({"person": "Ada", "times": 0}, "greater than or equal to 1"),
        ({"person": "Ada", "times": True}, "greet: field 'times' cannot be used"),
        ({"person": "Ada", "loud": 1}, "greet: field 'loud' cannot be used"),
        ({"person": "Ada", "tmies": 1}, "unknown field 'tmies'\n.*did you mean 'times'"),
    ],
)
def test_a_bad_field_is_named(handlers: Handlers, fields: dict[str, Any], says: str) -> None:
    with pytest.raises(BadRequest, match=says):
        handlers.call(Request("greet", fields), "c")


def test_what_was_sent_is_not_repeated(handlers: Handlers) -> None:
    with pytest.raises(BadRequest) as caught:
        handlers.call(Request("greet", {"person": ["hunter2"]}), "c")
    assert "hunter2" not in str(caught.value)


def test_an_unknown_verb_names_the_nearest(handlers: Handlers) -> None:
    with pytest.raises(UnknownVerb, match="did you mean 'greet'"):
        handlers.call(Request("gret", {}), "c")


def test_a_verb_has_one_handler(handlers: Handlers) -> None:
    with pytest.raises(ValueError, match="'greet': has a handler already"):
        handlers.add("greet", find)
    assert handlers.verbs == ["find", "greet"]
