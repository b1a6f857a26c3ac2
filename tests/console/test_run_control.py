"""Pause, resume and every way to end a run from outside its cell."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.support.console_link import ConsoleUnderTest


def begin(console: ConsoleUnderTest, text: str = "RE(long_scan())") -> str:
    """Start a scan and wait for its first point."""
    since = len(console.messages)
    number = console.deliver(text)
    console.wait_for_notice("scan/point", since=since)
    return number


def last_stop(console: ConsoleUnderTest) -> Any:
    return console.run("stops[-1]['exit_status'], stops[-1]['reason'], RE.state, len(cleaned)")["rep"]["ret"]


def pause(console: ConsoleUnderTest, number: str) -> None:
    assert console.ask("run/pause", defer=False)["err"] == ""
    rep = console.wait_for("cell/done", id=number)["rep"]
    assert rep["err"] == "run-paused"
    assert "RE.resume()" in rep["desc"]


@pytest.mark.alone
@pytest.mark.parametrize(("verb", "status"), [("stop", "success"), ("abort", "abort"), ("halt", "abort")])
@pytest.mark.parametrize("paused", [False, True], ids=["running", "paused"])
def test_run_ends_with_the_typed_reason(console: ConsoleUnderTest, verb: str, status: str, paused: bool) -> None:
    console.run("cleaned.clear()")
    number = begin(console)
    if paused:
        pause(console, number)
    since = len(console.messages)
    started = time.monotonic()
    assert console.ask(f"run/{verb}", reason="beam dump at 12:03")["err"] == ""
    assert time.monotonic() - started < 1
    stop = console.wait_for_notice("scan/stop", since=since)
    assert (stop["exit_status"], stop["reason"]) == (status, "beam dump at 12:03")
    console.wait_for_notice("run/state", since=since, state="idle")
    if not paused:
        rep = console.wait_for("cell/done", id=number)["rep"]
        assert rep["err"] == "run-failed"
        assert "beam dump" in rep["desc"]
    assert last_stop(console) == (status, "beam dump at 12:03", "idle", 0 if verb == "halt" else 1)
    assert console.run("RE(count([D.det])) and stops[-1]['reason']")["rep"]["ret"] == ""


def test_what_a_paused_run_uses_keeps_its_name(console: ConsoleUnderTest) -> None:
    console.run("from mamba.devices import Group; G = Group('G'); G.k = SynAxis(name='k', delay=0.02)")
    number = begin(console, "RE(scan([D.det], G.k, -1, 1, 400))")
    pause(console, number)
    for attempt in ("del G.k", "G['stage.k'] = G.k"):
        rep = console.run(attempt)["rep"]
        assert rep["err"] == "device-in-use"
        assert "seen: a run that is paused uses it" in rep["desc"]
    since = len(console.messages)
    assert console.ask("run/stop", reason="enough")["err"] == ""
    console.wait_for_notice("run/state", since=since, state="idle")
    assert console.run("del G.k")["rep"]["err"] == ""


def test_reason_reaches_a_run_without_a_closing_plan(console: ConsoleUnderTest) -> None:
    since = len(console.messages)
    number = console.deliver("def bare():\n    yield from open_run()\n    yield from sleep(20)\nRE(bare())")
    console.wait_for_notice("scan/start", since=since)
    console.ask("run/stop", reason="enough")
    assert console.wait_for_notice("scan/stop", since=since)["reason"] == "enough"
    console.wait_for("cell/done", id=number)


def test_a_plan_ended_before_its_run_is_not_taken_for_the_run_before(console: ConsoleUnderTest) -> None:
    console.run("RE(long_scan(1))")
    since = len(console.messages)
    number = console.deliver("RE(sleep(20))")
    begun = console.wait_for_notice("run/state", since=since, state="running")
    assert (begun["uid"], begun["id"]) == (None, None)
    assert console.ask("run/abort", reason="wrong sample")["err"] == ""
    desc = console.wait_for("cell/done", id=number)["rep"]["desc"]
    assert desc.startswith("plan: ended before it was through")
    assert "wrong sample" in desc
    assert console.run("RE.state")["rep"]["ret"] == "idle"


def test_paused_run_resumes_in_a_cell_everybody_sees(console: ConsoleUnderTest) -> None:
    number = begin(console, "RE(long_scan(12))")
    pause(console, number)
    since = len(console.messages)
    console.type("'draft'")
    assert console.ask("run/resume", origin="scan window", person="Ada")["err"] == ""
    done = console.wait_for("cell/done", since=since, text="RE.resume()")
    assert (done["origin"], done["person"], done["rep"]["err"]) == ("scan window", "Ada", "")
    assert console.wait_for_notice("scan/stop", since=since)["exit_status"] == "success"
    console.type("\r")
    assert console.wait_for("cell/done", since=since, text="'draft'")["id"] is None


def test_deferred_pause_waits_for_a_checkpoint(console: ConsoleUnderTest) -> None:
    number = begin(console)
    assert console.ask("run/pause", defer=True)["err"] == ""
    assert console.wait_for("cell/done", id=number)["rep"]["err"] == "run-paused"
    since = len(console.messages)
    console.ask("run/abort", reason="done")
    console.wait_for_notice("run/state", since=since, state="idle")


@pytest.mark.parametrize("verb", ["pause", "resume", "stop", "abort", "halt"])
def test_nothing_to_act_on(console: ConsoleUnderTest, verb: str) -> None:
    rep = console.ask(f"run/{verb}")
    assert rep["err"] == "no-run"
    assert "idle" in rep["desc"]


def test_abort_right_after_pause_ends_idle(console: ConsoleUnderTest) -> None:
    for _ in range(8):
        since = len(console.messages)
        number = begin(console)
        first = console.send("run/pause", defer=False)
        second = console.send("run/abort", reason="at once")
        for asked in (first, second):
            console.wait_for("answer", id=asked)
        assert console.wait_for_notice("scan/stop", since=since)["reason"] == "at once"
        console.wait_for_notice("run/state", since=since, state="idle")
        console.wait_for("cell/done", id=number)
    assert console.run("RE.state")["rep"]["ret"] == "idle"


def test_ctrl_c_twice_still_pauses(console: ConsoleUnderTest) -> None:
    number = begin(console)
    console.type("\x03")
    time.sleep(0.15)  # bluesky counts two that are closer as one
    console.type("\x03")
    assert console.wait_for("cell/done", id=number)["rep"]["err"] == "run-paused"
    console.run("RE.abort('by hand')")
    assert last_stop(console)[:3] == ("abort", "by hand", "idle")


def test_state_follows_the_run(console: ConsoleUnderTest) -> None:
    since = len(console.messages)
    number = begin(console, "RE(long_scan(5))")
    console.wait_for("cell/done", id=number)
    runs = [m["run"] for m in console.messages[since:] if m["typ"] == "state"]
    assert "running" in {run["state"] for run in runs}
    console.wait_for(
        "state", since=since, prompt="idle", run={**runs[-1], "state": "idle", "point": 5, "num_points": 5}
    )


@pytest.mark.alone
def test_devices_are_described_while_a_scan_runs(console: ConsoleUnderTest) -> None:
    number = begin(console, "RE(long_scan(30))")
    started = time.monotonic()
    rep = console.ask("call", verb="dev/limits", args={"path": "M.m1"})
    assert (rep["err"], time.monotonic() - started < 1) == ("", True)
    assert console.ask("call", verb="dev/describe", args={"path": "M.m9"})["err"] == "unknown-device"
    console.wait_for("cell/done", id=number)
