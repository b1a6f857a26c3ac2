"""The parts of the host that need no process: loop, state, texts, receipts."""

from __future__ import annotations

import json
import logging
import os
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mamba.errors import TextRefused, UnknownDevice, ZError
from mamba.session.audit import AuditLog
from mamba.session.audit_chain import read_entries
from mamba.session.cell_text import check_text
from mamba.session.loop import Loop
from mamba.session.output_notices import MAX_BYTES, OutputNotices, decode_last
from mamba.session.receipts import HISTORY, Receipts, clip_receipt
from mamba.session.state import MAX_POINTS, LastRun, SessionState
from mamba.session.transcript import Transcript
from tests.support.session_host import wait_until


def test_timers_come_in_order_and_a_cancelled_one_never() -> None:
    loop, seen = Loop(), []
    loop.call_later(0.03, loop.stop)
    loop.call_later(0.02, lambda: seen.append(2))
    loop.call_later(0.01, lambda: seen.append(1))
    loop.call_later(0.01, lambda: seen.append(3)).cancel()
    loop.run()
    assert seen == [1, 2]


@pytest.mark.alone
def test_a_jump_of_the_clock_moves_no_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = Loop()
    loop.call_later(0.02, loop.stop)
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() - 3600)
    started = time.monotonic()
    loop.run()
    assert time.monotonic() - started < 1


@pytest.mark.error_logged
def test_what_a_callback_raises_is_logged_and_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    loop = Loop()
    loop.call_later(0, lambda: 1 / 0)  # type: ignore[arg-type, return-value]  # it raises before it returns
    loop.call_later(0.01, loop.stop)
    with caplog.at_level(logging.ERROR):
        loop.run()
    assert "ZeroDivisionError" in caplog.text


def test_descriptors_are_read_and_written() -> None:
    loop, (reader, writer), seen = Loop(), os.pipe(), []

    def read() -> None:
        seen.append(os.read(reader, 100))
        loop.stop()

    def write() -> None:
        os.write(writer, b"x")
        loop.watch_writer(writer, None)

    loop.watch_reader(reader, read)
    loop.watch_writer(writer, write)
    loop.run()
    loop.forget(reader)
    os.close(reader)
    os.close(writer)
    assert seen == [b"x"]


@settings(max_examples=300, deadline=None)
@given(st.text())
def test_a_text_that_is_accepted_survives_the_prompt(text: str) -> None:
    try:
        check_text(text)
    except TextRefused as refusal:
        lines = str(refusal).splitlines()
    else:
        assert text.encode().decode() == text
        assert not set(text) & {"\0", "\r", "\x1b", "\x03", "\x7f"}
        return
    assert len(lines) <= 3


def test_a_refusal_names_character_and_line() -> None:
    with pytest.raises(TextRefused, match=r"U\+001B in line 2"):
        check_text("a\n\x1b[A")
    check_text("for i in range(3):\n\tprint('µ → 🦀')\n")


def test_the_last_run_keeps_the_newest_points() -> None:
    run = LastRun()
    assert run.describe() is None

    def take_notice(notice: dict[str, Any]) -> None:
        run.take(notice["typ"], json.dumps(notice).encode())

    take_notice({"typ": "scan/start", "id": 1})
    for number in range(MAX_POINTS + 5):
        take_notice({"typ": "scan/point", "n": number})
    take_notice({"typ": "scan/descriptor", "stream": "primary", "keys": {}})
    take_notice({"typ": "scan/stop", "exit_status": "success"})
    last: Any = run.describe()
    assert (len(last["points"]), last["points_total"], last["points"][-1]["n"]) == (MAX_POINTS, MAX_POINTS + 5, 10_004)
    assert last["descriptor"]["keys"] == {}
    take_notice({"typ": "scan/start", "id": 2})
    last = run.describe()
    assert (last["points"], last["stop"], last["descriptor"]) == ([], None, None)


def test_devices_below_a_path() -> None:
    state = SessionState()
    with pytest.raises(ZError, match="not named them yet"):
        state.list_devices("M")
    state.update({"devices": {"M": ["M.m1", "M.stage.x", "M.stage.y"], "D": []}})
    assert state.list_devices("M.stage") == ["M.stage.x", "M.stage.y"]
    assert state.list_devices("M.m1") == []
    assert state.list_devices("D") == []
    with pytest.raises(UnknownDevice, match=r"did you mean .M\.stage"):
        state.list_devices("M.stag")


