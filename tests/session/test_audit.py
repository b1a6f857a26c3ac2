"""The audit log: every entry stands, a crash is no crime, and any change is found."""

from __future__ import annotations

import json
import logging
import os
import resource
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mamba.errors import AlreadyRunning, FacilityError
from mamba.session.audit import MAX_CHARS, AuditLog
from mamba.session.audit_chain import (
    find_head_file,
    follow_entries,
    list_files,
    parse_entry,
    read_entries,
    read_head,
    read_lines,
    verify,
)
from mamba.session.loop import Loop
from tests.session.conftest import TINY
from tests.support.session_host import HostUnderTest, wait_until


def write(file: Path, *texts: str, rotate_bytes: int = 2**20) -> None:
    """One session that adds these commands."""
    audit = AuditLog(file, Loop(), rotate_bytes=rotate_bytes)
    for text in texts:
        audit.add("cmd", person="Ada", text=text)
    audit.close()


def list_kinds(file: Path) -> list[str]:
    return [problem.kind for problem in verify(file)]


def list_texts(file: Path) -> list[str]:
    return [entry["text"] for entry in read_entries(file) if entry["verb"] == "cmd"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "log" / "audit.jsonl"


def test_entries_are_chained_also_across_sessions(file: Path) -> None:
    write(file, "1", "2")
    write(file, "3")
    assert list_texts(file) == ["1", "2", "3"]
    assert [entry["n"] for entry in read_entries(file)] == [1, 2, 3]
    assert verify(file) == []
    head = read_head(file)
    assert head is not None
    assert head.n == 3
    for path in (file, find_head_file(file)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_only_what_is_named_is_written_and_what_is_long_is_clipped(file: Path) -> None:
    audit = AuditLog(file, Loop())
    audit.add("cmd", text="é" * 20_000, desc="y" * 20_000, cell=7, duration_s=0.5, files=["a.h5"] * 200, result="exc")
    audit.close()
    entry = next(read_entries(file))
    names = "n time prev verb person role origin pid text id cell result desc duration_s files"
    assert list(entry) == names.split()
    assert entry["text"] == "é" * MAX_CHARS + "… (20000 characters)"
    assert entry["desc"].endswith("… (20000 characters)")
    assert (entry["cell"], entry["duration_s"], len(entry["files"])) == (7, 0.5, 100)
    with pytest.raises(TypeError):
        audit.add("auth/login", password="secret")  # type: ignore[call-arg]  # that is what is tested


def test_a_full_file_is_numbered_and_the_chain_goes_on(file: Path) -> None:
    write(file, *map(str, range(30)), rotate_bytes=2000)
    write(file, *map(str, range(30, 60)), rotate_bytes=2000)
    files = list_files(file)
    assert len(files) > 6
    assert [path.name for path in files[:2]] == ["audit.1.jsonl", "audit.2.jsonl"]
    assert files[-1] == file
    assert all(path.stat().st_size <= 2000 for path in files)
    assert list_texts(file) == [str(number) for number in range(60)]
    assert verify(file) == []
    files[3].unlink()
    assert list_kinds(file) == ["removed"]


def test_a_session_that_ended_between_two_files_is_followed_by_one_that_goes_on(file: Path) -> None:
    write(file, "1", "2")
    file.rename(file.with_name("audit.1.jsonl"))
    write(file, "3")
    assert verify(file) == []
    assert list_texts(file) == ["1", "2", "3"]


@pytest.mark.parametrize("rest", [b'{"n": 4, "ti', b"\0" * 500, b"\xff"])
def test_a_torn_line_stays_and_is_no_tampering(file: Path, rest: bytes) -> None:
    write(file, "1", "2", "3")
    with file.open("ab") as stream:
        stream.write(rest)
    assert list_kinds(file) == ["torn"]
    write(file, "4")
    assert list_kinds(file) == ["torn"]
    assert "power cut" in str(verify(file)[0])
    assert verify(file)[0].line == 4
    assert rest in file.read_bytes()
    assert list_texts(file) == ["1", "2", "3", "4"]


def test_a_line_that_lacks_only_its_end_is_whole(file: Path) -> None:
    write(file, "1", "2")
    os.truncate(file, file.stat().st_size - 1)
    write(file, "3")
    assert verify(file) == []
    assert list_texts(file) == ["1", "2", "3"]


def test_a_log_that_is_torn_at_its_first_line_goes_on(file: Path) -> None:
    file.parent.mkdir()
    file.write_bytes(b'{"n": 1, ')
    write(file, "1")
    assert list_kinds(file) == ["torn"]


def test_a_cut_tail_is_still_seen_after_the_next_session(file: Path) -> None:
    write(file, "1", "2", "3")
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:-1]))
    assert list_kinds(file) == ["cut"]
    write(file, "4")
    assert list_kinds(file) == ["cut"]
    assert "ended with entry 2 when the session began, its head names entry 3" in str(verify(file)[0])


