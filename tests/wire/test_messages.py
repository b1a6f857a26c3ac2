"""Requests and replies, byte for byte as in the paper's Figure 3."""

from __future__ import annotations

import contextlib
import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mamba.errors import BadRequest, NoRun, WireError, ZError
from mamba.wire import messages
from mamba.wire.messages import (
    Reply,
    dump_reply,
    dump_request,
    load_json,
    load_reply,
    make_error,
    make_ok,
    make_request,
    notice_prefix,
)

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda below: st.lists(below, max_size=4) | st.dictionaries(st.text(), below, max_size=4),
    max_leaves=20,
)


def test_figure_3_a() -> None:
    assert dump_request("dev/keys", {"path": "M"}) == b'{"typ": "dev/keys", "path": "M"}'
    assert dump_reply(make_ok(["M.m1", "M.m2"])) == b'{"err": "", "ret": ["M.m1", "M.m2"]}'


def test_figure_3_b() -> None:
    try:
        _ = 1 / 0
    except ZeroDivisionError as error:
        rep = make_error(error)
    assert dump_reply(rep) == b'{"err": "exc", "desc": "ZeroDivisionError: division by zero"}'
    assert dump_reply(make_error(ZError("error", "description"))) == b'{"err": "error", "desc": "description"}'


def test_an_id_comes_back_only_if_it_was_given() -> None:
    assert make_request({"typ": "ping"}).echo == {}
    for given_id in ("a", 7, None, 1.5):
        echo = make_request({"typ": "ping", "id": given_id}).echo
        assert json.loads(dump_reply(make_ok(1), echo)) == {"err": "", "ret": 1, "id": given_id}


def test_an_error_of_ours_carries_its_code() -> None:
    rep = make_error(NoRun("run: nothing to pause", seen="idle", remedy="start one"))
    assert rep == {"err": "no-run", "desc": "run: nothing to pause\n  seen: idle\n  do:   start one"}


@settings(max_examples=200, deadline=None)
@given(
    st.text(min_size=1, max_size=messages.MAX_TYP_CHARS),
    st.dictionaries(st.text().filter(lambda k: k not in ("typ", "id")), json_values, max_size=5),
)
def test_requests_come_back(typ: str, fields: dict[str, Any]) -> None:
    request = make_request(load_json(dump_request(typ, fields)))
    assert request.typ == typ
    assert request.fields == fields


@settings(max_examples=300, deadline=None)
@given(st.binary() | json_values.map(lambda v: json.dumps(v).encode()))
def test_any_bytes_are_a_request_or_a_bad_one(frame: bytes) -> None:
    with contextlib.suppress(BadRequest):
        make_request(load_json(frame))


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[1]", "not an object"),
        (b"[" * 15_000, "too deep"),
        (b'{"typ": "x", "a": ' + b"[" * 100 + b"]" * 100 + b"}", "too deep"),
        (b'{"typ": "x", "a": NaN}', "NaN is not JSON"),
        (b'{"typ": "x", "a": -Infinity}', "-Infinity is not JSON"),
        (b'{"typ": "x", "a": 1e999}', "beyond a float"),
        (b'{"typ": "x", "a": ' + b"9" * 5000 + b"}", "not JSON"),
        (b'{"a": 1}', "'typ' is missing"),
        (b'{"typ": 5}', "'typ' is missing"),
        (b'{"typ": ""}', "'typ' is missing"),
        (b'{"typ": "' + b"x" * 101 + b'"}', "'typ' is too long"),
        (b'{"typ": "x", "id": {}}', "'id' must be"),
    ],
)
def test_bad_requests_say_why(frame: bytes, says: str) -> None:
    with pytest.raises(BadRequest, match=says):
        make_request(load_json(frame))


def test_a_long_request_is_not_even_read() -> None:
    with pytest.raises(BadRequest, match="too long"):
        load_json(b" " * (messages.MAX_FRAME_BYTES + 1))


@pytest.mark.parametrize(
    "frame",
    [
        b'{"typ": "ping", "a": [' + b"[]," * 2_700_000 + b"1]}",
        b'{"typ": "ping",' + b'"k":1,' * 1_300_000 + b'"k":1}',
        b'"' + b'\\"' * 8_000_000,
        b'"x' * 8_000_000,
        b"\\" * 16_000_000,
        b"[" * 16_000_000,
    ],
    ids=["lists", "fields", "unclosed", "texts", "escapes", "brackets"],
)
def test_a_request_made_to_take_long_does_not(frame: bytes) -> None:
    started = time.perf_counter()
    with pytest.raises(BadRequest):
        load_json(frame)
    assert time.perf_counter() - started < 1


def test_the_longest_text_of_a_command_fits() -> None:
    text = '🦀,[{"' * 160_000
    assert load_json(dump_request("cmd", {"cmd": text}))["cmd"] == text


def test_a_reply_unwraps_to_its_value_or_raises_its_code() -> None:
    assert load_reply(b'{"err": "", "ret": {"$type": "tuple", "items": [1]}}').unwrap() == (1,)
    with pytest.raises(ZError) as caught:
        load_reply(b'{"err": "no-run", "desc": "nothing runs"}').unwrap()
    assert (caught.value.code, caught.value.desc) == ("no-run", "nothing runs")
    assert not Reply("no-run").ok


@pytest.mark.parametrize("frame", [b"", b"1", b"{}", b'{"err": ""}', b'{"err": "", "ret": {"$type": "?"}}'])
def test_a_reply_that_is_none_is_a_wire_error(frame: bytes) -> None:
    with pytest.raises(WireError):
        load_reply(frame)


def test_notices_can_be_filtered_by_how_they_begin() -> None:
    assert notice_prefix("scan/") == b'{"typ": "scan/'
    assert notice_prefix("") == b""