def test_a_run_that_was_open_when_the_console_died_is_dead() -> None:
    state = SessionState()
    state.note_run({"typ": "run/state", "state": "running", "uid": "u", "id": 3, "reason": ""})
    assert state.run["scan_id"] == 3
    state.note_run({"typ": "run/suspended", "devices": ["M.x"]})
    assert (state.run["state"], state.run["waits_for"]) == ("running", ["M.x"])
    state.end_console("killed")
    assert (state.run["state"], state.run["reason"], state.prompt) == ("dead", "killed", "dead")
    assert state.run["waits_for"] == []


def test_the_transcript_keeps_what_is_new(tmp_path: Path) -> None:
    transcript = Transcript(tmp_path / "console.transcript", rotate_bytes=10)
    for number in range(20):
        transcript.write(f"{number:010d}".encode())
    transcript.close()
    names = ["console.transcript", *(f"console.transcript.{number}" for number in range(1, 6))]
    wait_until(lambda: sorted(path.name for path in tmp_path.iterdir()) == names, what="the oldest are gone")
    assert [(tmp_path / name).read_text() for name in names] == [f"{number:010d}" for number in range(19, 13, -1)]
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in tmp_path.iterdir())


def test_output_is_sent_in_whole_characters_and_the_oldest_is_dropped() -> None:
    loop, notices = Loop(), []
    output = OutputNotices(loop, lambda typ, fields: notices.append((typ, fields)))
    euro = "€".encode()
    output.take(b"a" + euro[:1])
    loop.call_later(0.02, lambda: output.take(euro[1:] + b"b\xff"))
    loop.call_later(0.2, lambda: output.take(euro * 30_000))
    loop.call_later(0.4, loop.stop)
    loop.run()
    assert [typ for typ, _ in notices] == ["console/output"] * 3
    assert [fields["data"] for _, fields in notices[:2]] == ["a", "€b\N{REPLACEMENT CHARACTER}"]
    last = notices[2][1]
    assert set(last["data"]) == {"€"}
    assert len(last["data"].encode()) + last["dropped"] == 90_000
    assert MAX_BYTES - 3 < len(last["data"].encode()) <= MAX_BYTES


@given(st.text(max_size=300), st.integers(0, 400))
def test_the_last_output_begins_with_a_whole_character(text: str, limit: int) -> None:
    data = text.encode("utf-8", "replace")
    last = decode_last(data, limit)
    assert data.decode().endswith(last)
    assert len(last.encode()) > min(limit, len(data)) - 4


def make_receipt(number: int, ret: Any = None) -> dict[str, Any]:
    fixed = {"n": number, "origin": "test", "person": "Ada", "time": 0.0, "duration_s": 0.1, "files": []}
    return {"id": str(number), "text": "x", **fixed, "rep": {"err": "", "ret": ret}}


def test_receipts_are_bounded_in_memory_and_complete_on_disk(tmp_path: Path) -> None:
    audit = AuditLog(tmp_path / "audit.jsonl", Loop())
    receipts = Receipts(audit)
    for number in range(HISTORY + 10):
        receipts.add(make_receipt(number))
    audit.close()
    assert len(receipts.list_last(5000)) == HISTORY
    assert receipts.find("3") is None
    assert [receipt["id"] for receipt in receipts.list_last(2)] == ["1008", "1009"]
    assert receipts.list_last(0) == []
    entries = read_entries(tmp_path / "audit.jsonl")
    assert [entry["id"] for entry in entries] == [str(n) for n in range(HISTORY + 10)]


def test_a_long_result_is_left_out_of_the_history(tmp_path: Path) -> None:
    audit = AuditLog(tmp_path / "audit.jsonl", Loop())
    receipts = Receipts(audit)
    noticed = receipts.add(make_receipt(1, "x" * 100_000))
    assert len(noticed["rep"]["ret"]) == 100_000
    kept = receipts.list_last(1)[0]
    assert kept["rep"]["ret"] == {"$type": "repr", "class": "", "text": "<result of 100022 characters>"}
    failed = {**make_receipt(2), "rep": {"err": "exc", "desc": "y" * 100}}
    assert clip_receipt(failed, 50)["rep"] == {"err": "exc", "desc": "y" * 50 + "…"}
    audit.close()