def test_a_log_that_was_emptied_or_whose_head_is_gone_is_seen(file: Path) -> None:
    write(file, "1")
    file.unlink()
    assert list_kinds(file) == ["cut"]
    write(file, "2")
    find_head_file(file).unlink()
    assert list_kinds(file) == ["cut", "cut"]


def test_there_is_nothing_to_find_in_no_log(file: Path) -> None:
    assert verify(file) == []
    assert list(read_entries(file)) == []


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[bytes]]:
    """A log of 12 entries in one file, and its lines."""
    file = tmp_path_factory.mktemp("log") / "audit.jsonl"
    write(file, *(f"RE(count([D.i0], {number}))" for number in range(12)))
    return file, file.read_bytes().splitlines(keepends=True)


@st.composite
def tamper(draw: st.DrawFn, lines: list[bytes]) -> list[bytes]:
    """The lines after one act."""
    lines = list(lines)
    at = draw(st.integers(0, len(lines) - 1))
    act = draw(st.sampled_from(["edit", "remove", "swap", "insert", "cut", "renumber"]))
    if act == "edit":
        byte = draw(st.integers(0, len(lines[at]) - 1))
        new = draw(st.integers(0, 255).filter(lambda value: value != lines[at][byte]))
        lines[at] = lines[at][:byte] + bytes([new]) + lines[at][byte + 1 :]
    elif act == "remove":
        del lines[at]
    elif act == "swap":
        other = draw(st.integers(0, len(lines) - 1).filter(lambda number: number != at))
        lines[at], lines[other] = lines[other], lines[at]
    elif act == "insert":
        entry = json.loads(draw(st.sampled_from(lines)))
        entry["text"] = draw(st.text(max_size=20))
        lines.insert(at, json.dumps(entry).encode() + b"\n")
    elif act == "cut":
        lines = lines[:at]
    else:  # as "remove", by somebody who numbers what follows anew
        del lines[at]
        lines = [json.dumps({**json.loads(line), "n": n}).encode() + b"\n" for n, line in enumerate(lines, 1)]
    return lines


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_any_change_is_found(written: tuple[Path, list[bytes]], data: st.DataObject) -> None:
    file, lines = written
    file.write_bytes(b"".join(data.draw(tamper(lines))))
    assert verify(file) != []
    file.write_bytes(b"".join(lines))
    assert verify(file) == []


@pytest.mark.parametrize(
    ("change", "kind", "line"),
    [
        (lambda lines: [*lines[:4], lines[4].replace(b"Ada", b"Eve"), *lines[5:]], "changed", 6),
        (lambda lines: [*lines[:-1], lines[-1].replace(b"Ada", b"Eve")], "changed", 12),
        (lambda lines: lines[:4] + lines[5:], "removed", 5),
        (lambda lines: [*lines[:4], lines[2], *lines[4:]], "moved", 5),
        (lambda lines: [*lines[:4], b"nonsense\n", *lines[5:]], "changed", 5),
        (lambda lines: lines[:-2], "cut", 10),
    ],
)
def test_what_was_done_is_named_with_its_line(
    written: tuple[Path, list[bytes]], change: Any, kind: str, line: int
) -> None:
    file, lines = written
    file.write_bytes(b"".join(change(lines)))
    try:
        first = verify(file)[0]
        assert (first.kind, first.line) == (kind, line)
    finally:
        file.write_bytes(b"".join(lines))


