"""The event doctor on servers of ours and on TangoTest, with both databases."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from mamba.administration.events import Source, diagnose, set_abs_change, set_polling
from mamba.administration.events.survey import survey_events
from mamba.administration.subject import open_subject
from mamba.errors import BadValue
from tests.administration.conftest import Run
from tests.support.tango_events import collect_events
from tests.support.tango_facility import TangoFacility, wait_until

_SUBSCRIBE = """
import sys, tango
device = tango.DeviceProxy(sys.argv[1])
device.subscribe_event("IsOpen", tango.EventType.CHANGE_EVENT, lambda event: None)
print("subscribed", flush=True)
sys.stdin.read()
"""


@contextmanager
def other_subscriber(device: str) -> Iterator[int]:
    """A process that is subscribed within the block; its process id."""
    command = [sys.executable, "-c", _SUBSCRIBE, device]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "subscribed\n"
        yield process.pid
        process.communicate("", timeout=10)


def test_pushed_polled_and_neither(control_system: TangoFacility) -> None:
    ring = diagnose(open_subject(control_system.host, "vbl/source/ring"), 0.0)
    lines = {line.name: line for line in ring.attributes}
    assert list(lines)[:2] == ["State", "Status"]
    assert (lines["State"].source, lines["State"].trouble, lines["State"].repair) == (Source.PUSHED, "", "")
    current = lines["Current"]
    assert (current.source, current.period_ms, current.thresholds) == (Source.POLLED, 1000, "abs 0.01")
    assert lines["Lifetime"].source == Source.NONE
    assert lines["Lifetime"].repair.endswith("vbl/source/ring --poll Lifetime=1000 --abs-change Lifetime=CHANGE")
    assert lines["Mode"].repair.endswith("vbl/source/ring --poll Mode=1000")


def test_who_subscribes_and_what_was_sent(control_system: TangoFacility) -> None:
    subject = open_subject(control_system.host, "vbl/shutter/1")
    with other_subscriber(f"tango://{control_system.host}/vbl/shutter/1") as pid:
        subject.admin.command_inout("QueryDevice")
        before = {line.name: line.sent for line in diagnose(subject, 0.0).attributes}["IsOpen"]
        assert before is not None
        with collect_events(subject.device, "IsOpen") as events:
            subject.device.command_inout("Close")
            events.wait_for(False, False)
            subject.device.command_inout("Open")
            events.wait_for(False, True)
        found = diagnose(subject, 0.0)
        assert any(f"process {pid}, seen " in text for text in found.subscribers)

    def is_counted() -> bool:  # the server counts an event after it has sent it
        return {line.name: line.sent for line in diagnose(subject, 0.0).attributes}["IsOpen"] == before + 4

    wait_until(is_counted, what="four events counted")


@pytest.mark.parametrize("where", ["control_system", pytest.param("site_test", marks=pytest.mark.soak)])
def test_the_repair_makes_events_come(where: str, request: pytest.FixtureRequest) -> None:
    facility: TangoFacility = request.getfixturevalue(where)
    subject = open_subject(facility.host, "sys/tg_test/1")
    sick = {line.name: line for line in diagnose(subject, 0.0).attributes}["double_scalar"]
    assert (sick.source, sick.trouble) == (Source.NONE, "neither pushed nor polled")
    try:
        assert set_polling(subject, "double_scalar", 100) == "double_scalar: polling off → every 100 ms"
        half = {line.name: line for line in diagnose(subject, 0.0).attributes}["double_scalar"]
        assert (half.source, half.trouble) == (Source.POLLED, "polled, but a number without threshold")
        assert set_abs_change(subject, "double_scalar", 1e-6) == "double_scalar: abs_change Not specified → 1e-06"
        healthy = {line.name: line for line in diagnose(subject, 2.0).attributes}["double_scalar"]
        assert (healthy.trouble, healthy.thresholds, healthy.period_ms) == ("", "abs 1e-06", 100)
        assert healthy.came > 0
        assert healthy.age_s is not None
    finally:
        assert set_polling(subject, "double_scalar", 0) == "double_scalar: polling every 100 ms → off"
        set_abs_change(subject, "double_scalar", 0)
    assert not subject.device.is_attribute_polled("double_scalar")


def test_every_device_in_short(control_system: TangoFacility, mambactl: Run) -> None:
    lines = {line.device: line for line in survey_events(control_system.host)}
    assert (lines["vbl/shutter/1"].pushed, lines["vbl/shutter/1"].without) == (3, 2)  # Fault and Faults
    assert (lines["sys/tg_test/1"].state, lines["sys/tg_test/1"].pushed) == ("none", 0)
    assert not any(name.startswith("dserver/") for name in lines)
    assert "sys/tg_test/1" in mambactl("tango", "events").stdout


def test_the_table_and_json(mambactl: Run) -> None:
    table = mambactl("tango", "events", "vbl/source/ring", "--listen", "0.1")
    assert table.returncode == 0, table.stderr
    assert table.stdout.splitlines()[0] == "vbl/source/ring: change events, listened for 0.1 s"
    assert "polled 1000 ms  abs 0.01" in table.stdout
    told = json.loads(mambactl("tango", "events", "sys/tg_test/1", "--listen", "0", "--json").stdout)
    assert told["counts_known"] is False  # Debian's TangoTest is older than Tango 10
    assert len(told["attributes"]) == 62


@pytest.mark.parametrize(
    ("options", "code", "text"),
    [
        (["--poll", "double_scaler=100"], 1, "sys/tg_test/1: no attribute 'double_scaler'"),
        (["--abs-change", "string_scalar=1"], 1, "cannot set abs_change of string_scalar to 1"),
        (["--poll", "double_scalar=often"], 2, "write ATTRIBUTE=NUMBER"),
        (["--abs-change", "double_scalar=nan"], 2, "write ATTRIBUTE=NUMBER"),
        (["--poll", "double_scalar=100", "--abs-change", "double_scalar"], 2, "write ATTRIBUTE=NUMBER"),
    ],
)
def test_a_wrong_repair_changes_nothing(
    control_system: TangoFacility, mambactl: Run, options: list[str], code: int, text: str
) -> None:
    done = mambactl("tango", "events", "sys/tg_test/1", *options)
    assert (done.returncode, done.stdout) == (code, "")
    assert text in done.stderr
    assert len(done.stderr.splitlines()) <= 5
    assert not control_system.device("sys/tg_test/1").polling_status()


def test_the_nearest_attribute_is_named(control_system: TangoFacility) -> None:
    subject = open_subject(control_system.host, "sys/tg_test/1")
    with pytest.raises(BadValue, match="did you mean 'double_scalar'"):
        set_polling(subject, "double_scaler", 100)
    with pytest.raises(BadValue, match="not a usable change"):
        set_abs_change(subject, "double_scalar", -1)