@pytest.fixture
def small_files() -> Iterator[Any]:
    """A function that limits how long a file of this process may become; a write beyond it fails as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_ends_nothing_and_the_gap_is_told(
    file: Path, small_files: Any, caplog: pytest.LogCaptureFixture
) -> None:
    audit = AuditLog(file, Loop())
    audit.add("cmd", text="before")
    small_files(file.stat().st_size + 100)  # part of a line fits
    with caplog.at_level(logging.WARNING):
        for number in range(5):
            audit.add("cmd", text=f"lost {number}")
    assert len(caplog.records) == 1
    small_files(resource.RLIM_INFINITY)
    audit.add("cmd", text="after")
    audit.close()
    assert [(entry["text"] if entry["verb"] == "cmd" else entry["desc"]) for entry in map(dict, _whole(file))] == [
        "before",
        "gap: 5 entries could not be written",
        "after",
    ]
    assert verify(file) == []


def _whole(file: Path) -> Iterator[dict[str, Any]]:
    for entry in read_entries(file):
        yield {"text": "", "desc": "", **entry}


def test_the_timer_syncs_and_tells_a_gap(file: Path, small_files: Any) -> None:
    loop = Loop()
    audit = AuditLog(file, loop)
    small_files(10)
    audit.add("cmd", text="lost")
    small_files(resource.RLIM_INFINITY)
    loop.call_later(1.5, loop.stop)
    loop.run()
    wait_until(lambda: (head := read_head(file)) is not None and head.n == 1, what="the head in its file")
    assert [entry["desc"] for entry in read_entries(file)] == ["gap: 1 entries could not be written"]
    audit.close()


def test_a_second_writer_and_a_folder_that_cannot_be_used_are_refused(file: Path) -> None:
    audit = AuditLog(file, Loop())
    with pytest.raises(AlreadyRunning, match="another session writes it"):
        AuditLog(file, Loop())
    audit.close()
    with pytest.raises(FacilityError, match=r"audit log .*: cannot be used"):
        AuditLog(file / "below" / "audit.jsonl", Loop())


def test_who_follows_sees_what_comes_also_in_the_next_file(file: Path) -> None:
    audit = AuditLog(file, Loop(), rotate_bytes=1000)
    audit.add("cmd", text="early")
    (early,) = read_entries(file)
    audit.add("cmd", text="between")  # after the reading, before the following
    seen: list[str] = []

    def follow() -> None:
        for entry in follow_entries(file, after=early["n"]):
            seen.append(entry["text"])
            if entry["text"] == "30":
                return

    thread = threading.Thread(target=follow)
    thread.start()
    for number in range(31):
        audit.add("cmd", text=str(number))
        wait_until(lambda: seen and seen[-1] == str(number), what="it is seen")  # noqa: B023
    thread.join(10)
    assert not thread.is_alive()
    audit.close()
    assert len(list_files(file)) > 10
    assert seen == ["between", *(str(number) for number in range(31))]


def test_commands_of_clients_and_of_the_person_are_entries_across_restarts_of_the_session() -> None:
    host = HostUnderTest()
    try:
        host.client.command("6 * 7", origin="test", timeout_s=30)
        host.client.ask("cmd", cmd="1 / 0", origin="test", timeout_s=10)
        running = host.client.command("import time; time.sleep(30)", wait=False)
        wait_until(lambda: host.client.request("cmd/status", id=running["id"])["state"] == "running")
        waiting = host.client.command("'never'", wait=False)
        host.client.request("cmd/cancel", id=waiting["id"])
        host.client.request("session/interrupt")
        wait_until(lambda: host.client.request("cmd/status", id=running["id"])["state"] == "done")
        file = host.runtime.logs / "audit.jsonl"
        host.stop()
        entries = [entry for entry in read_entries(file) if entry["verb"] == "cmd"]
        assert [(entry["text"], entry["result"]) for entry in entries] == [
            ("6 * 7", ""),
            ("1 / 0", "exc"),
            ("'never'", "cancelled"),
            ("import time; time.sleep(30)", "interrupted"),
        ]
        assert all(entry["person"] == "Ada" for entry in entries)
        assert entries[1]["desc"] == "ZeroDivisionError: division by zero"
        assert verify(file) == []
        assert all(parse_entry(line.data) for line in read_lines(file))
    finally:
        host.close()


def test_the_profile_names_the_file_and_a_killed_session_is_continued(tmp_path: Path) -> None:
    profile = f"name: trial\nconsole: {{startup: startup.py}}\ndata: {{audit: {tmp_path}/kept/audit.jsonl}}\n"
    for text in ("1 + 1", "2 + 2"):
        host = HostUnderTest(console=TINY, profile=profile)
        try:
            host.client.command(text, timeout_s=10)
            host.process.kill()
            host.process.wait()
        finally:
            host.close()
    assert list_texts(tmp_path / "kept" / "audit.jsonl") == ["1 + 1", "2 + 2"]
    assert verify(tmp_path / "kept" / "audit.jsonl") == []
